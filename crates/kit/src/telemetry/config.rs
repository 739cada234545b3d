//! What may be configured about telemetry.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::Secret;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Logs, metrics and traces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Which log lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`), or a list such as
    /// `info,riwaq_files=debug`.
    pub log_level: String,
    /// How log lines are written: `json` or `text`.
    pub log_format: LogFormat,
    /// Where traces are sent (OTLP over gRPC, such as `http://127.0.0.1:4317`); nowhere when absent.
    pub otlp_endpoint: Option<Url>,
    /// Which part of the traces that begin here is sent, from 0 to 1. A caller's decision is kept.
    pub trace_sample_ratio: f64,
    /// Makes the hashes that stand for users in the log. All processes should share it; a random one is made
    /// for the process when absent.
    pub user_hash_key: Option<Secret>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: LogFormat::Json,
            otlp_endpoint: None,
            trace_sample_ratio: 0.1,
            user_hash_key: None,
        }
    }
}
