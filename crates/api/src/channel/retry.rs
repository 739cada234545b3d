//! When a call may be sent again, and how long to wait before.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::RngExt as _;

use super::policy::RetryPolicy;

/// A retry costs this much of the budget; a call earns `budget_percent` of it.
const COST: i64 = 100;

/// Keeps retries to a share of the calls, over all calls of a channel.
#[derive(Debug)]
pub(crate) struct Budget {
    balance: AtomicI64,
    most: i64,
    earned: i64,
}

impl Budget {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let most = i64::from(policy.budget_reserve) * COST;
        Self {
            balance: AtomicI64::new(most),
            most,
            earned: i64::from(policy.budget_percent),
        }
    }

    /// A call was made.
    pub(crate) fn earn(&self) {
        let grown =
            |balance: i64| (balance < self.most).then(|| (balance + self.earned).min(self.most));
        // Unchanged when full: nothing to do then.
        let _ = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
    }

    /// Takes one retry; false when the budget is used up.
    pub(crate) fn take(&self) -> bool {
        let shrunk = |balance: i64| (balance >= COST).then_some(balance - COST);
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, shrunk)
            .is_ok()
    }
}

/// The wait before attempt `next` (2 is the first retry): doubling, between half and all of it, so
/// that callers which failed together do not come back together.
pub(crate) fn backoff(policy: &RetryPolicy, next: u32) -> Duration {
    let doubled = policy
        .first_backoff_ms
        .saturating_mul(1 << next.saturating_sub(2).min(20));
    let whole = doubled.min(policy.max_backoff_ms);
    let micros = whole.saturating_mul(1_000);
    Duration::from_micros(rand::rng().random_range(micros / 2..=micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_calls() {
        let budget = Budget::new(&RetryPolicy {
            budget_percent: 20,
            budget_reserve: 2,
            ..RetryPolicy::default()
        });
        assert!(budget.take() && budget.take());
        assert!(!budget.take());
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.take());
        budget.earn();
        assert!(budget.take());
        assert!(!budget.take());
        (0..1_000).for_each(|_| budget.earn());
        assert!(
            budget.take() && budget.take() && !budget.take(),
            "never more than the reserve at once"
        );
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let policy = RetryPolicy {
            first_backoff_ms: 100,
            max_backoff_ms: 300,
            ..RetryPolicy::default()
        };
        for _ in 0..100 {
            assert!((50..=100).contains(&backoff(&policy, 2).as_millis()));
            assert!((100..=200).contains(&backoff(&policy, 3).as_millis()));
            assert!((150..=300).contains(&backoff(&policy, 40).as_millis()));
        }
    }
}
