//! The tables.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_directory::{Account, AccountStatus};
use riwaq_records::{Table, TableSchema};
use uuid::Uuid;

/// The tables of this adapter, for whoever gathers the schema.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![AccountRow::schema(), LoginRow::schema()]
}

/// One account. Its row is there before its names are claimed, without anything but the id, so
/// that a claim's owner always has a row to be fenced by. A removed account stays as such a row, too:
/// the id is never used again, and a creation that was long under way cannot revive it.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "directory_accounts", write = "conditional", partition(id))]
pub(crate) struct AccountRow {
    pub(crate) id: Uuid,
    #[column(text)]
    pub(crate) status: RowStatus,
    pub(crate) version: i64,
    #[column(json)]
    pub(crate) roles: BTreeSet<String>,
    pub(crate) email_key: Option<Bytes>,
    pub(crate) username_key: Option<Bytes>,
    /// In PHC format, with its own parameters and salt.
    pub(crate) password_hash: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// One claimed login name.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "directory_logins", write = "conditional", partition(claim_key))]
pub(crate) struct LoginRow {
    pub(crate) claim_key: Bytes,
    pub(crate) account_id: Uuid,
    pub(crate) claimed_at: DateTime<Utc>,
}

/// An account's status, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowStatus {
    /// Its creation has begun.
    Begun,
    Is(AccountStatus),
    Removed,
}

impl AccountRow {
    /// A row with nothing but an id.
    pub(crate) fn bare(id: Uuid, status: RowStatus, version: i64, now: DateTime<Utc>) -> Self {
        Self {
            id,
            status,
            version,
            roles: BTreeSet::new(),
            email_key: None,
            username_key: None,
            password_hash: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The account, if there is one.
    pub(crate) fn account(&self) -> Option<Account> {
        let RowStatus::Is(status) = self.status else {
            return None;
        };
        Some(Account {
            id: self.id,
            roles: self.roles.clone(),
            status,
            version: self.version,
            has_password: self.password_hash.is_some(),
        })
    }

    /// Whether this account lists the claimed name as its own.
    pub(crate) fn lists(&self, claim_key: &Bytes) -> bool {
        self.keys().any(|key| key == claim_key)
    }

    pub(crate) fn has_names_of(&self, other: &Self) -> bool {
        self.email_key == other.email_key && self.username_key == other.username_key
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.email_key.iter().chain(&self.username_key)
    }
}

impl fmt::Display for RowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => "begun",
            Self::Is(AccountStatus::Pending) => "pending",
            Self::Is(AccountStatus::Active) => "active",
            Self::Is(AccountStatus::Disabled) => "disabled",
            Self::Removed => "removed",
        })
    }
}

impl FromStr for RowStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "begun" => Ok(Self::Begun),
            "pending" => Ok(Self::Is(AccountStatus::Pending)),
            "active" => Ok(Self::Is(AccountStatus::Active)),
            "disabled" => Ok(Self::Is(AccountStatus::Disabled)),
            "removed" => Ok(Self::Removed),
            other => Err(format!("{other:?} is no status")),
        }
    }
}
