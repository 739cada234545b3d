//! The tables of this service. No table holds personal data, and no secret is stored in clear:
//! codes, cookies and links as hashes, refresh tokens not at all, private keys encrypted.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_records::{Table, TableSchema};
use uuid::Uuid;

use crate::domain::client::ClientRecord;
use crate::domain::code::CodeGrant;
use crate::domain::session::Session;
use crate::keys::KeyRing;

/// The tables of this service, for whoever gathers the schema.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![
        KeyRingRow::schema(),
        ClientRow::schema(),
        SessionRow::schema(),
        CodeRow::schema(),
        LinkRow::schema(),
        SubjectRow::schema(),
        AttemptsRow::schema(),
        RevocationRow::schema(),
        IntentRow::schema(),
    ]
}

/// The issuer's keys: one row.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_key_rings", write = "conditional", partition(name))]
pub(crate) struct KeyRingRow {
    pub(crate) name: String,
    #[column(json)]
    pub(crate) ring: KeyRing,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_clients", write = "conditional", partition(client_id))]
pub(crate) struct ClientRow {
    pub(crate) client_id: String,
    #[column(json)]
    pub(crate) client: ClientRecord,
    pub(crate) created_at: DateTime<Utc>,
}

/// A session of a person at the issuer, with every chain of refresh tokens that hangs on it.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_sessions", write = "conditional", partition(sid), ttl = expires_at)]
pub(crate) struct SessionRow {
    pub(crate) sid: Uuid,
    pub(crate) subject: Uuid,
    pub(crate) ended: bool,
    #[column(json)]
    pub(crate) session: Session,
    pub(crate) expires_at: DateTime<Utc>,
}

/// An authorization code, by its hash.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_codes", write = "conditional", partition(code_hash), ttl = expires_at)]
pub(crate) struct CodeRow {
    pub(crate) code_hash: String,
    pub(crate) used: bool,
    #[column(json)]
    pub(crate) grant: CodeGrant,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A token that works once, from a mail or a printed sheet, by its hash.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_links", write = "conditional", partition(token_hash), ttl = expires_at)]
pub(crate) struct LinkRow {
    pub(crate) token_hash: Bytes,
    /// `activation` or `reset`.
    pub(crate) purpose: String,
    pub(crate) subject: Uuid,
    /// The account's version when the token was made, or none of its versions: an activation that
    /// brings no password works only while the account is still at it.
    pub(crate) account_version: i64,
    pub(crate) used: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// From when on what was given to a person counts.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_subjects", write = "conditional", partition(subject))]
pub(crate) struct SubjectRow {
    pub(crate) subject: Uuid,
    /// Access tokens issued before are refused. Grows with every revocation.
    pub(crate) tokens_not_before: DateTime<Utc>,
    /// Sessions begun before are over.
    pub(crate) sessions_not_before: DateTime<Utc>,
    /// Mailed tokens made before do not work any more.
    pub(crate) links_not_before: DateTime<Utc>,
}

/// Failed or counted attempts, by the keyed hash of whoever they are about.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "auth_attempts", write = "conditional", partition(attempt_key), ttl = expires_at)]
pub(crate) struct AttemptsRow {
    pub(crate) attempt_key: Bytes,
    pub(crate) count: i64,
    pub(crate) last_at: DateTime<Utc>,
    pub(crate) blocked_until: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Something that every verifier has to refuse, filed under the minute in which it becomes moot.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "auth_revocations",
    write = "timestamped",
    partition(minute, shard),
    clustering(kind, value),
    ttl = expires_at
)]
pub(crate) struct RevocationRow {
    pub(crate) minute: i64,
    pub(crate) shard: i64,
    pub(crate) kind: String,
    pub(crate) value: String,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// An account change that has begun: whoever finds an old one completes it.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "auth_intents",
    write = "timestamped",
    partition(minute),
    clustering(intent_id),
    ttl = expires_at
)]
pub(crate) struct IntentRow {
    pub(crate) minute: i64,
    pub(crate) intent_id: Uuid,
    pub(crate) subject: Uuid,
    /// Whether the person's sessions end, too.
    pub(crate) ends_sessions: bool,
    /// Whether tokens are to be refused at all.
    pub(crate) revokes: bool,
    pub(crate) written_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}
