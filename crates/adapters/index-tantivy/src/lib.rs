//! The index port on tantivy, in a folder of one process.
//!
//! Owns the folder: its schema, its one writer thread, its lock. Must not know who asks or where
//! text comes from; words and stems come from [`riwaq_index::analysis`].
//!
//! Writes of many callers that arrive together share one commit: the thread takes what is waiting,
//! applies it, commits (tantivy syncs the segment files and then replaces `meta.json`, so a crash
//! leaves the old or the new state), reloads the reader, and answers everybody. A second process
//! on the same folder is refused by tantivy's file lock, which the kernel drops with the process.
//!
//! The folder holds a subfolder a format (`words1-schema1`): when the analysis or the schema changes,
//! a new, empty index is begun and the owner rebuilds it.
#![warn(missing_docs)]

mod config;
mod error;
mod filter;
mod schema;
mod search;
mod sources;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use riwaq_index::analysis;
use riwaq_index::{
    Change, Hits, InPlace, Index, IndexError, Outcome, Query, Rebuilding, Source, SourceKind,
    SourceState, Stats, limits,
};
use tantivy::directory::MmapDirectory;
use tantivy::{IndexReader, ReloadPolicy};
use uuid::Uuid;

pub use config::Config;

use filter::CourseTables;
use schema::Fields;
use writer::Writer;

/// An index in a folder. Clones share it; dropping the last one stops the writer thread after the
/// commit that it is at, and gives the lock back.
#[derive(Clone)]
pub struct TantivyIndex {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    reader: IndexReader,
    fields: Fields,
    courses: CourseTables,
    writer: Writer,
}

impl std::fmt::Debug for TantivyIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TantivyIndex")
            .field("folder", &self.shared.folder)
            .finish_non_exhaustive()
    }
}

impl TantivyIndex {
    /// Opens the index in a folder, or begins one there.
    ///
    /// # Errors
    /// [`IndexError::InUse`] while another process (or another open index of this one) holds the
    /// folder; [`IndexError::Unavailable`] when the folder cannot be read and written;
    /// [`IndexError::Corrupt`] when what is there is not an index of ours: delete the folder and
    /// rebuild.
    pub fn open(config: &Config) -> Result<Self, IndexError> {
        let format = format!("words{}-schema{}", analysis::VERSION, schema::VERSION);
        let folder = config.folder.join(format);
        std::fs::create_dir_all(&folder).map_err(|error| {
            IndexError::Unavailable(format!("cannot create {}: {error}", folder.display()))
        })?;
        let map = |error| error::map(&folder, error);
        let (schema, fields) = schema::build();
        let directory = MmapDirectory::open(&folder).map_err(|error| map(error.into()))?;
        let index = tantivy::Index::open_or_create(directory, schema).map_err(map)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(map)?;
        let writer = Writer::start(&index, reader.clone(), fields, config, &folder)?;
        let shared = Shared {
            folder,
            reader,
            fields,
            courses: CourseTables::default(),
            writer,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> tantivy::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            read(&shared).map_err(|error| error::map(&shared.folder, error))
        })
        .await
        .map_err(|error| IndexError::Unavailable(format!("a search ended early: {error}")))?
    }
}

#[async_trait]
impl Index for TantivyIndex {
    async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, IndexError> {
        if changes.len() > limits::CHANGES_PER_WRITE {
            let most = limits::CHANGES_PER_WRITE;
            return Err(IndexError::invalid("changes", format!("at most {most}")));
        }
        changes.iter().try_for_each(Change::check)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.writer.write(changes).await
    }

    async fn search(&self, query: &Query) -> Result<Hits, IndexError> {
        query.check()?;
        let query = query.clone();
        self.read(move |shared| {
            let searcher = shared.reader.searcher();
            search::run(&searcher, &shared.fields, &shared.courses, &query)
        })
        .await
    }

    async fn source(&self, source: Source) -> Result<Option<SourceState>, IndexError> {
        self.read(move |shared| sources::find(&shared.reader.searcher(), &shared.fields, source))
            .await
    }

    async fn sources(
        &self,
        kind: SourceKind,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<SourceState>, IndexError> {
        if limit == 0 || limit > limits::SOURCES_PER_PAGE {
            return Err(IndexError::invalid(
                "limit",
                format!("1 to {}", limits::SOURCES_PER_PAGE),
            ));
        }
        self.read(move |shared| {
            sources::list(
                &shared.reader.searcher(),
                &shared.fields,
                kind,
                after,
                limit,
            )
        })
        .await
    }

    async fn clear(&self) -> Result<(), IndexError> {
        self.shared.writer.clear().await
    }

    async fn begin_rebuild(&self) -> Result<Box<dyn Rebuilding>, IndexError> {
        InPlace::begin(Arc::new(self.clone())).await
    }

    async fn stats(&self) -> Result<Stats, IndexError> {
        self.read(|shared| sources::count(&shared.reader.searcher(), &shared.fields))
            .await
    }

    async fn ping(&self) -> Result<(), IndexError> {
        self.shared.writer.health()
    }
}
