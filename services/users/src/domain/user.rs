//! A user as this service keeps it, version by version.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountChange, AuditNote, Profile};

/// The state of a user after a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub profile: Profile,
    pub created_at: DateTime<Utc>,
    #[serde(default)]
    pub deleted: bool,
    /// What this version asks of the auth service.
    #[serde(default, skip_serializing_if = "AccountChange::is_empty")]
    pub account: AccountChange,
    /// The administrative act that made this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditNote>,
}

impl User {
    /// The next state with another profile; nothing is asked of the auth service, and it is nobody's
    /// administrative act, unless that is added.
    pub(crate) fn with_profile(&self, profile: Profile) -> Self {
        Self {
            profile,
            created_at: self.created_at,
            deleted: self.deleted,
            account: AccountChange::default(),
            audit: None,
        }
    }

    /// The next state of a user who is gone: without personal data.
    pub(crate) fn erased(&self) -> Self {
        Self {
            deleted: true,
            ..self.with_profile(Profile::default())
        }
    }
}
