//! Settings of idempotency keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How many beats must fit into the time after which a silent request counts as abandoned: two may be lost.
const BEATS: u64 = 3;
/// The longest that a key may be kept: a year.
const MOST_KEEP_SECONDS: u64 = 366 * 24 * 3600;

/// Settings of idempotency keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdempotencyOptions {
    /// How long a key is honoured, in seconds.
    pub keep_seconds: u64,
    /// How often a request that is still running shows it in its key's row, in seconds. One that is shorter writes
    /// nothing for it.
    pub beat_interval_seconds: u64,
    /// A running request whose key shows no beat for so long, in seconds, is taken for dead, and a repetition takes it
    /// over with the same effect id. At least three times `beat_interval_seconds`.
    pub abandoned_after_seconds: u64,
}

impl Default for IdempotencyOptions {
    fn default() -> Self {
        Self {
            keep_seconds: 24 * 3600,
            beat_interval_seconds: 5,
            abandoned_after_seconds: 15,
        }
    }
}

impl IdempotencyOptions {
    /// Checks the figures.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        let least = BEATS.saturating_mul(self.beat_interval_seconds);
        let figures = [
            (
                "idempotency.beat_interval_seconds",
                self.beat_interval_seconds,
                (1, 600),
            ),
            (
                "idempotency.abandoned_after_seconds",
                self.abandoned_after_seconds,
                (least, 3600),
            ),
            (
                "idempotency.keep_seconds",
                self.keep_seconds,
                (self.abandoned_after_seconds, MOST_KEEP_SECONDS),
            ),
        ];
        for (field, figure, (least, most)) in figures {
            if !(least..=most).contains(&figure) {
                return Err(Error::invalid(field, format!("must be {least} to {most}")));
            }
        }
        Ok(())
    }

    pub(super) const fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_seconds)
    }

    pub(super) const fn beat_interval(&self) -> Duration {
        Duration::from_secs(self.beat_interval_seconds)
    }

    pub(super) const fn abandoned_after(&self) -> Duration {
        Duration::from_secs(self.abandoned_after_seconds)
    }

    /// For how long after a beat was sent nobody else can have the key. A tenth less than others wait, for clocks that do
    /// not run alike.
    pub(super) fn surely_ours(&self) -> Duration {
        self.abandoned_after() / 10 * 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_cannot_work_are_refused_by_name() {
        let good = IdempotencyOptions::default;
        good().validate().unwrap();
        let bad = [
            (
                "idempotency.beat_interval_seconds",
                IdempotencyOptions {
                    beat_interval_seconds: 0,
                    ..good()
                },
            ),
            (
                "idempotency.beat_interval_seconds",
                IdempotencyOptions {
                    beat_interval_seconds: u64::MAX,
                    ..good()
                },
            ),
            (
                "idempotency.abandoned_after_seconds",
                IdempotencyOptions {
                    abandoned_after_seconds: 14,
                    ..good()
                },
            ),
            (
                "idempotency.abandoned_after_seconds",
                IdempotencyOptions {
                    beat_interval_seconds: 6,
                    ..good()
                },
            ),
            (
                "idempotency.keep_seconds",
                IdempotencyOptions {
                    keep_seconds: 14,
                    ..good()
                },
            ),
            (
                "idempotency.keep_seconds",
                IdempotencyOptions {
                    keep_seconds: u64::MAX,
                    ..good()
                },
            ),
        ];
        for (at, options) in bad {
            match options.validate() {
                Err(Error::InvalidInput { field, .. }) => assert_eq!(field, at, "{options:?}"),
                other => panic!("not refused: {other:?}"),
            }
        }
        assert!(serde_json::from_str::<IdempotencyOptions>(r#"{"keep": 3}"#).is_err());
    }
}
