//! What the dispatcher tells the store.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::event::CloudEvent;

/// A decision of the dispatcher about one stored event, named by its group and sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was handed out for the `attempt`-th time. May be kept lazily: it only serves to count
    /// the attempts of an event that kills the process.
    Delivered {
        /// The event.
        seq: u64,
        /// Counted from 1.
        attempt: u32,
    },
    /// It was given back unanswered and is to be delivered again at once.
    Returned {
        /// The event.
        seq: u64,
        /// Deliveries so far.
        attempt: u32,
    },
    /// It was handled: forget it.
    Acked {
        /// The event.
        seq: u64,
    },
    /// It failed and is to be delivered again.
    Retry {
        /// The event.
        seq: u64,
        /// Deliveries so far.
        attempt: u32,
        /// Not before this time.
        due_at: DateTime<Utc>,
    },
    /// It failed too often: make it a dead letter.
    Dead {
        /// The event.
        seq: u64,
        /// Deliveries in all.
        attempts: u32,
        /// Why the last one failed.
        reason: String,
        /// When it was given up.
        died_at: DateTime<Utc>,
    },
    /// Few events of this type are left in memory and the store has more: load some and call
    /// [`super::Groups::refilled`].
    Refill {
        /// The type.
        kind: Arc<str>,
        /// Only those with a higher number.
        after_seq: u64,
    },
}

/// Where the events of a dispatcher are kept.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Takes note of a change. Called under the dispatcher's lock, in the order of the decisions:
    /// must neither block nor call the dispatcher. An error means that the store is gone.
    ///
    /// # Errors
    /// [`crate::EventsError::Unavailable`].
    fn record(&self, group: &Arc<str>, change: Change) -> Result<()>;

    /// The body of an event that the dispatcher does not hold in memory; none if it is gone.
    ///
    /// # Errors
    /// [`crate::EventsError::Unavailable`] or [`crate::EventsError::Corrupt`].
    async fn load(&self, group: &Arc<str>, seq: u64) -> Result<Option<Arc<CloudEvent>>>;
}
