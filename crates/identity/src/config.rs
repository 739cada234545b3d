//! How tokens are checked, as configured.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::AUDIENCE;

/// Checks and caches of identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// The issuer, exactly as tokens name it (`iss`).
    pub issuer: String,
    /// Where the issuer is reached from here, if it is one of its own (Keycloak) and not by its public address: what
    /// lies beneath `issuer` there lies beneath this here, such as `http://keycloak:8080/realms/riwaq`. Empty: by `issuer`.
    pub internal_url: String,
    /// Where such an issuer's keys are. Empty: where it says itself (OpenID Connect Discovery).
    pub jwks_url: String,
    /// The authority (PEM) that signed such an issuer's certificate. None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The audience that tokens must name (`aud`).
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_seconds: u64,
    /// Longest token that is looked at, in bytes.
    pub max_token_bytes: usize,
    /// How long the issuer's keys are used before they are fetched again, in seconds.
    pub key_ttl_seconds: u64,
    /// Shortest pause between two fetches of the keys, in seconds: a stranger who sends tokens with
    /// invented key ids cannot make us ask the issuer all the time.
    pub key_pause_seconds: u64,
    /// Verified tokens that are remembered.
    pub cached_tokens: u64,
    /// How often revocations and roles are loaded anew although no event came, in seconds.
    pub reload_seconds: u64,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            issuer: "http://localhost:8080".to_owned(),
            internal_url: String::new(),
            jwks_url: String::new(),
            ca_file: None,
            audience: AUDIENCE.to_owned(),
            leeway_seconds: 5,
            max_token_bytes: 8 * 1024,
            key_ttl_seconds: 300,
            key_pause_seconds: 2,
            cached_tokens: 10_000,
            reload_seconds: 60,
        }
    }
}

impl IdentityConfig {
    /// How far clocks may differ, in milliseconds.
    pub(crate) fn leeway_ms(&self) -> i64 {
        i64::try_from(self.leeway_seconds)
            .unwrap_or(0)
            .saturating_mul(1000)
    }
}
