//! The trait and its guarantees.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Change, Hits, IndexError, Outcome, Query, Source, SourceKind, SourceState, Stats};

/// An index that is filled anew, for the work of an operator.
///
/// Guarantees:
/// - What was written by any handle since the beginning, and what is written to
///   [`index`](Self::index), is in the new index, the newest version of each source; nothing else is.
/// - Until [`finish`](Self::finish) returns, searches answer as if nobody had begun. (An adapter
///   within one process may fill [`InPlace`]: then less is found until the end.)
/// - One that is given up, or whose process ends, changes nothing of what is found.
#[async_trait]
pub trait Rebuilding: Send + Sync + std::fmt::Debug {
    /// The new index: empty at first, knows no versions of before.
    fn index(&self) -> Arc<dyn Index>;

    /// From now on everybody is answered from the new index; the old one is removed.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`], also when another rebuild was begun meanwhile: then nothing
    /// changed.
    async fn finish(&self) -> Result<(), IndexError>;

    /// Gives it up: what was filled is removed, and writes do not go there any more.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]; the next one that begins gives it up as well.
    async fn give_up(&self) -> Result<(), IndexError>;
}

/// A rebuild that clears the index itself: for adapters within one process.
#[derive(Debug)]
pub struct InPlace(Arc<dyn Index>);

impl InPlace {
    /// Clears the index.
    ///
    /// # Errors
    /// As [`Index::clear`].
    pub async fn begin(index: Arc<dyn Index>) -> Result<Box<dyn Rebuilding>, IndexError> {
        index.clear().await?;
        Ok(Box::new(Self(index)))
    }
}

#[async_trait]
impl Rebuilding for InPlace {
    fn index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.0)
    }

    async fn finish(&self) -> Result<(), IndexError> {
        Ok(())
    }

    async fn give_up(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

/// A full-text index.
///
/// Guarantees:
/// - **Rights.** A document whose course is not in [`Query::readable`] is never returned, never
///   counted towards the limit and never decides whether there is a next page, whatever the text
///   of the query. The set takes part in the search; it is not applied to its result.
/// - **Durability.** When [`write`](Self::write) returns `Ok`, what it applied survives a crash of
///   the process. Whoever acknowledges an event acknowledges after that.
/// - **Visibility.** A search that starts after a write returned sees it, on every handle.
/// - **Atomicity.** A change is there as a whole or not at all, also for a reader in the middle
///   and after a crash. Changes of one write are independent of one another.
/// - **Order.** By [`Change::version`], whatever the order of arrival; see there. A write that is
///   repeated has no further effect.
/// - **Matching.** A document matches when at least one word of the query stands in its text,
///   heading or title, exactly as [`analysis`](crate::analysis) defines, or by its stem. The stem is
///   that of [`analysis`](crate::analysis), or of the engine's own analyser of the document's
///   language. Stop words match only where the query has nothing else. Scores are the adapter's own.
///   [`Hit::coverage`](crate::Hit::coverage) and [`Hit::highlights`](crate::Hit::highlights) follow
///   [`analysis`](crate::analysis) in every adapter.
/// - **Paging.** Following [`Hits::next`] over an index that does not change gives every hit once.
///   Where it changes in between, hits may be missed or repeated, never forbidden ones given.
/// - **Limits.** [`limits`](crate::limits); beyond them [`IndexError::InvalidInput`].
///
/// Retry what is [`IndexError::is_retryable`]; every operation is idempotent.
#[async_trait]
pub trait Index: Send + Sync + std::fmt::Debug + 'static {
    /// Applies changes; one outcome a change, in their order.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] when any change breaks a rule (then none is applied);
    /// [`IndexError::Unavailable`] when it is unknown what was applied.
    async fn write(&self, changes: Vec<Change>) -> Result<Vec<Outcome>, IndexError>;

    /// The best documents for a question.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] for a limit out of range; [`IndexError::Unavailable`].
    async fn search(&self, query: &Query) -> Result<Hits, IndexError>;

    /// What is known of a source; none when it was never written.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn source(&self, source: Source) -> Result<Option<SourceState>, IndexError>;

    /// Sources of a kind, tombstones too, by id; at most `limit` after the given one.
    /// For operators' work: a rebuild asks what there was.
    ///
    /// # Errors
    /// [`IndexError::InvalidInput`] for a limit out of range; [`IndexError::Unavailable`].
    async fn sources(
        &self,
        kind: SourceKind,
        after: Option<uuid::Uuid>,
        limit: usize,
    ) -> Result<Vec<SourceState>, IndexError>;

    /// Removes everything, tombstones too, durably. A rebuild that is under way is given up.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn clear(&self) -> Result<(), IndexError>;

    /// Begins to fill the index anew from the owners. One that was begun before and not finished
    /// is given up, by whatever process it was begun.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn begin_rebuild(&self) -> Result<Box<dyn Rebuilding>, IndexError>;

    /// How much there is.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn stats(&self) -> Result<Stats, IndexError>;

    /// Whether the index can answer and accept writes now: for readiness.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`] with the reason.
    async fn ping(&self) -> Result<(), IndexError>;
}
