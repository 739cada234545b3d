//! What can go wrong.

use chrono::{DateTime, Utc};

/// Why an operation on blobs was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    /// An argument is not allowed.
    #[error("{field}: {reason}")]
    InvalidInput {
        /// Which argument.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No such upload: never begun, aborted, or expired.
    #[error("no such upload")]
    UploadNotFound,
    /// No such blob.
    #[error("no such blob")]
    BlobNotFound,
    /// Another writer has taken the upload over; this one must stop.
    #[error("another writer has taken the upload over")]
    Fenced,
    /// Another append of the same writer is running.
    #[error("another append to this upload is running")]
    Busy,
    /// The append does not start where the durable bytes end.
    #[error("the upload has {durable} bytes")]
    OffsetMismatch {
        /// Where the next append must start.
        durable: u64,
    },
    /// More bytes than the upload may have. Those within the limit were kept.
    #[error("more than {max_bytes} bytes")]
    TooLarge {
        /// The limit of the upload in bytes.
        max_bytes: u64,
    },
    /// The upload is complete: nothing can be appended or aborted any more.
    #[error("the upload is complete")]
    AlreadyComplete,
    /// The received bytes are not what [`crate::Expected`] said. The upload stays as it is.
    #[error("{field} is {actual}, expected {expected}")]
    Mismatch {
        /// `size` or `sha256`.
        field: &'static str,
        /// What was expected.
        expected: String,
        /// What was received.
        actual: String,
    },
    /// The range names no byte of the blob.
    #[error("the blob has {size} bytes")]
    RangeNotSatisfiable {
        /// The size of the blob in bytes.
        size: u64,
    },
    /// The blob may not be deleted yet: it is not marked (no time), or its grace is not over.
    #[error("the blob may not be deleted before its grace is over")]
    InGrace {
        /// When it may be deleted, if nobody unmarks it; none when it is not marked.
        until: Option<DateTime<Utc>>,
    },
    /// The bytes to append could not be read to their end (the sender went away). What came is kept.
    #[error("the content could not be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store has no room.
    #[error("the blob store is full: {0}")]
    NoSpace(String),
    /// The store cannot be reached or failed; whether an effect happened is unknown.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored is not what was stored.
    #[error("the blob store is damaged: {0}")]
    Corrupt(String),
}

impl BlobsError {
    /// Whether the same call may succeed later without anything else being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy)
    }
}
