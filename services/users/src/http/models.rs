//! What goes over the wire.

use chrono::{DateTime, Utc};
use riwaq_identity::Actor;
use riwaq_kit::Locale;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Profile, ProfileDraft, Status, User};
use crate::flows::ManagedUser;
use crate::records::{AuditRow, RoleRow};

/// What everybody who is signed in may know of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublicProfile {
    /// The user id.
    pub id: Uuid,
    pub first_name: String,
    pub last_name: String,
    /// In Arabic script.
    pub first_name_ar: Option<String>,
    /// In Arabic script.
    pub last_name_ar: Option<String>,
}

impl PublicProfile {
    pub(crate) fn new(id: Uuid, profile: Profile) -> Self {
        Self {
            id,
            first_name: profile.first_name,
            last_name: profile.last_name,
            first_name_ar: profile.first_name_ar,
            last_name_ar: profile.last_name_ar,
        }
    }
}

/// One's own profile, with roles and rights.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnProfile {
    /// The user id.
    pub id: Uuid,
    pub email: String,
    pub username: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub first_name_ar: Option<String>,
    pub last_name_ar: Option<String>,
    pub student_number: Option<String>,
    pub locale: Locale,
    /// As the token names them.
    pub roles: Vec<String>,
    /// What these roles allow.
    pub permissions: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
}

impl OwnProfile {
    pub(crate) fn new(actor: &Actor, user: riwaq_aggregates::Version<User>) -> Self {
        let profile = user.state.profile;
        Self {
            id: user.id,
            email: profile.email,
            username: profile.username,
            first_name: profile.first_name,
            last_name: profile.last_name,
            first_name_ar: profile.first_name_ar,
            last_name_ar: profile.last_name_ar,
            student_number: profile.student_number,
            locale: profile.locale,
            roles: actor.roles().map(str::to_owned).collect(),
            permissions: actor.permissions().names(),
            created_at: user.state.created_at,
            updated_at: user.at,
            version: user.version,
        }
    }
}

/// A change of one's own profile (RFC 7396): what is absent stays, `null` takes an optional value away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchMe {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100)]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 100)]
    pub last_name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub first_name_ar: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub last_name_ar: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Locale>, nullable = false)]
    pub locale: Option<Locale>,
}

/// Called only for a field that is there, so that `null` and absence differ.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl PatchMe {
    /// The profile as it would be; still to be checked.
    pub(crate) fn apply(&self, profile: &Profile) -> ProfileDraft {
        let mut draft = profile.to_draft();
        if let Some(first_name) = &self.first_name {
            draft.first_name.clone_from(first_name);
        }
        if let Some(last_name) = &self.last_name {
            draft.last_name.clone_from(last_name);
        }
        if let Some(first_name_ar) = &self.first_name_ar {
            draft.first_name_ar.clone_from(first_name_ar);
        }
        if let Some(last_name_ar) = &self.last_name_ar {
            draft.last_name_ar.clone_from(last_name_ar);
        }
        draft.locale = self.locale.or(draft.locale);
        draft
    }
}

/// A user as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminUser {
    /// The user id.
    pub id: Uuid,
    pub email: String,
    pub username: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub first_name_ar: Option<String>,
    pub last_name_ar: Option<String>,
    pub student_number: Option<String>,
    pub locale: Locale,
    pub roles: Vec<String>,
    pub status: Status,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Counts changes of the profile.
    pub version: i64,
}

impl From<ManagedUser> for AdminUser {
    fn from(user: ManagedUser) -> Self {
        let profile = user.profile;
        let (roles, status) = match user.account {
            Some(account) => (account.roles.into_iter().collect(), account.status),
            // The account is about to be made, or was removed in the directory.
            None => (Vec::new(), Status::Pending),
        };
        Self {
            id: user.id,
            email: profile.email,
            username: profile.username,
            first_name: profile.first_name,
            last_name: profile.last_name,
            first_name_ar: profile.first_name_ar,
            last_name_ar: profile.last_name_ar,
            student_number: profile.student_number,
            locale: profile.locale,
            roles,
            status,
            created_at: user.created_at,
            updated_at: user.updated_at,
            version: user.version,
        }
    }
}

/// A page of users by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminUserPage {
    pub items: Vec<AdminUser>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// A user to be made, or the whole of what a user is to be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserInput {
    #[schema(min_length = 3, max_length = 254, examples("amal.alami@univ.example"))]
    pub email: String,
    #[serde(default)]
    #[schema(max_length = 64)]
    pub username: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    pub first_name: String,
    #[schema(min_length = 1, max_length = 100)]
    pub last_name: String,
    /// In Arabic script.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub first_name_ar: Option<String>,
    /// In Arabic script.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub last_name_ar: Option<String>,
    #[serde(default)]
    #[schema(max_length = 32)]
    pub student_number: Option<String>,
    /// Names of roles.
    #[schema(max_items = 32)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub locale: Option<Locale>,
    /// 12 to 128 characters. Without one the account is pending until its person chooses one.
    #[serde(default)]
    #[schema(min_length = 12, max_length = 128)]
    pub password: Option<String>,
    /// Required by PUT. On creation: `active` with a password, `pending` without, unless said.
    #[serde(default)]
    pub status: Option<Status>,
    /// Whether a pending person gets a message (yes unless said).
    #[serde(default)]
    pub send_activation: Option<bool>,
}

/// How an activation is to reach its person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivationInput {
    /// By mail; otherwise the answer has a code, for the school to print.
    pub send_mail: bool,
}

/// An activation that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivationAnswer {
    /// The one-time code; null where a mail was sent.
    pub code: Option<String>,
    /// When it ends, RFC 3339.
    pub expires_at: Option<String>,
}

/// A role: a named set of permissions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleAnswer {
    pub name: String,
    pub permissions: Vec<String>,
    /// Every school has it, and it cannot be changed.
    pub given: bool,
    /// Counts changes; 0 for given roles.
    pub version: i64,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

impl From<RoleRow> for RoleAnswer {
    fn from(role: RoleRow) -> Self {
        Self {
            name: role.name,
            permissions: role.permissions.into_iter().collect(),
            given: false,
            version: role.version,
            created_at: Some(role.created_at),
            updated_at: Some(role.updated_at),
        }
    }
}

/// A page of roles: the given ones, then the school's own by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolePage {
    pub items: Vec<RoleAnswer>,
    pub next_cursor: Option<String>,
}

/// A role to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleInput {
    #[schema(min_length = 2, max_length = 64, pattern = "^[a-z][a-z0-9_-]+$")]
    pub name: String,
    #[schema(value_type = Vec<riwaq_identity::Permission>)]
    pub permissions: Vec<String>,
}

/// The permissions that a role is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChange {
    #[schema(value_type = Vec<riwaq_identity::Permission>)]
    pub permissions: Vec<String>,
}

/// A line of the audit journal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    pub id: String,
    pub at: DateTime<Utc>,
    /// Who did it; null for the system itself.
    pub actor_id: Option<Uuid>,
    /// Such as `user.created`.
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    /// Names of fields, roles and states.
    #[schema(value_type = Option<Object>)]
    pub detail: serde_json::Value,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.event_id,
            at: row.at,
            actor_id: row.actor_id,
            action: row.action,
            target_kind: row.target_kind,
            target_id: row.target_id,
            detail: row.detail,
        }
    }
}

/// A page of the audit journal, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    pub items: Vec<AuditEntry>,
    pub next_cursor: Option<String>,
}

/// Figures of the whole school.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsAnswer {
    /// All accounts.
    pub users: u64,
    /// Accounts by state.
    pub users_by_status: std::collections::BTreeMap<String, u64>,
    /// Accounts by role; one with two roles counts twice.
    pub users_by_role: std::collections::BTreeMap<String, u64>,
    /// Roles that the school made.
    pub own_roles: u64,
    /// When it was counted.
    pub counted_at: DateTime<Utc>,
}
