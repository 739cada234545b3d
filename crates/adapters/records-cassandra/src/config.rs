//! How the cluster is reached.

use riwaq_records::RecordsError;
use serde::{Deserialize, Serialize};

/// Where Cassandra is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Nodes to ask first, as `host:port`; the others are learnt from them.
    pub contact_points: Vec<String>,
    /// The role to sign in as; empty: no sign-in.
    pub user: String,
    /// The role's password. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub password: String,
    /// The keyspace of this installation: lower-case letters, digits and underscore.
    pub keyspace: String,
    /// Whether to make the keyspace where it is missing. Off where an administrator makes it.
    pub create_keyspace: bool,
    /// The data centre whose nodes are asked (`LOCAL_QUORUM`) and that a made keyspace lies in.
    pub datacenter: String,
    /// Copies of each row in a keyspace that is made: 3 in production.
    pub replication_factor: u32,
    /// The longest wait for one answer.
    pub request_timeout_ms: u64,
    /// The longest wait for one node to accept a connection.
    pub connection_timeout_ms: u64,
    /// How long to try, at start, while no node answers.
    pub connect_timeout_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".into()],
            user: String::new(),
            password: String::new(),
            keyspace: "riwaq".into(),
            create_keyspace: true,
            datacenter: "datacenter1".into(),
            replication_factor: 1,
            request_timeout_ms: 5_000,
            connection_timeout_ms: 3_000,
            connect_timeout_seconds: 60,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), RecordsError> {
        if self.contact_points.is_empty() {
            return Err(RecordsError::invalid(
                "contact_points",
                "must name at least one node",
            ));
        }
        if !riwaq_records::validate::is_name(&self.keyspace) {
            return Err(RecordsError::invalid(
                "keyspace",
                "must be lower-case letters, digits and underscore, a letter first, at most 48",
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if self.datacenter.is_empty() || !self.datacenter.bytes().all(plain) {
            return Err(RecordsError::invalid(
                "datacenter",
                "must be letters, digits, dash, dot and underscore",
            ));
        }
        if self.replication_factor == 0 {
            return Err(RecordsError::invalid(
                "replication_factor",
                "must be at least 1",
            ));
        }
        Ok(())
    }
}

/// Without the password: configurations end up in logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("contact_points", &self.contact_points)
            .field("user", &self.user)
            .field("keyspace", &self.keyspace)
            .field("datacenter", &self.datacenter)
            .finish_non_exhaustive()
    }
}
