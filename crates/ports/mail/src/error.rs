//! What can go wrong when mail is sent.

/// The result of a call on the mail port.
pub type Result<T> = std::result::Result<T, MailError>;

/// What went wrong. Texts of a server are kept short and free of control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The message cannot be sent as it is; nothing was.
    #[error("{field}: {message}")]
    Invalid {
        /// The message's field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Not now: the server is away, or answered 4xx (RFC 5321 section 4.2.1). Try again later.
    #[error("mail cannot be sent now{}: {message}", in_brackets(*code))]
    Temporary {
        /// The reply code of the server, where there was one.
        code: Option<u16>,
        /// Why.
        message: String,
    },
    /// Never: the server answered 5xx, or refuses our credentials. Trying again is useless
    /// until somebody changes something.
    #[error("mail was refused{}: {message}", in_brackets(*code))]
    Permanent {
        /// The reply code of the server, where there was one.
        code: Option<u16>,
        /// Why.
        message: String,
    },
}

impl MailError {
    /// Whether the same message may be accepted later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Temporary { .. })
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }
}

fn in_brackets(code: Option<u16>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}
