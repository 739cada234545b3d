//! What may be configured about the gateway.

use ipnet::IpNet;
use riwaq_kit::Secret;
use serde::{Deserialize, Serialize};

/// The public listener: limits, proxies, other sites, sessions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether requests are counted; `off` is for tests.
    pub rate_limit: bool,
    /// How many requests are let through.
    pub limits: Limits,
    /// Networks of the proxies in front of us (CIDR). Only they are believed about a client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Which header our proxies set: `either`, `forwarded` or `x_forwarded_for`. Name the one that yours set, or
    /// make them remove the other.
    pub address_header: AddressHeader,
    /// Other sites whose pages may call the API with a token, such as `https://apps.example.edu`.
    pub cors_origins: Vec<String>,
    /// How large a body may be where no file is sent, in bytes.
    pub json_body_bytes: u64,
    /// How large a body with a file may be, in bytes.
    pub upload_body_bytes: u64,
    /// How long a service may take to begin its answer, in seconds.
    pub head_seconds: u64,
    /// The same where a file is sent: it includes the sending.
    pub upload_head_seconds: u64,
    /// How long a client may pause while it sends a body, in seconds.
    pub body_idle_seconds: u64,
    /// How long an answer may pause, in seconds. There is no limit on how long it takes altogether.
    pub answer_idle_seconds: u64,
    /// Whether answers that are text are compressed.
    pub compression: bool,
    /// Sessions of browsers.
    pub session: SessionConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate_limit: true,
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            address_header: AddressHeader::Either,
            cors_origins: Vec::new(),
            json_body_bytes: 1 << 20,
            upload_body_bytes: 2 << 30,
            head_seconds: 30,
            upload_head_seconds: 3600,
            body_idle_seconds: 30,
            answer_idle_seconds: 120,
            compression: true,
            session: SessionConfig::default(),
        }
    }
}

/// Requests a minute, for each replica of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts to sign in to one account from one address.
    pub login_per_minute: u32,
    /// Failed attempts to sign in from one address, whatever the account.
    pub failed_logins_per_minute: u32,
    /// Requests to the API by one person.
    pub user_per_minute: u32,
    /// Requests to the API from one address without identity. People who are signed in are not counted here, so
    /// that a campus behind one address is not locked out.
    pub address_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_per_minute: 5,
            failed_logins_per_minute: 100,
            user_per_minute: 600,
            address_per_minute: 600,
        }
    }
}

/// Where a proxy writes the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressHeader {
    /// `X-Forwarded-For`, or `Forwarded` where that is absent.
    Either,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Sessions of browsers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// How long a session lives without being used, in seconds.
    pub idle_seconds: u64,
    /// How long a session lives at most, in seconds.
    pub absolute_seconds: u64,
    /// Our client id at the issuer.
    pub client_id: String,
    /// Our client secret at the issuer; absent for a public client.
    pub client_secret: Option<Secret>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            idle_seconds: 12 * 3600,
            absolute_seconds: 7 * 24 * 3600,
            client_id: "riwaq-portal".to_owned(),
            client_secret: None,
        }
    }
}
