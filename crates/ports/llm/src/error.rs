//! What can go wrong when a model is asked.

/// The result of a call on the port.
pub type Result<T> = std::result::Result<T, LlmError>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// The request can never work.
    #[error("{field}: {message}")]
    InvalidInput {
        /// The field of the request.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such model.
    #[error("there is no model {0}")]
    UnknownModel(String),
    /// The conversation does not fit into what the model can read.
    #[error("the conversation is too long for the model: {0}")]
    TooLong(String),
    /// The server is away, busy or too slow; the same request may work later.
    #[error("the language model is unavailable: {0}")]
    Unavailable(String),
    /// The answer broke off in the middle. What has come is not the whole answer.
    #[error("the answer broke off: {0}")]
    Interrupted(String),
}

impl LlmError {
    /// Whether the same request may be sent again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Interrupted(_))
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidInput {
            field,
            message: message.into(),
        }
    }
}
