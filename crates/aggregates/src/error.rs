//! What can go wrong, and what the caller may do about it.

use riwaq_events::EventsError;
use riwaq_records::RecordsError;

/// An error of this crate. Kit maps each one to a problem; nothing here is for people to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's own input or wiring is wrong; repeating it never helps.
    #[error("invalid input in {field}: {reason}")]
    InvalidInput {
        /// The parameter at fault.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no aggregate with this id (or no such version of it).
    #[error("no such {kind}")]
    NotFound {
        /// [`crate::Aggregate::KIND`].
        kind: &'static str,
    },
    /// An aggregate with this id exists already, made by another operation.
    #[error("this {kind} exists already")]
    Exists {
        /// [`crate::Aggregate::KIND`].
        kind: &'static str,
    },
    /// The version that the caller expected is not the present one: read again (412).
    #[error("version {expected} was expected, and the present one is {current}")]
    Stale {
        /// What the caller expected.
        expected: i64,
        /// What there is.
        current: i64,
    },
    /// So many others change the same thing that the bounded retries did not get through; nothing
    /// was done, try again later.
    #[error("too many writers at once on one {kind}")]
    Contended {
        /// What is contended.
        kind: &'static str,
    },
    /// The time allowed for one write ran out before its version row was sent; nothing was done.
    #[error("the write of this {kind} took longer than it may")]
    TooSlow {
        /// [`crate::Aggregate::KIND`].
        kind: &'static str,
    },
    /// A uniqueness claim is held by another.
    #[error("the {scope} is taken")]
    Taken {
        /// What must be unique, for example `email`.
        scope: String,
        /// Who holds it: the id of an aggregate.
        holder: String,
    },
    /// The idempotency key was used with another request (422).
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// The request with this idempotency key is still being worked on (409).
    #[error("the request with this idempotency key is still running")]
    StillRunning,
    /// A cursor that was altered, or is of another list, query or user (400).
    #[error("bad cursor")]
    BadCursor,
    /// The lease is another's now; what was done under it must stop.
    #[error("the lease {name} is lost")]
    LeaseLost {
        /// The lease.
        name: String,
    },
    /// A value cannot be written as JSON, or is too long when it is.
    #[error("cannot encode: {reason}")]
    Encode {
        /// What the encoder said.
        reason: String,
    },
    /// A stored state cannot be read, even after the upcasters.
    #[error("corrupt state of {kind} {id} version {version}: {reason}")]
    Corrupt {
        /// [`crate::Aggregate::KIND`].
        kind: String,
        /// The aggregate.
        id: String,
        /// The version.
        version: i64,
        /// What could not be read.
        reason: String,
    },
    /// The records store.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The event bus.
    #[error(transparent)]
    Events(#[from] EventsError),
}

impl Error {
    /// Whether the same call may succeed later without anything else changing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Records(error) => error.is_retryable(),
            Self::Events(error) => error.is_retryable(),
            Self::Contended { .. } | Self::TooSlow { .. } | Self::StillRunning => true,
            _ => false,
        }
    }

    pub(crate) fn encode(error: impl ToString) -> Self {
        Self::Encode {
            reason: error.to_string(),
        }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput {
            field,
            reason: reason.into(),
        }
    }
}

/// The result of a call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
