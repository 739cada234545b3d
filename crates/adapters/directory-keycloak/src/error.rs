//! What goes wrong between here and Keycloak. Nothing of what Keycloak says about a request is kept but codes
//! and the rules of passwords: its messages name people.

use bytes::Bytes;
use reqwest::StatusCode;
use riwaq_directory::DirectoryError;
use serde::Deserialize;

/// A call that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer: it may have been carried out where `sent`.
    #[error("{operation}: {cause}")]
    Unanswered {
        operation: &'static str,
        cause: String,
        sent: bool,
    },
    /// An answer that is no success.
    #[error("{operation}: it answered {status}{}", code_of(.body))]
    Refused {
        operation: &'static str,
        status: StatusCode,
        body: Bytes,
    },
    /// A success that cannot be read.
    #[error("{operation}: its answer cannot be read: {cause}")]
    Unreadable {
        operation: &'static str,
        cause: String,
    },
    /// No token for ourselves.
    #[error("signing in as {who}: {cause}")]
    SignIn { who: String, cause: String },
    /// Our turn is over, or did not come.
    #[error("{0}")]
    Turn(String),
}

/// What Keycloak writes about a refusal, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) error_description: String,
    #[serde(default)]
    pub(crate) errors: Vec<FieldRefusal>,
    #[serde(default)]
    pub(crate) field: Option<String>,
    #[serde(default, rename = "errorMessage")]
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FieldRefusal {
    #[serde(default)]
    pub(crate) field: Option<String>,
}

impl CallError {
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.status() == Some(status)
    }

    /// Whether it may have been carried out all the same.
    pub(crate) fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Unanswered { sent, .. } => *sent,
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Unreadable { .. } => true,
            Self::SignIn { .. } | Self::Turn(_) => false,
        }
    }

    /// Whether the same request may fare better.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Unreadable { .. } | Self::SignIn { .. } | Self::Turn(_) => false,
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Refused { body, .. } => serde_json::from_slice(body).unwrap_or_default(),
            _ => Refusal::default(),
        }
    }

    /// The rule that a password breaks, where that is what was refused.
    pub(crate) fn broken_password_rule(&self) -> Option<String> {
        if !self.is(StatusCode::BAD_REQUEST) {
            return None;
        }
        let refusal = self.refusal();
        let about_password = refusal.error.starts_with("invalidPassword")
            || refusal.field.as_deref() == Some("password")
            || refusal.message.starts_with("invalidPassword");
        about_password.then(|| {
            let rule = refusal.error_description.trim();
            let rule = rule.strip_prefix("Invalid password: ").unwrap_or(rule);
            match rule {
                "" => "the sign-in server's rules refuse it".to_owned(),
                rule => rule.chars().take(200).collect(),
            }
        })
    }
}

impl From<CallError> for DirectoryError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreadable { .. } => Self::Corrupt(error.to_string()),
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

/// The machine's word for a refusal, never its sentence.
fn code_of(body: &Bytes) -> String {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let code: String = refusal
        .error
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect();
    if code.is_empty() {
        code
    } else {
        format!(" ({code})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &'static str) -> CallError {
        CallError::Refused {
            operation: "update_user",
            status: StatusCode::BAD_REQUEST,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_broken_password_rule_is_told() {
        let error = refused(
            r#"{"error":"invalidPasswordMinLengthMessage","error_description":"Invalid password: minimum length 12."}"#,
        );
        assert_eq!(error.broken_password_rule().unwrap(), "minimum length 12.");
        assert!(refused("{}").broken_password_rule().is_none());
        assert!(refused("no JSON").broken_password_rule().is_none());
    }

    #[test]
    fn what_names_people_is_not_told() {
        let error = refused(r#"{"errorMessage":"User zoe@example.org exists","error":"x y z"}"#);
        assert_eq!(
            error.to_string(),
            "update_user: it answered 400 Bad Request (x)"
        );
    }
}
