//! What the audit journal keeps of an administrative act.

use serde::{Deserialize, Serialize};

/// The act that a version is the outcome of. Who and when stand in the version itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditNote {
    /// Such as `user.created`.
    pub action: String,
    /// Names of fields, roles and states; never personal data.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

impl AuditNote {
    pub(crate) fn new(action: &str, detail: serde_json::Value) -> Self {
        Self {
            action: action.to_owned(),
            detail,
        }
    }
}
