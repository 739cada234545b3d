//! How the cluster is reached.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use riwaq_records::RecordsError;
use serde::{Deserialize, Serialize};

/// Where Cassandra is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Nodes to ask first, as `host:port`; the others are learnt from them. Several, so that one may be away at start.
    pub contact_points: Vec<String>,
    /// Where nodes are reached whose own addresses lead nowhere from here (NAT, a proxy): each node's IP address, as the
    /// node itself names it, and the `address:port` to use instead. A node that is not named is reached as it says.
    pub address_map: BTreeMap<IpAddr, SocketAddr>,
    /// The role to sign in as; empty: no sign-in.
    pub user: String,
    /// The role's password. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub password: String,
    /// Whether to speak TLS. Every node's certificate must name its IP address.
    pub tls: bool,
    /// The authorities (PEM) that a node's certificate must come from; none: those of the system. Only with `tls`.
    pub ca_file: Option<PathBuf>,
    /// The keyspace of this installation: lower-case letters, digits and underscore.
    pub keyspace: String,
    /// Whether to make the keyspace where it is missing. Off where an administrator makes it.
    pub create_keyspace: bool,
    /// The data centre whose nodes are asked (`LOCAL_QUORUM`) and that a made keyspace lies in.
    pub datacenter: String,
    /// Copies of each row in the data centre: 3 in production. A keyspace that keeps fewer is refused.
    pub replication_factor: u32,
    /// Connections to each node; each carries up to 32,768 requests at once.
    pub connections_per_node: usize,
    /// The longest wait for one answer, repetitions on other nodes included; twice as long for a batch over partitions.
    /// No shorter than the nodes' own `write_request_timeout` (2 s where nobody changed it).
    pub request_timeout_ms: u64,
    /// A read that is not answered by then is asked of a second node as well; 0: never.
    pub second_read_after_ms: u64,
    /// The longest wait for one node to accept a connection.
    pub connection_timeout_ms: u64,
    /// An idle connection is tried this often, and given up when no answer comes for as long again.
    pub keepalive_seconds: u64,
    /// How long to try, at start, while no node answers, and again while too few do for the schema's number.
    pub connect_timeout_seconds: u64,
    /// The longest wait for one change of the schema, and again for every node to agree on it.
    pub schema_timeout_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".into()],
            address_map: BTreeMap::new(),
            user: String::new(),
            password: String::new(),
            tls: false,
            ca_file: None,
            keyspace: "riwaq".into(),
            create_keyspace: true,
            datacenter: "datacenter1".into(),
            replication_factor: 1,
            connections_per_node: 1,
            request_timeout_ms: 2_000,
            second_read_after_ms: 500,
            connection_timeout_ms: 3_000,
            keepalive_seconds: 5,
            connect_timeout_seconds: 60,
            schema_timeout_seconds: 60,
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
        if self.ca_file.is_some() && !self.tls {
            return Err(RecordsError::invalid("ca_file", "is given, and tls is off"));
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
        self.check_figures()
    }

    fn check_figures(&self) -> Result<(), RecordsError> {
        let connections = u64::try_from(self.connections_per_node).unwrap_or(u64::MAX);
        let figures = [
            ("replication_factor", self.replication_factor.into(), 1, 100),
            ("connections_per_node", connections, 1, 128),
            ("request_timeout_ms", self.request_timeout_ms, 1, 600_000),
            (
                "second_read_after_ms",
                self.second_read_after_ms,
                0,
                600_000,
            ),
            (
                "connection_timeout_ms",
                self.connection_timeout_ms,
                1,
                600_000,
            ),
            ("keepalive_seconds", self.keepalive_seconds, 1, 3_600),
            (
                "connect_timeout_seconds",
                self.connect_timeout_seconds,
                0,
                3_600,
            ),
            (
                "schema_timeout_seconds",
                self.schema_timeout_seconds,
                1,
                3_600,
            ),
        ];
        for (field, figure, least, most) in figures {
            if !(least..=most).contains(&figure) {
                return Err(RecordsError::invalid(
                    field,
                    format!("must be {least} to {most}"),
                ));
            }
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
            .field("tls", &self.tls)
            .field("keyspace", &self.keyspace)
            .field("datacenter", &self.datacenter)
            .finish_non_exhaustive()
    }
}
