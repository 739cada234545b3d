//! Everything that a person may read: the set that filters a search.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use riwaq_aggregates::records::{RecordsError, Store, limits};
use uuid::Uuid;

use crate::domain::{Status, Viewer};
use crate::records::{CourseByPerson, CourseHead, OpenCourseId, TEACHES};
use crate::semesters::Semesters;

/// How many courses are looked up at a time.
const LOOKUPS: usize = 32;

/// Ids of courses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Readable {
    pub(crate) course_ids: Vec<Uuid>,
    /// Every course there is; the ids are left out.
    pub(crate) all: bool,
    /// There are more than were asked for.
    pub(crate) truncated: bool,
}

/// At most `most` ids, each once: the person's own courses first, then those that everybody may read.
pub(crate) async fn readable(
    store: &Store,
    semesters: &Semesters,
    viewer: &Viewer,
    most: usize,
) -> Result<Readable, RecordsError> {
    if viewer.reads_any() {
        return Ok(Readable {
            all: true,
            ..Readable::default()
        });
    }
    let mut found = Found::default();
    found.extend(own(store, viewer.id).await?);
    for semester in semesters.newest_first().await?.iter() {
        let mut after = None;
        while found.ids.len() <= most {
            let mut scan = store
                .scan::<OpenCourseId>((*semester,))
                .limit(limits::SCAN_ROWS);
            if let Some(after) = after.take() {
                scan = scan.after(after);
            }
            let page = scan.page().await?;
            found.extend(page.rows.into_iter().map(|row| row.course_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let mut course_ids = found.ids;
    let truncated = course_ids.len() > most;
    course_ids.truncate(most);
    Ok(Readable {
        course_ids,
        all: false,
        truncated,
    })
}

/// Ids in the order in which they were found, each once: an open course may also be an own one.
#[derive(Default)]
struct Found {
    ids: Vec<Uuid>,
    seen: HashSet<Uuid>,
}

impl Found {
    fn extend(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        for id in ids {
            if self.seen.insert(id) {
                self.ids.push(id);
            }
        }
    }
}

/// Courses that are taught, and published ones that the person is enrolled in.
async fn own(store: &Store, user: Uuid) -> Result<Vec<Uuid>, RecordsError> {
    let rows = store.scan::<CourseByPerson>((user,)).all().await?;
    let lookups = rows.into_iter().map(async |row| {
        if row.relation == TEACHES {
            return Ok(Some(row.course_id));
        }
        let head = store.get::<CourseHead>((row.course_id,)).await?;
        let readable = head.is_some_and(|head| head.status == Status::Published);
        Ok::<_, RecordsError>(readable.then_some(row.course_id))
    });
    let found: Vec<Option<Uuid>> = stream::iter(lookups)
        .buffered(LOOKUPS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
