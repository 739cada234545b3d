//! The index port on OpenSearch 2 or later, over its REST interface.
//!
//! Owns the names, mappings and analysers of the indexes of one installation, the requests to the
//! cluster and their repetition. Must not know who asks or where text comes from; words come from
//! [`riwaq_index::analysis`], their stems from Lucene.
//!
//! - Each language has an index with Lucene's analysis of it; one alias is over all of them.
//! - OpenSearch changes single documents; how a source of many passages is still written and seen as a
//!   whole, by versions, says the module `write`.
//! - A generation of indexes is filled beside the one that answers and takes over by a switch of
//!   aliases; the module `generation` says how.
//! - Passages that were written are findable at once (`refresh=true` on the shards they went to, which
//!   costs a small segment a write): the port promises it, and waiting for the next periodic refresh
//!   would hold each consumer for a second.
//!
//! There is no `opensearch` crate underneath: its version 2.4 brings reqwest 0.13 and aws-lc.
#![warn(missing_docs)]

mod bulk;
mod client;
mod config;
mod entries;
mod error;
mod generation;
mod health;
mod question;
mod schema;
mod search;
mod stored;
mod sweep;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_index::{
    Change, Hits, Index, IndexError, Outcome, Query, Rebuilding, Source, SourceKind, SourceState,
    Stats, limits,
};
use uuid::Uuid;

pub use config::Config;

use client::Client;
use error::Failure;
use generation::{Generation, Generations, Live};

/// How often a request begins anew because indexes were replaced under it.
const REPLACED: usize = 5;

/// The indexes of one installation in a cluster. Clones share connections; several processes may
/// use the same indexes.
#[derive(Clone)]
pub struct OpenSearchIndex {
    shared: Arc<Shared>,
    /// The generation that is being filled; none for the one that answers.
    building: Option<Generation>,
}

pub(crate) struct Shared {
    pub(crate) client: Arc<Client>,
    pub(crate) config: Config,
    generations: Generations,
}

impl std::fmt::Debug for OpenSearchIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSearchIndex")
            .field("config", &self.shared.config)
            .field("building", &self.building)
            .finish_non_exhaustive()
    }
}

impl OpenSearchIndex {
    /// Connects, trying again while no node answers, and makes the indexes where there are none.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] for a configuration that cannot work or a server that is not
    /// OpenSearch 2 or later; [`IndexError::Unavailable`] when no node answered in
    /// [`Config::connect_timeout_seconds`], or the user may not do what is needed.
    pub async fn connect(config: Config, clock: SharedClock) -> Result<Self, IndexError> {
        let nodes = config.check()?;
        let client = Arc::new(Client::new(&config, nodes, clock)?);
        let generations = Generations::new(Arc::clone(&client), config.clone());
        health::wait(&client, &generations, config.connect_timeout_seconds).await?;
        let shared = Shared {
            client,
            config,
            generations,
        };
        Ok(Self {
            shared: Arc::new(shared),
            building: None,
        })
    }

    fn passages_index(&self) -> String {
        match &self.building {
            Some(generation) => generation.all_passages(),
            None => self.shared.generations.passages_alias(),
        }
    }

    fn sources_index(&self) -> String {
        match &self.building {
            Some(generation) => generation.sources(),
            None => self.shared.generations.sources_alias(),
        }
    }

    /// The generations that a write goes to; the one whose outcomes count comes last.
    async fn targets(&self) -> Result<Vec<Generation>, Failure> {
        if let Some(generation) = &self.building {
            return Ok(vec![generation.clone()]);
        }
        let Live { serving, building } = self.shared.generations.ensure().await?;
        // First where it does not show: whoever is cut off in between repeats the write, and must
        // not find it done already.
        Ok(building.into_iter().chain([serving]).collect())
    }

    async fn write_checked(&self, changes: &[Change]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::new();
        for generation in self.targets().await? {
            outcomes = write::apply(&self.shared, &generation, changes).await?;
        }
        Ok(outcomes)
    }

    /// Asks; once more where what was asked was not there and could be made.
    async fn read<T, F>(&self, ask: impl Fn() -> F) -> Result<T, IndexError>
    where
        F: Future<Output = Result<T, IndexError>>,
    {
        match ask().await {
            Err(IndexError::Unavailable(reason)) if self.building.is_none() => {
                // Asked only after a failure: it costs a request.
                match self.shared.generations.live().await {
                    Ok(None) => {
                        self.shared.generations.ensure().await?;
                        ask().await
                    }
                    _ => Err(IndexError::Unavailable(reason)),
                }
            }
            other => other,
        }
    }
}

#[async_trait]
impl Index for OpenSearchIndex {
    async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, IndexError> {
        if changes.len() > limits::CHANGES_PER_WRITE {
            let most = limits::CHANGES_PER_WRITE;
            return Err(IndexError::invalid("changes", format!("at most {most}")));
        }
        changes.iter().try_for_each(Change::check)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let mut tries = 1;
        loop {
            match self.write_checked(&changes).await {
                // Replaced by a rebuild that ended, or removed with one that was given up.
                Err(failure) if failure.is_gone() && tries < REPLACED => tries += 1,
                Err(failure) if failure.is_gone() => {
                    return Err(IndexError::Unavailable(failure.to_string()));
                }
                other => return other.map_err(IndexError::from),
            }
        }
    }

    async fn search(&self, query: &Query) -> Result<Hits, IndexError> {
        query.check()?;
        let index = self.passages_index();
        self.read(|| search::run(&self.shared, &index, query)).await
    }

    async fn source(&self, source: Source) -> Result<Option<SourceState>, IndexError> {
        let index = self.sources_index();
        let sources = BTreeSet::from([source]);
        self.read(|| async {
            let known = entries::read(&self.shared.client, &index, &sources).await?;
            known
                .get(&source)
                .map_or(Ok(None), |known| known.entry.state())
        })
        .await
    }

    async fn sources(
        &self,
        kind: SourceKind,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<SourceState>, IndexError> {
        if limit == 0 || limit > limits::SOURCES_PER_PAGE {
            let most = limits::SOURCES_PER_PAGE;
            return Err(IndexError::invalid("limit", format!("1 to {most}")));
        }
        let index = self.sources_index();
        self.read(|| entries::list(&self.shared.client, &index, kind, after, limit))
            .await
    }

    async fn clear(&self) -> Result<(), IndexError> {
        match &self.building {
            None => Ok(self.shared.generations.clear().await?),
            Some(_) => Err(IndexError::invalid(
                "index",
                "one that is being filled is not cleared: begin again",
            )),
        }
    }

    async fn begin_rebuild(&self) -> Result<Box<dyn Rebuilding>, IndexError> {
        let generation = self.shared.generations.begin().await?;
        let index = Self {
            shared: Arc::clone(&self.shared),
            building: Some(generation.clone()),
        };
        Ok(Box::new(Rebuild { generation, index }))
    }

    async fn stats(&self) -> Result<Stats, IndexError> {
        let index = self.sources_index();
        self.read(|| async { Ok(entries::count(&self.shared.client, &index).await?) })
            .await
    }

    async fn ping(&self) -> Result<(), IndexError> {
        let indexes = format!("{},{}", self.passages_index(), self.sources_index());
        health::ping(&self.shared.client, &indexes).await
    }
}

/// A generation that is being filled.
#[derive(Debug)]
struct Rebuild {
    generation: Generation,
    index: OpenSearchIndex,
}

#[async_trait]
impl Rebuilding for Rebuild {
    fn index(&self) -> Arc<dyn Index> {
        Arc::new(self.index.clone())
    }

    async fn finish(&self) -> Result<(), IndexError> {
        let shared = &self.index.shared;
        Ok(shared.generations.finish(&self.generation).await?)
    }

    async fn give_up(&self) -> Result<(), IndexError> {
        let shared = &self.index.shared;
        Ok(shared.generations.give_up(&self.generation).await?)
    }
}
