//! A key as it is stored.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_records::Table;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An answer as it was given the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The HTTP status.
    pub status: u16,
    /// Headers that belong to it (`Location`, `ETag`), lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as text; empty for none.
    pub body: String,
}

/// How far the request of a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// Somebody works on it.
    Running,
    /// The last attempt ended without a known result: a repetition goes on at once.
    Open,
    /// It has an answer.
    Finished,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Open => "open",
            Self::Finished => "finished",
        })
    }
}

impl std::str::FromStr for Progress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "running" => Ok(Self::Running),
            "open" => Ok(Self::Open),
            "finished" => Ok(Self::Finished),
            other => Err(format!("`{other}` is not a progress")),
        }
    }
}

/// The row. A beat writes it again as it is: its operation's id is what changes.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(name = "idempotency_keys", write = "conditional", partition(service, user_id, key), ttl = expires_at)]
pub(crate) struct KeyRow {
    pub(super) service: String,
    pub(super) user_id: Uuid,
    pub(super) key: String,
    /// The id that the effect uses.
    pub(super) effect_id: Uuid,
    pub(super) request_hash: Bytes,
    #[column(text)]
    pub(super) progress: Progress,
    /// When the present attempt began, by its own clock. For operators only: nothing is decided by it.
    pub(super) begun_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    #[column(json)]
    pub(super) answer: Option<Recorded>,
}
