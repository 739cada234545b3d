//! What can go wrong with an index.

/// Why an index did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The request breaks a rule of the port; nothing was changed.
    #[error("{field}: {message}")]
    InvalidInput {
        /// The field that breaks the rule.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Another process holds the index; an embedded index serves one process only.
    #[error("the index in {place} is in use by another process")]
    InUse {
        /// Where the index lies.
        place: String,
    },
    /// The index cannot be reached, is shutting down, or its disk refuses. A write that ends like
    /// this may or may not have happened: repeat it, writes are idempotent.
    #[error("the index is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read. Rebuild the index.
    #[error("the index is corrupt: {0}")]
    Corrupt(String),
}

impl IndexError {
    /// A broken rule on `field`.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidInput {
            field,
            message: message.into(),
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
