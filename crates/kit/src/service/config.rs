//! What may be configured about a listener.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// Limits of a listener and of the requests on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Connections at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Requests at once; further ones are answered 503.
    pub max_requests: usize,
    /// How long a client may take to send the head of a request.
    pub head_timeout_seconds: u64,
    /// How large the head of a request may be; a larger one is answered 431.
    pub max_head_bytes: usize,
    /// How large a body may be where the route does not say otherwise; a larger one is answered 413.
    pub max_body_bytes: usize,
    /// HTTP/2 streams at once on one connection.
    pub max_streams: u32,
    /// How long the process says that it is not ready before it stops accepting, so that load balancers notice.
    pub drain_delay_seconds: u64,
    /// How long requests and tasks may take to end after that; then they are cut off.
    pub drain_seconds: u64,
    /// TLS of the listener; plain HTTP when absent, for use behind a proxy.
    pub tls: Option<TlsConfig>,
    /// What `/metrics` asks for (`Authorization: Bearer`) from anyone who is not on this machine.
    pub metrics_token: Option<Secret>,
}

/// Certificate and key of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate_file: PathBuf,
    /// The private key, in PEM.
    pub key_file: PathBuf,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_requests: 4096,
            head_timeout_seconds: 10,
            max_head_bytes: 64 << 10,
            max_body_bytes: 1 << 20,
            max_streams: 256,
            drain_delay_seconds: 0,
            drain_seconds: 25,
            tls: None,
            metrics_token: None,
        }
    }
}
