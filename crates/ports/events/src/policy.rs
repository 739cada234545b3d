//! When a failed delivery is tried again, and when it is given up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{EventsError, Result};

/// Retries of a group's deliveries.
///
/// The steps are a list, not a formula, because a broker keeps one delay queue for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Waiting times after the first, second, … failure, in seconds; the last one repeats.
    pub backoff_seconds: Vec<u64>,
    /// After this many failed deliveries the event becomes a dead letter.
    pub max_attempts: u32,
    /// A delivery that is not answered for so long, in seconds, counts as failed and goes to
    /// another member.
    pub visibility_timeout_seconds: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            backoff_seconds: vec![1, 5, 30, 120, 600],
            max_attempts: 10,
            visibility_timeout_seconds: 300,
        }
    }
}

impl RetryPolicy {
    const MAX_STEPS: usize = 32;
    const MAX_SECONDS: u64 = 7 * 24 * 3600;

    /// Checks the figures.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        if self.backoff_seconds.is_empty() || self.backoff_seconds.len() > Self::MAX_STEPS {
            return Err(EventsError::invalid(
                "backoff_seconds",
                format!("must have 1 to {} steps", Self::MAX_STEPS),
            ));
        }
        if self
            .backoff_seconds
            .iter()
            .any(|step| *step > Self::MAX_SECONDS)
        {
            return Err(EventsError::invalid(
                "backoff_seconds",
                "a step is longer than a week",
            ));
        }
        if self.max_attempts == 0 {
            return Err(EventsError::invalid("max_attempts", "must be at least 1"));
        }
        if self.visibility_timeout_seconds == 0
            || self.visibility_timeout_seconds > Self::MAX_SECONDS
        {
            return Err(EventsError::invalid(
                "visibility_timeout_seconds",
                "must be 1 second to a week",
            ));
        }
        Ok(())
    }

    /// How long to wait after the delivery numbered `attempt` (from 1) failed.
    #[must_use]
    pub fn backoff(&self, attempt: u32) -> Duration {
        let step = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.backoff_seconds.len().saturating_sub(1);
        Duration::from_secs(
            self.backoff_seconds
                .get(step.min(last))
                .copied()
                .unwrap_or_default(),
        )
    }

    /// How long a delivery may stay unanswered.
    #[must_use]
    pub const fn visibility_timeout(&self) -> Duration {
        Duration::from_secs(self.visibility_timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_repeats() {
        let policy = RetryPolicy {
            backoff_seconds: vec![1, 5],
            ..RetryPolicy::default()
        };
        let waits: Vec<_> = [0, 1, 2, 3, u32::MAX]
            .map(|attempt| policy.backoff(attempt).as_secs())
            .into();
        assert_eq!(waits, [1, 1, 5, 5, 5]);
    }

    #[test]
    fn figures_that_cannot_work_are_refused_by_name() {
        let good = RetryPolicy::default();
        good.validate().unwrap();
        for (field, policy) in [
            (
                "backoff_seconds",
                RetryPolicy {
                    backoff_seconds: vec![],
                    ..good.clone()
                },
            ),
            (
                "backoff_seconds",
                RetryPolicy {
                    backoff_seconds: vec![u64::MAX],
                    ..good.clone()
                },
            ),
            (
                "max_attempts",
                RetryPolicy {
                    max_attempts: 0,
                    ..good.clone()
                },
            ),
            (
                "visibility_timeout_seconds",
                RetryPolicy {
                    visibility_timeout_seconds: 0,
                    ..good.clone()
                },
            ),
        ] {
            assert!(
                policy
                    .validate()
                    .unwrap_err()
                    .to_string()
                    .starts_with(field)
            );
        }
        assert!(serde_json::from_str::<RetryPolicy>(r#"{"max_atempts": 3}"#).is_err());
    }
}
