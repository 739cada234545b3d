//! The tables of the suite.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Table, TableSchema};

pub(super) fn all() -> Vec<&'static TableSchema> {
    vec![
        Everything::schema(),
        Named::schema(),
        Entry::schema(),
        ByUuid::schema(),
        ByBlob::schema(),
        ByTime::schema(),
        Ledger::schema(),
        Version::schema(),
        Claim::schema(),
        Account::schema(),
        Session::schema(),
    ]
}

/// Every type, nullable.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_everything",
    write = "timestamped",
    partition(id),
    clustering(k)
)]
pub(super) struct Everything {
    pub(super) id: Uuid,
    pub(super) k: i64,
    pub(super) flag: Option<bool>,
    pub(super) number: Option<i64>,
    pub(super) ratio: Option<f64>,
    pub(super) text: Option<String>,
    #[column(json)]
    pub(super) state: Option<State>,
    pub(super) bytes: Option<Bytes>,
    pub(super) other: Option<Uuid>,
    pub(super) at: Option<DateTime<Utc>>,
}

impl Everything {
    pub(super) fn empty(id: Uuid, k: i64) -> Self {
        Self {
            id,
            k,
            flag: None,
            number: None,
            ratio: None,
            text: None,
            state: None,
            bytes: None,
            other: None,
            at: None,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) schema: u32,
    pub(super) title: String,
    pub(super) tags: Vec<String>,
}

/// A partition named by text, with text as clustering, too.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_named",
    write = "timestamped",
    partition(name, part),
    clustering(word)
)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) part: String,
    pub(super) word: String,
    pub(super) value: String,
}

/// Several clustering columns of mixed order.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_entries",
    write = "timestamped",
    partition(space, bucket),
    clustering(kind, number desc, id)
)]
pub(super) struct Entry {
    pub(super) space: Uuid,
    pub(super) bucket: i64,
    pub(super) kind: String,
    pub(super) number: i64,
    pub(super) id: Uuid,
    pub(super) note: Option<String>,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_by_uuid",
    write = "timestamped",
    partition(space),
    clustering(id)
)]
pub(super) struct ByUuid {
    pub(super) space: Uuid,
    pub(super) id: Uuid,
    pub(super) value: i64,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "suite_by_blob", write = "timestamped", partition(space), clustering(digest desc))]
pub(super) struct ByBlob {
    pub(super) space: Uuid,
    pub(super) digest: Bytes,
    pub(super) value: i64,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "suite_by_time", write = "timestamped", partition(space), clustering(flag desc, at))]
pub(super) struct ByTime {
    pub(super) space: Uuid,
    pub(super) flag: bool,
    pub(super) at: DateTime<Utc>,
}

/// For whole-table scans; small, so that they stay quick.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_ledger",
    write = "timestamped",
    partition(book),
    clustering(line)
)]
pub(super) struct Ledger {
    pub(super) book: String,
    pub(super) line: i64,
    pub(super) text: String,
}

/// The history of an aggregate.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "suite_versions", write = "conditional", partition(id), clustering(version desc))]
pub(super) struct Version {
    pub(super) id: Uuid,
    pub(super) version: i64,
    pub(super) author: Uuid,
    #[column(json)]
    pub(super) state: State,
}

/// A row keyed by a unique thing; also a lease.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "suite_claims", write = "conditional", partition(name))]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) owner: Option<Uuid>,
    pub(super) fence: i64,
    pub(super) active: bool,
    pub(super) note: Option<String>,
}

impl Claim {
    pub(super) fn new(name: impl Into<String>, fence: i64) -> Self {
        Self {
            name: name.into(),
            owner: None,
            fence,
            active: true,
            note: None,
        }
    }
}

/// Several rows of one partition that change together.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "suite_accounts",
    write = "conditional",
    partition(bank),
    clustering(name)
)]
pub(super) struct Account {
    pub(super) bank: Uuid,
    pub(super) name: String,
    pub(super) balance: i64,
    pub(super) memo: Option<String>,
}

impl Account {
    pub(super) fn new(bank: Uuid, name: &str, balance: i64) -> Self {
        Self {
            bank,
            name: name.to_owned(),
            balance,
            memo: None,
        }
    }
}

/// A row that expires.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "suite_sessions", write = "conditional", partition(id), ttl = expires_at)]
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) user: Uuid,
    pub(super) count: i64,
    pub(super) expires_at: DateTime<Utc>,
}
