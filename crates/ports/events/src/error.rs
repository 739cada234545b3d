//! What can go wrong on the bus, and what may be retried.

/// The result of a call on the bus.
pub type Result<T> = std::result::Result<T, EventsError>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The caller asked for something that can never work; trying again is useless.
    #[error("{field}: {message}")]
    InvalidInput {
        /// The attribute or argument.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The encoded event is larger than [`crate::MAX_EVENT_BYTES`].
    #[error("the event has {size_bytes} bytes, more than the {limit_bytes} allowed")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The bus cannot be reached, or the outcome is unknown. Publish again with the same id.
    #[error("the event bus is unavailable: {0}")]
    Unavailable(String),
    /// A delivery was answered after it had been given back (visibility timeout, consumer
    /// dropped): another member may have it by now, and its effect may be repeated.
    #[error("the delivery is no longer held by this consumer")]
    NotHeld,
    /// A broadcast subscriber was too slow and the oldest events were dropped. It reloads the
    /// state that the events told of, as it does at start; the next call goes on.
    #[error("{missed} broadcast events were missed")]
    Lagged {
        /// How many were dropped since the last call.
        missed: u64,
    },
    /// There is no such dead letter in the group.
    #[error("no dead letter {id} in group {group}")]
    NoSuchDeadLetter {
        /// The group.
        group: String,
        /// The id that was asked for.
        id: String,
    },
    /// What the store holds cannot be read.
    #[error("the event store is damaged: {0}")]
    Corrupt(String),
}

impl EventsError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidInput {
            field,
            message: message.into(),
        }
    }
}
