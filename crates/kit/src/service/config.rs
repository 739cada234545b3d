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
    /// TLS of the public listener, the gateway's; plain HTTP when absent, for use behind a proxy.
    pub tls: Option<TlsConfig>,
    /// What `/metrics` asks for (`Authorization: Bearer`) from anyone who is not on this machine.
    pub metrics_token: Option<Secret>,
}

/// TLS of a listener: from files, or by ACME.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those that vouch for it, in PEM. Empty with `acme`.
    pub certificate_file: PathBuf,
    /// The private key, in PEM. Empty with `acme`.
    pub key_file: PathBuf,
    /// How often the two files are read again; what cannot be used leaves the certificate as it was.
    pub reload_seconds: u64,
    /// A second port, without TLS, that sends everybody to this one; none where something else does.
    pub redirect_port: Option<u16>,
    /// The port that it sends to, where browsers see another than the listener's own.
    pub redirect_to_port: Option<u16>,
    /// A certificate from an authority that speaks ACME, instead of files.
    pub acme: Option<AcmeConfig>,
}

/// A certificate by ACME (RFC 8555), proved on the listener itself (TLS-ALPN-01, RFC 8737). For one gateway
/// process that browsers reach on port 443 under its names; several share a certificate from files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeConfig {
    /// The names in the certificate; each must lead to this listener.
    pub domains: Vec<String>,
    /// Where the authority writes to, as `mailto:it@school.example`; it may ask for one.
    pub contact: Vec<String>,
    /// Whether somebody has read and accepted the authority's terms; nothing is asked of it before.
    pub accept_terms: bool,
    /// The authority's directory; the default is Let's Encrypt's.
    pub directory_url: String,
    /// Which of its customers you are, for an authority that asks (external account binding).
    pub eab_key_id: Option<String>,
    /// The key that goes with it, in base64url as the authority gives it.
    pub eab_key: Option<Secret>,
    /// The authority (PEM) that the directory's own certificate comes from; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Where the account's key and the certificate are kept; by default `acme` in the data folder.
    pub folder: PathBuf,
    /// After an order that failed; twice as long after each further one, at most 12 hours.
    pub retry_seconds: u64,
    /// How long one order may take.
    pub order_timeout_seconds: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            reload_seconds: 60,
            redirect_port: None,
            redirect_to_port: None,
            acme: None,
        }
    }
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            contact: Vec::new(),
            accept_terms: false,
            directory_url: "https://acme-v02.api.letsencrypt.org/directory".into(),
            eab_key_id: None,
            eab_key: None,
            ca_file: None,
            folder: PathBuf::new(),
            retry_seconds: 900,
            order_timeout_seconds: 300,
        }
    }
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
