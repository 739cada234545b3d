//! The trait and its guarantees.

use async_trait::async_trait;

use crate::{Change, Hits, IndexError, Outcome, Query, Source, SourceKind, SourceState, Stats};

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
///   heading or title, exactly or by its stem, as [`analysis`](crate::analysis) defines. Stop
///   words match only where the query has nothing else. Scores are the adapter's own.
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

    /// Removes everything, tombstones too, durably. For a rebuild from the owners.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn clear(&self) -> Result<(), IndexError>;

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
