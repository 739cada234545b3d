//! Lists of courses: one or two partitions, merged by id, newest first.

use std::collections::VecDeque;

use futures::future::try_join_all;
use riwaq_aggregates::records::{RecordsError, Store};
use uuid::Uuid;

use crate::domain::{Status, Viewer, semester_of};
use crate::records::{CourseByPerson, CourseHead, CourseInList, List};
use crate::semesters::Semesters;

/// Which courses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that the viewer may see.
    Visible,
    /// Those that the viewer teaches or is enrolled in.
    Mine,
    /// Those that everybody may see.
    Catalogue,
}

/// A page of summaries, each a JSON object.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ListPage {
    pub(crate) summaries: Vec<String>,
    /// The last one's id, where there are more.
    pub(crate) next: Option<Uuid>,
}

/// Reads lists.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    store: Store,
    semesters: Semesters,
}

/// A course that may belong on the page; without a summary it must be looked up first.
#[derive(Debug)]
struct Candidate {
    id: Uuid,
    summary: Option<String>,
}

/// Where candidates come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Person(Uuid),
    Semesters(List),
}

/// One source, read ahead.
#[derive(Debug)]
struct Feed {
    source: Source,
    rows: VecDeque<Candidate>,
    after: Option<Uuid>,
    done: bool,
}

impl Lists {
    pub(crate) const fn new(store: Store, semesters: Semesters) -> Self {
        Self { store, semesters }
    }

    /// A page of at most `limit` courses that come after `after`.
    pub(crate) async fn page(
        &self,
        viewer: &Viewer,
        scope: Scope,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<ListPage, RecordsError> {
        let sources = match scope {
            Scope::Visible if viewer.reads_any() => vec![Source::Semesters(List::All)],
            Scope::Visible => vec![Source::Person(viewer.id), Source::Semesters(List::Open)],
            Scope::Mine => vec![Source::Person(viewer.id)],
            Scope::Catalogue => vec![Source::Semesters(List::Open)],
        };
        let feed = |source| Feed {
            source,
            rows: VecDeque::new(),
            after,
            done: false,
        };
        let mut feeds: Vec<Feed> = sources.into_iter().map(feed).collect();
        // One more than asked for tells whether there is a next page.
        let wanted = limit + 1;
        let mut found: Vec<(Uuid, String)> = Vec::with_capacity(wanted);
        while found.len() < wanted {
            let candidates = self.candidates(&mut feeds, wanted - found.len()).await?;
            if candidates.is_empty() {
                break;
            }
            found.extend(self.resolve(candidates).await?);
        }
        let next = (found.len() > limit).then(|| found[limit - 1].0);
        let summaries = found
            .into_iter()
            .take(limit)
            .map(|(_, summary)| summary)
            .collect();
        Ok(ListPage { summaries, next })
    }

    /// The next `wanted` candidates of all feeds together; fewer only at the end of them.
    async fn candidates(
        &self,
        feeds: &mut [Feed],
        wanted: usize,
    ) -> Result<Vec<Candidate>, RecordsError> {
        let mut candidates: Vec<Candidate> = Vec::with_capacity(wanted);
        while candidates.len() < wanted {
            let hungry = feeds
                .iter_mut()
                .filter(|feed| feed.rows.is_empty() && !feed.done);
            try_join_all(hungry.map(|feed| self.fill(feed, wanted))).await?;
            let Some(newest) = feeds
                .iter()
                .filter_map(|feed| feed.rows.front())
                .map(|row| row.id)
                .max()
            else {
                break;
            };
            // The same course may come from several: whoever has the summary gives it.
            let same = feeds
                .iter_mut()
                .filter_map(|feed| feed.rows.pop_front_if(|row| row.id == newest));
            let summary = same.fold(None, |summary, row| summary.or(row.summary));
            candidates.push(Candidate {
                id: newest,
                summary,
            });
        }
        Ok(candidates)
    }

    /// Looks up what has no summary yet: courses that the viewer is enrolled in and that are not open.
    async fn resolve(
        &self,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<(Uuid, String)>, RecordsError> {
        if candidates
            .iter()
            .all(|candidate| candidate.summary.is_some())
        {
            let with_summary = |row: Candidate| row.summary.map(|summary| (row.id, summary));
            return Ok(candidates.into_iter().filter_map(with_summary).collect());
        }
        let lookups = candidates
            .into_iter()
            .map(async |candidate| match candidate.summary {
                Some(summary) => Ok(Some((candidate.id, summary))),
                None => {
                    let head = self.store.get::<CourseHead>((candidate.id,)).await?;
                    let readable = head.filter(|head| head.status == Status::Published);
                    Ok::<_, RecordsError>(readable.map(|head| (candidate.id, head.summary)))
                }
            });
        Ok(try_join_all(lookups).await?.into_iter().flatten().collect())
    }

    async fn fill(&self, feed: &mut Feed, wanted: usize) -> Result<(), RecordsError> {
        let (rows, done) = match feed.source {
            Source::Person(user) => self.of_person(user, feed.after, wanted).await?,
            Source::Semesters(list) => self.of_semesters(list, feed.after, wanted).await?,
        };
        feed.after = rows.last().map(|row| row.id).or(feed.after);
        feed.done = done;
        feed.rows = rows.into();
        Ok(())
    }

    async fn of_person(
        &self,
        user: Uuid,
        after: Option<Uuid>,
        wanted: usize,
    ) -> Result<(Vec<Candidate>, bool), RecordsError> {
        // Two rows at most for one course: taught, and enrolled in before.
        let limit = wanted * 2;
        let mut scan = self.store.scan::<CourseByPerson>((user,)).limit(limit);
        if let Some(after) = after {
            scan = scan.less_than(after);
        }
        let rows = scan.page().await?.rows;
        let done = rows.len() < limit;
        let mut candidates: Vec<Candidate> = Vec::with_capacity(rows.len());
        for row in rows {
            match candidates.last_mut() {
                Some(last) if last.id == row.course_id => {
                    last.summary = last.summary.take().or(row.summary)
                }
                _ => candidates.push(Candidate {
                    id: row.course_id,
                    summary: row.summary,
                }),
            }
        }
        Ok((candidates, done))
    }

    async fn of_semesters(
        &self,
        list: List,
        after: Option<Uuid>,
        wanted: usize,
    ) -> Result<(Vec<Candidate>, bool), RecordsError> {
        let newest = after.map_or(i64::MAX, semester_of);
        let mut candidates = Vec::new();
        for semester in self
            .semesters
            .newest_first()
            .await?
            .iter()
            .filter(|semester| **semester <= newest)
        {
            let left = wanted - candidates.len();
            let mut scan = self
                .store
                .scan::<CourseInList>((list.as_str().to_owned(), *semester))
                .limit(left);
            if let Some(after) = after {
                scan = scan.less_than(after);
            }
            let rows = scan.page().await?.rows;
            candidates.extend(rows.into_iter().map(|row| Candidate {
                id: row.course_id,
                summary: Some(row.summary),
            }));
            if candidates.len() >= wanted {
                return Ok((candidates, false));
            }
        }
        Ok((candidates, true))
    }
}
