//! How the service behaves, as configured.

use riwaq_aggregates::{IdempotencyOptions, OutboxOptions};
use serde::{Deserialize, Serialize};

/// Settings of the users service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The outbox and its relay.
    pub outbox: OutboxOptions,
    /// Idempotency keys.
    pub idempotency: IdempotencyOptions,
    /// How long a request has to finish what it began at the auth service, in seconds, before the
    /// background does it.
    pub follow_up_after_seconds: u64,
    /// How long counted statistics are shown, in seconds.
    pub stats_keep_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbox: OutboxOptions::default(),
            idempotency: IdempotencyOptions::default(),
            follow_up_after_seconds: 5,
            stats_keep_seconds: 30,
        }
    }
}
