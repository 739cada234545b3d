//! Errors as OAuth and OpenID Connect name them.

use std::borrow::Cow;

use riwaq_kit::{Code, Problem};

/// An error of RFC 6749 (4.1.2.1, 5.2) or OpenID Connect Core (3.1.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    /// One of the registered words.
    pub(crate) code: &'static str,
    /// For the client's developer, ASCII.
    pub(crate) description: Cow<'static, str>,
}

impl OAuthError {
    pub(crate) fn new(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            description: description.into(),
        }
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) fn invalid_client() -> Self {
        Self::new(
            "invalid_client",
            "the client is unknown, or its secret is wrong or missing",
        )
    }

    /// One text for every reason: which one it was would help only who guesses.
    pub(crate) fn invalid_grant() -> Self {
        Self::new(
            "invalid_grant",
            "the code or token is unknown, used, expired, revoked, or of another client",
        )
    }

    pub(crate) fn invalid_scope() -> Self {
        Self::new("invalid_scope", "the client may not ask for this scope")
    }
}

/// What went wrong on our side; the cause is in the log.
impl From<Problem> for OAuthError {
    fn from(problem: Problem) -> Self {
        match problem.code() {
            Code::Unavailable | Code::Timeout | Code::RateLimited => {
                Self::new("temporarily_unavailable", "try again shortly")
            }
            _ => Self::new("server_error", "the cause is in the log of the issuer"),
        }
    }
}
