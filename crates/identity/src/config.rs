//! How tokens are checked, as configured.

use serde::{Deserialize, Serialize};

use crate::AUDIENCE;

/// Checks and caches of identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// The issuer, exactly as tokens name it (`iss`).
    pub issuer: String,
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
