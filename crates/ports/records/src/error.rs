//! What can go wrong, and what the caller may do about it.

use thiserror::Error;

/// An error of the records port.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordsError {
    /// The request itself is wrong; nothing was done. Repeating it never helps.
    #[error("invalid input in {field}: {reason}")]
    InvalidInput {
        /// The column or parameter at fault, as `table.column` or the parameter's name.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A limit of [`crate::limits`] is passed; nothing was done.
    #[error("{what} is too large: {actual}, and {limit} is the limit")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// What was asked for.
        actual: usize,
    },
    /// The store did not do it and can be asked again later.
    #[error("the records store is unavailable: {reason}")]
    Unavailable {
        /// What the engine said.
        reason: String,
    },
    /// The write may or may not have happened (for example a time-out). Repeating `write` is
    /// harmless; after `apply`, read at [`crate::ReadLevel::Serial`]: the row is ours if
    /// its `op_id` is ours.
    #[error("the outcome of the write is unknown: {reason}")]
    Unknown {
        /// What the engine said.
        reason: String,
    },
    /// The store's schema is not the one that this program needs.
    #[error("schema: {reason}")]
    Schema {
        /// What differs, and the remedy.
        reason: String,
    },
    /// What is stored cannot be read as the table declares it.
    #[error("corrupt record in {table}: {reason}")]
    Corrupt {
        /// The table.
        table: String,
        /// What could not be read.
        reason: String,
    },
}

impl RecordsError {
    /// Whether the same call may succeed later: only [`Self::Unavailable`] and [`Self::Unknown`].
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unknown { .. })
    }

    /// An [`Self::InvalidInput`].
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidInput {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// An [`Self::Unavailable`].
    pub fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable {
            reason: reason.to_string(),
        }
    }

    /// An [`Self::Unknown`].
    pub fn unknown(reason: impl ToString) -> Self {
        Self::Unknown {
            reason: reason.to_string(),
        }
    }

    /// A [`Self::Schema`].
    pub fn schema(reason: impl Into<String>) -> Self {
        Self::Schema {
            reason: reason.into(),
        }
    }

    /// A [`Self::Corrupt`].
    pub fn corrupt(table: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt {
            table: table.into(),
            reason: reason.to_string(),
        }
    }
}
