//! The index in memory: the model that the conformance suite compares others with, and what tests
//! of other crates use. Reads every document for every question; nothing survives the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use uuid::Uuid;

use crate::analysis::{QueryTerms, tokens};
use crate::{
    Change, Content, Document, Hit, Hits, InPlace, Index, IndexError, Kind, Outcome, Position,
    Query, Rebuilding, Source, SourceKind, SourceState, Stats, limits,
};

/// A handle onto an index in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryIndex {
    sources: Arc<RwLock<BTreeMap<Source, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    version: u64,
    /// None for a tombstone.
    documents: Option<Vec<Indexed>>,
    note: String,
}

#[derive(Debug)]
struct Indexed {
    document: Document,
    exact: HashMap<String, f32>,
    stems: HashMap<String, f32>,
}

/// How much a word in the title or heading counts beside one in the text.
const HEAD_WEIGHT: f32 = 1.5;

impl Indexed {
    fn new(document: Document) -> Self {
        let mut indexed = Self {
            document,
            exact: HashMap::new(),
            stems: HashMap::new(),
        };
        let Document {
            text,
            title,
            heading,
            language,
            ..
        } = indexed.document.clone();
        for (part, weight) in [(text, 1.0), (title, HEAD_WEIGHT), (heading, HEAD_WEIGHT)] {
            for token in tokens(&part, language) {
                *indexed.exact.entry(token.exact).or_default() += weight;
                if let Some(stem) = token.stem {
                    *indexed.stems.entry(stem).or_default() += weight;
                }
            }
        }
        indexed
    }

    /// The score; none when nothing matches.
    fn score(&self, terms: &QueryTerms) -> Option<f32> {
        let saturated = |count: f32| count / (count + 1.2);
        let mut score = 0.0;
        for word in terms.words() {
            if let Some(count) = self.exact.get(&word.exact) {
                score += 2.0 * saturated(*count);
            }
            for stem in &word.stems {
                score += self.stems.get(stem).copied().map_or(0.0, saturated);
            }
        }
        (score > 0.0).then_some(score)
    }

    fn hit(&self, terms: &QueryTerms, score: f32) -> Hit {
        let document = &self.document;
        let mut matches = terms.matches(&document.text, document.language);
        matches.also(&terms.matches(&document.heading, document.language));
        Hit {
            document: document.clone(),
            score,
            coverage: matches.coverage(),
            highlights: matches.highlights,
        }
    }
}

impl MemoryIndex {
    /// An empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn apply(sources: &mut BTreeMap<Source, Entry>, change: Change) -> Outcome {
        if let Some(entry) = sources.get(&change.source) {
            let buried = entry.documents.is_none() && change.content != Content::Deleted;
            if entry.version > change.version || (entry.version == change.version && buried) {
                return Outcome::Refused {
                    current: entry.version,
                };
            }
        }
        let documents = match change.content {
            Content::Documents(all) => Some(all.into_iter().map(Indexed::new).collect()),
            Content::Deleted => None,
        };
        let entry = Entry {
            version: change.version,
            documents,
            note: change.note,
        };
        sources.insert(change.source, entry);
        Outcome::Applied
    }
}

fn state(source: Source, entry: &Entry) -> SourceState {
    SourceState {
        source,
        version: entry.version,
        deleted: entry.documents.is_none(),
        note: entry.note.clone(),
    }
}

#[async_trait]
impl Index for MemoryIndex {
    async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, IndexError> {
        if changes.len() > limits::CHANGES_PER_WRITE {
            return Err(IndexError::invalid(
                "changes",
                format!("at most {}", limits::CHANGES_PER_WRITE),
            ));
        }
        changes.iter().try_for_each(Change::check)?;
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        Ok(changes
            .into_iter()
            .map(|change| Self::apply(&mut sources, change))
            .collect())
    }

    async fn search(&self, query: &Query) -> Result<Hits, IndexError> {
        query.check()?;
        let terms = QueryTerms::parse(&query.text);
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<(f32, &Indexed)> = sources
            .values()
            .flat_map(|entry| entry.documents.iter().flatten())
            .filter(|indexed| {
                let document = &indexed.document;
                query.readable.allows(document.course_id)
                    && query
                        .course_id
                        .is_none_or(|course| course == document.course_id)
                    && query.kind.is_none_or(|kind| kind == document.kind)
            })
            .filter_map(|indexed| indexed.score(&terms).map(|score| (score, indexed)))
            .filter(|(score, indexed)| {
                query
                    .after
                    .is_none_or(|after| after.precedes(*score, indexed.document.id))
            })
            .collect();
        found.sort_by(|(a, one), (b, other)| {
            b.total_cmp(a)
                .then_with(|| one.document.id.cmp(&other.document.id))
        });
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found
            .last()
            .filter(|_| more)
            .map(|(score, indexed)| Position {
                score: *score,
                id: indexed.document.id,
            });
        let hits = found
            .into_iter()
            .map(|(score, indexed)| indexed.hit(&terms, score))
            .collect();
        Ok(Hits { hits, next })
    }

    async fn source(&self, source: Source) -> Result<Option<SourceState>, IndexError> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        Ok(sources.get(&source).map(|entry| state(source, entry)))
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
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        Ok(sources
            .iter()
            .filter(|(source, _)| {
                source.kind == kind && after.is_none_or(|after| source.id > after)
            })
            .take(limit)
            .map(|(source, entry)| state(*source, entry))
            .collect())
    }

    async fn clear(&self) -> Result<(), IndexError> {
        self.sources
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    async fn begin_rebuild(&self) -> Result<Box<dyn Rebuilding>, IndexError> {
        InPlace::begin(Arc::new(self.clone())).await
    }

    async fn stats(&self) -> Result<Stats, IndexError> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        let mut stats = Stats::default();
        for entry in sources.values() {
            let Some(documents) = &entry.documents else {
                stats.tombstones += 1;
                continue;
            };
            stats.sources += 1;
            for indexed in documents {
                match indexed.document.kind {
                    Kind::Passage => stats.passages += 1,
                    Kind::Course => stats.courses += 1,
                }
            }
        }
        Ok(stats)
    }

    async fn ping(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{self, MemoryFactory};

    #[tokio::test]
    async fn the_memory_index_conforms() {
        conformance::run_all("memory", &MemoryFactory).await;
    }
}
