//! Slowing down: how long somebody has to wait after too many attempts.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How failed attempts slow the next ones down. Counted for an account and an address together,
/// so nobody can lock somebody else out from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlowDown {
    /// Attempts that may fail without a wait.
    pub free: u32,
    /// The first wait, in seconds; it doubles with every further failure.
    pub first_wait_seconds: u32,
    /// The longest wait, in seconds.
    pub longest_wait_seconds: u32,
    /// Failures are forgotten when there was none for this long, in seconds.
    pub forget_after_seconds: u32,
}

impl Default for SlowDown {
    /// Five for nothing, then 2 s to 15 min, forgotten after an hour.
    fn default() -> Self {
        Self {
            free: 5,
            first_wait_seconds: 2,
            longest_wait_seconds: 900,
            forget_after_seconds: 3600,
        }
    }
}

impl SlowDown {
    /// For mails that anybody may cause: three, then one every 10 minutes and rarer, forgotten after a day.
    pub(crate) fn mails() -> Self {
        Self {
            free: 3,
            first_wait_seconds: 600,
            longest_wait_seconds: 14_400,
            forget_after_seconds: 86_400,
        }
    }

    pub(crate) fn forget_after(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.forget_after_seconds))
    }

    /// How long to wait after so many attempts.
    fn wait(&self, count: u32) -> TimeDelta {
        let Some(beyond) = count.checked_sub(self.free) else {
            return TimeDelta::zero();
        };
        let wait = u64::from(self.first_wait_seconds).saturating_mul(1 << beyond.min(30));
        let wait = wait.min(u64::from(self.longest_wait_seconds));
        TimeDelta::seconds(wait.cast_signed())
    }
}

/// What is known of earlier attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) count: u32,
    pub(crate) last_at: DateTime<Utc>,
    pub(crate) blocked_until: DateTime<Utc>,
}

impl Attempts {
    /// Whether another attempt has to wait.
    pub(crate) fn is_blocked(&self, now: DateTime<Utc>) -> bool {
        now < self.blocked_until
    }

    /// After one more attempt.
    pub(crate) fn another(earlier: Option<Self>, now: DateTime<Utc>, policy: &SlowDown) -> Self {
        let counted = earlier.filter(|earlier| now < earlier.last_at + policy.forget_after());
        let count = counted.map_or(0, |earlier| earlier.count).saturating_add(1);
        Self {
            count,
            last_at: now,
            blocked_until: now + policy.wait(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn waits_begin_after_the_free_attempts_double_and_have_an_end() {
        let policy = SlowDown::default();
        let mut attempts = None;
        let mut waits = Vec::new();
        for _ in 0..20 {
            let next = Attempts::another(attempts, at(0), &policy);
            waits.push((next.blocked_until - at(0)).num_seconds());
            attempts = Some(next);
        }
        assert_eq!(waits[..8], [0, 0, 0, 0, 2, 4, 8, 16]);
        assert_eq!(waits[19], 900);
        assert!(attempts.unwrap().is_blocked(at(899)));
        assert!(!attempts.unwrap().is_blocked(at(900)));
    }

    #[test]
    fn failures_are_forgotten_after_a_quiet_while() {
        let policy = SlowDown::default();
        let many = Attempts {
            count: 50,
            last_at: at(0),
            blocked_until: at(900),
        };
        assert_eq!(Attempts::another(Some(many), at(3599), &policy).count, 51);
        assert_eq!(Attempts::another(Some(many), at(3600), &policy).count, 1);
    }

    #[test]
    fn no_count_overflows() {
        let policy = SlowDown {
            first_wait_seconds: u32::MAX,
            longest_wait_seconds: u32::MAX,
            ..SlowDown::default()
        };
        let most = Attempts {
            count: u32::MAX,
            last_at: at(0),
            blocked_until: at(0),
        };
        assert_eq!(
            Attempts::another(Some(most), at(1), &policy).count,
            u32::MAX
        );
    }
}
