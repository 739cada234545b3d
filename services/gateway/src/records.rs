//! The tables of the gateway.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_records::{Table, TableSchema};
use uuid::Uuid;

/// The tables of this service, for whoever gathers the schema.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![SessionRow::schema()]
}

/// A browser's session, by the hash of its cookie. The tokens are encrypted.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "gateway_sessions", write = "conditional", partition(fingerprint), ttl = expires_at)]
pub(crate) struct SessionRow {
    pub(crate) fingerprint: Bytes,
    pub(crate) user_id: Uuid,
    pub(crate) sealed: Bytes,
    pub(crate) created_at: DateTime<Utc>,
    /// When it was last used, to the precision that idleness needs.
    pub(crate) seen_at: DateTime<Utc>,
    /// When it ends, used or not.
    pub(crate) expires_at: DateTime<Utc>,
}
