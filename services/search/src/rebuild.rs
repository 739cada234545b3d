//! Makes the index again from what the files and courses services have.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use riwaq_api::files::v1::ListFileIdsRequest;
use riwaq_api::{Channel, clients};
use riwaq_clock::SharedClock;
use riwaq_extraction::Extractor;
use riwaq_index::{Index, IndexError, SourceKind, Stats};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::indexing::Indexer;
use crate::{BuildError, Config, Deps};

/// Ids of one page of the files service.
const PAGE: u32 = 200;
/// Between two tries to fill an empty index while other services are away.
const PAUSE: Duration = Duration::from_secs(5);

/// Fills the index anew: an operator's command.
///
/// It may run beside the service: what changes meanwhile is written by whoever comes later, and
/// both fetch the present state. An index with a server of its own is filled beside the one that
/// answers, which stays when anything fails; an embedded one finds less than there is meanwhile.
pub struct Rebuild {
    index: Arc<dyn Index>,
    files: Channel,
    clock: SharedClock,
    indexer: Arc<Indexer>,
    workers: usize,
}

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Files that are in the index, whether or not they could be read.
    pub files: u64,
    /// Courses that are in the index.
    pub courses: u64,
    /// Files and courses that are not, told in the log: an index that was filled beside another
    /// was given up for them. Run it again.
    pub failed: u64,
}

/// A rebuild could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The index refuses.
    #[error("index: {0}")]
    Index(#[from] IndexError),
    /// The files service does not say which files there are.
    #[error("files: {0}")]
    Files(String),
}

impl Rebuild {
    /// A rebuild with the service's own configuration.
    ///
    /// # Errors
    /// As [`crate::service`].
    pub fn new(config: &Config, deps: &Deps) -> Result<Self, BuildError> {
        config.validate()?;
        let extractor = Extractor::new(config.extraction.clone(), Arc::clone(&deps.clock))?;
        Ok(Self::with(
            deps,
            Arc::new(Indexer::new(deps, extractor)),
            config.workers,
        ))
    }

    pub(crate) fn with(deps: &Deps, indexer: Arc<Indexer>, workers: usize) -> Self {
        Self {
            index: Arc::clone(&deps.index),
            files: deps.files.clone(),
            clock: Arc::clone(&deps.clock),
            indexer,
            workers,
        }
    }

    /// Fetches and writes everything. Can be run again at any time.
    ///
    /// # Errors
    /// [`RebuildError`]; single files and courses that fail are counted instead.
    pub async fn run(&self) -> Result<Rebuilt, RebuildError> {
        let courses = self.known_courses().await?;
        let rebuilding = self.index.begin_rebuild().await?;
        let indexer = self.indexer.onto(rebuilding.index());
        let filled = self.fill(&indexer, courses).await;
        match &filled {
            Ok(done) if done.failed == 0 => rebuilding.finish().await?,
            _ => rebuilding.give_up().await?,
        }
        filled
    }

    /// Fills an index in which nothing was ever written, and tries until that is done.
    pub(crate) async fn fill_when_empty(self, closing: CancellationToken) {
        let fill = async {
            while let Err(error) = self.fill_once_when_empty().await {
                tracing::warn!(%error, "an empty index could not be filled yet");
                self.clock.sleep(PAUSE).await;
            }
        };
        closing.run_until_cancelled(fill).await;
    }

    async fn fill_once_when_empty(&self) -> Result<(), RebuildError> {
        if self.index.stats().await? != Stats::default() {
            return Ok(());
        }
        let done = self.fill(&self.indexer, BTreeSet::new()).await?;
        if done != Rebuilt::default() {
            tracing::info!(
                done.files,
                done.courses,
                done.failed,
                "an empty index was filled"
            );
        }
        Ok(())
    }

    /// The courses service has no list for this purpose: courses are those that the index knew and
    /// those that files belong to. A course without files that no index knew comes back when it
    /// changes.
    async fn fill(
        &self,
        indexer: &Indexer,
        mut courses: BTreeSet<Uuid>,
    ) -> Result<Rebuilt, RebuildError> {
        let mut done = Rebuilt::default();
        let mut cursor = String::new();
        loop {
            let request = ListFileIdsRequest {
                cursor,
                limit: PAGE,
            };
            let answer = clients::files(&self.files).list_file_ids(request).await;
            let page = answer.map_err(|status| RebuildError::Files(status.message().to_owned()))?;
            let page = page.into_inner();
            let ids: Result<Vec<Uuid>, _> = page.ids.iter().map(|id| id.parse()).collect();
            let ids = ids.map_err(|error| RebuildError::Files(format!("an id: {error}")))?;
            let (of_files, failed) =
                Indexer::many(ids, self.workers, |id| indexer.file(id, None)).await;
            done.failed += failed;
            done.files += of_files.iter().flatten().count() as u64;
            courses.extend(of_files.into_iter().flatten());
            cursor = page.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        let ids = courses.into_iter().collect();
        let (written, failed) =
            Indexer::many(ids, self.workers, |id| indexer.course(id, None)).await;
        done.courses = written.len() as u64;
        done.failed += failed;
        Ok(done)
    }

    async fn known_courses(&self) -> Result<BTreeSet<Uuid>, RebuildError> {
        let mut known = BTreeSet::new();
        let mut after = None;
        loop {
            let most = riwaq_index::limits::SOURCES_PER_PAGE;
            let page = self.index.sources(SourceKind::Course, after, most).await?;
            let Some(last) = page.last() else {
                return Ok(known);
            };
            after = Some(last.source.id);
            known.extend(
                page.iter()
                    .filter(|state| !state.deleted)
                    .map(|state| state.source.id),
            );
        }
    }
}
