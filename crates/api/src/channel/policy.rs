//! How a channel behaves, as configured.

use serde::{Deserialize, Serialize};

/// Limits and manners of one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelPolicy {
    /// Longest time for a unary call, retries included, in milliseconds. A shorter `grpc-timeout`
    /// of the caller, or less time left of the call being served, wins.
    pub deadline_ms: u64,
    /// Longest silence between two messages of a stream, in seconds. Streams have no total limit.
    pub stream_idle_seconds: u64,
    /// Longest time to open a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Largest message, either way, in bytes.
    pub max_message_bytes: usize,
    /// Calls under way at once; more wait, within their deadline.
    pub max_concurrent: usize,
    /// How often host names are looked up again, in seconds.
    pub resolve_seconds: u64,
    /// Sending again.
    pub retry: RetryPolicy,
    /// Not sending for a while.
    pub breaker: BreakerPolicy,
}

impl Default for ChannelPolicy {
    fn default() -> Self {
        Self {
            deadline_ms: 5_000,
            stream_idle_seconds: 30,
            connect_timeout_ms: 1_000,
            max_message_bytes: 4 * 1024 * 1024,
            max_concurrent: 1024,
            resolve_seconds: 2,
            retry: RetryPolicy::default(),
            breaker: BreakerPolicy::default(),
        }
    }
}

/// Retries of calls that the contract calls idempotent and that ended with `UNAVAILABLE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Most attempts for one call, the first included; 1 switches retries off.
    pub max_attempts: u32,
    /// Wait before the second attempt, in milliseconds; it doubles, with jitter.
    pub first_backoff_ms: u64,
    /// Longest wait between attempts, in milliseconds.
    pub max_backoff_ms: u64,
    /// Retries in percent of calls: an upstream in trouble is not asked twice as much.
    pub budget_percent: u32,
    /// Retries that are allowed although there were few calls.
    pub budget_reserve: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_backoff_ms: 20,
            max_backoff_ms: 500,
            budget_percent: 20,
            budget_reserve: 10,
        }
    }
}

/// The circuit breaker in front of one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call may probe, in milliseconds.
    pub open_ms: u64,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 10,
            open_ms: 2_000,
        }
    }
}
