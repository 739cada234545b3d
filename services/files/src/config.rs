//! What can be configured.

use riwaq_aggregates::{IdempotencyOptions, OutboxOptions};
use serde::{Deserialize, Serialize};

/// Who serves the bytes behind a signed link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// This service: every use of a link is in the access journal.
    #[default]
    Own,
    /// The object store itself, where it can; then only the issuing of links is in the access journal.
    Presigned,
}

/// Settings of the files service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The largest file, in bytes.
    pub max_file_bytes: u64,
    /// How long a sender may be silent within an upload, in seconds.
    pub upload_idle_seconds: u64,
    /// How long an upload that is not finished is kept, in seconds. Longer than any upload may take.
    pub upload_expires_seconds: u64,
    /// How many uploads of one file are kept; the oldest ones beyond that are let go.
    pub max_content_versions: usize,
    /// How long a signed link works, in seconds.
    pub link_seconds: u64,
    /// Who serves the bytes behind a signed link.
    pub link_mode: LinkMode,
    /// How often unreferenced blobs are looked for, in seconds. They stay for a day after they were found.
    pub sweep_interval_seconds: u64,
    /// Idempotency keys.
    pub idempotency: IdempotencyOptions,
    /// Outbox and relay.
    pub outbox: OutboxOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 30,
            upload_idle_seconds: 60,
            upload_expires_seconds: 24 * 3_600,
            max_content_versions: 50,
            link_seconds: 300,
            link_mode: LinkMode::Own,
            sweep_interval_seconds: 3_600,
            idempotency: IdempotencyOptions::default(),
            outbox: OutboxOptions::default(),
        }
    }
}

impl Config {
    /// Checks the figures.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("max_file_bytes", self.max_file_bytes),
            ("upload_idle_seconds", self.upload_idle_seconds),
            ("upload_expires_seconds", self.upload_expires_seconds),
            ("link_seconds", self.link_seconds),
            ("sweep_interval_seconds", self.sweep_interval_seconds),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("files.{name} must be at least 1"));
        }
        // A version row holds them all and may have 256 KiB.
        if !(1..=200).contains(&self.max_content_versions) {
            return Err("files.max_content_versions must be 1 to 200".into());
        }
        if self.link_seconds > 24 * 3_600 {
            return Err("files.link_seconds must be at most 86400".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_impossible_figures_are_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let bad = Config {
            link_seconds: 0,
            ..Config::default()
        };
        assert!(bad.validate().unwrap_err().contains("link_seconds"));
        let bad = Config {
            max_content_versions: 201,
            ..Config::default()
        };
        assert!(bad.validate().unwrap_err().contains("max_content_versions"));
    }
}
