//! The tables.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use riwaq_aggregates::{Aggregate, Version, ViewRows, version_table};
use riwaq_identity::EVENT_ROLE_CHANGED;
use riwaq_records::{RecordsError, Table, TableSchema, Value};
use uuid::Uuid;

use crate::EVENT_USER_CHANGED;
use crate::domain::{Profile, Role, Roster, User};

/// Parts of the lists of all users: one partition would grow too large.
pub(crate) const BUCKETS: i64 = 16;

/// The bucket of a user: by the last byte, because the first ones of a version 7 id are its time.
pub(crate) fn bucket(user_id: Uuid) -> i64 {
    i64::from(user_id.as_bytes()[15]) % BUCKETS
}

version_table! {
    /// Every version of every user.
    pub(crate) fn user_versions() = "user_versions", since 1;
    key { id: Uuid }
    columns { deleted: bool }
}

version_table! {
    /// Every version of every role.
    pub(crate) fn role_versions() = "role_versions", since 1;
    key { name: String }
    columns { deleted: bool }
}

version_table! {
    /// Every version of the list of administrators.
    pub(crate) fn roster_versions() = "admin_roster_versions", since 1;
    key { name: String }
    columns {}
}

/// The users by name, in buckets.
#[derive(Debug, Clone, Table)]
#[table(
    name = "users_by_name",
    write = "timestamped",
    partition(bucket),
    clustering(sort_name, user_id)
)]
pub(crate) struct UserByName {
    pub bucket: i64,
    pub sort_name: String,
    pub user_id: Uuid,
    #[column(json)]
    pub profile: Profile,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The roles that a school made; deleted ones too, so that the list's version never goes back.
#[derive(Debug, Clone, Table)]
#[table(
    name = "roles",
    write = "timestamped",
    partition(list),
    clustering(name)
)]
pub(crate) struct RoleRow {
    pub list: String,
    pub name: String,
    #[column(json)]
    pub permissions: BTreeSet<String>,
    pub deleted: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The one partition of [`RoleRow`].
pub(crate) const ROLES: &str = "roles";

/// How far a user's versions have been settled: asked of the auth service, old claims given up.
/// Written with the version as timestamp.
#[derive(Debug, Clone, Table)]
#[table(name = "users_settled", write = "timestamped", partition(user_id))]
pub(crate) struct Settled {
    pub user_id: Uuid,
    pub version: i64,
}

/// What was last heard of an account, for counting. Written with the account's version as timestamp.
#[derive(Debug, Clone, Table)]
#[table(
    name = "accounts_seen",
    write = "timestamped",
    partition(bucket),
    clustering(user_id)
)]
pub(crate) struct AccountSeen {
    pub bucket: i64,
    pub user_id: Uuid,
    #[column(json)]
    pub roles: BTreeSet<String>,
    pub status: String,
    pub account_version: i64,
}

/// The audit journal, a partition for each day (UTC).
#[derive(Debug, Clone, Table)]
#[table(name = "audit_log", write = "timestamped", partition(day), clustering(at desc, event_id desc))]
pub(crate) struct AuditRow {
    pub day: String,
    pub at: DateTime<Utc>,
    pub event_id: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    #[column(json)]
    pub detail: serde_json::Value,
}

/// The days that have an audit partition.
#[derive(Debug, Clone, Table)]
#[table(name = "audit_days", write = "timestamped", partition(journal), clustering(day desc))]
pub(crate) struct AuditDay {
    pub journal: String,
    pub day: String,
    pub noted: bool,
}

/// The one partition of [`AuditDay`].
pub(crate) const AUDIT: &str = "audit";

/// When another service's audit line came first, so that sending it again changes nothing.
#[derive(Debug, Clone, Table)]
#[table(name = "audit_received", write = "conditional", partition(event_id))]
pub(crate) struct AuditReceived {
    pub event_id: String,
    pub at: DateTime<Utc>,
}

pub(crate) fn tables() -> Vec<&'static TableSchema> {
    vec![
        user_versions(),
        role_versions(),
        roster_versions(),
        UserByName::schema(),
        RoleRow::schema(),
        Settled::schema(),
        AccountSeen::schema(),
        AuditRow::schema(),
        AuditDay::schema(),
        AuditReceived::schema(),
    ]
}

impl Aggregate for User {
    type Id = Uuid;
    const KIND: &'static str = "user";
    const EVENT: Option<&'static str> = Some(EVENT_USER_CHANGED);

    fn table() -> &'static TableSchema {
        user_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![Value::from(self.deleted)]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        let user = &version.state;
        if user.deleted {
            return Ok(());
        }
        rows.put(&UserByName {
            bucket: bucket(version.id),
            sort_name: user.profile.sort_name(),
            user_id: version.id,
            profile: user.profile.clone(),
            version: version.version,
            created_at: user.created_at,
            updated_at: version.at,
        })
    }
}

impl Aggregate for Role {
    type Id = String;
    const KIND: &'static str = "role";
    const EVENT: Option<&'static str> = Some(EVENT_ROLE_CHANGED);

    fn table() -> &'static TableSchema {
        role_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![Value::from(self.deleted)]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        rows.put(&RoleRow {
            list: ROLES.to_owned(),
            name: version.id.clone(),
            permissions: version.state.permissions.clone(),
            deleted: version.state.deleted,
            version: version.version,
            created_at: version.state.created_at,
            updated_at: version.at,
        })
    }
}

impl Aggregate for Roster {
    type Id = String;
    const KIND: &'static str = "admin_roster";
    const EVENT: Option<&'static str> = None;

    fn table() -> &'static TableSchema {
        roster_versions()
    }
}

#[cfg(test)]
mod tests {
    use riwaq_records::MigrationPlan;

    use super::*;

    #[test]
    fn the_tables_can_be_migrated() {
        MigrationPlan::new(tables().into_iter().chain(riwaq_aggregates::tables())).unwrap();
    }
}
