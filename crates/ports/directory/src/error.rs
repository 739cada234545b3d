//! What a directory answers when it cannot do what was asked.

/// Why an operation of a [`Directory`](crate::Directory) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A value breaks a rule of this port. Nothing was changed. Not retryable.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, as the API names it: `email`, `username`, `password`, `roles`, `limit`, `ids`.
        field: &'static str,
        /// The rule, for people.
        message: String,
    },
    /// Something unique belongs to another account already. Not retryable.
    #[error("{field} is taken")]
    Conflict {
        /// `email`, `username`, or `id` where the id belongs to an account with other login names.
        field: &'static str,
    },
    /// There is no such account. Not retryable.
    #[error("no such account")]
    NotFound,
    /// The account is at another version than the caller expected. Not retryable as it is.
    #[error("the account is at version {current}")]
    Stale {
        /// The version the account has.
        current: i64,
    },
    /// This directory cannot do that; see [`Capabilities`](crate::Capabilities). Not retryable.
    #[error("this directory does not support {operation}")]
    Unsupported {
        /// The operation's name.
        operation: &'static str,
    },
    /// The cursor was not made by this directory. Not retryable.
    #[error("the cursor is not one of this directory")]
    BadCursor,
    /// More passwords wait to be hashed than the configured queue holds. Retryable, nothing was changed.
    #[error("too many passwords are being checked")]
    Busy,
    /// The directory cannot be reached, or did not answer in time: the outcome of a change is
    /// unknown, and repeating the call is safe. Retryable.
    #[error("the directory is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be understood. Not retryable; an operator has to look.
    #[error("the directory holds something it cannot read: {0}")]
    Corrupt(String),
}

impl DirectoryError {
    /// An [`DirectoryError::Invalid`] for `field`.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    /// Whether the same call may succeed later and is safe to repeat.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_))
    }
}
