//! The circuit breaker: after some failures in a row an address is left alone for a while, then one
//! call probes it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::policy::BreakerPolicy;

/// One address's breaker. Times are monotonic.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many failed in a row.
    Closed(u32),
    /// No call passes before this time.
    Open(Duration),
    /// One call is probing since this time.
    Probing(Duration),
}

impl Breaker {
    pub(crate) fn new(policy: &BreakerPolicy) -> Self {
        Self {
            failures: policy.failures.max(1),
            open_for: Duration::from_millis(policy.open_ms),
            state: Mutex::new(State::Closed(0)),
        }
    }

    /// Whether a call would pass now.
    pub(crate) fn would_admit(&self, now: Duration) -> bool {
        self.admissible(*self.lock(), now)
    }

    /// Takes a place for a call. After waiting, exactly one caller gets the probe.
    pub(crate) fn admit(&self, now: Duration) -> bool {
        let mut state = self.lock();
        if !self.admissible(*state, now) {
            return false;
        }
        if !matches!(*state, State::Closed(_)) {
            *state = State::Probing(now);
        }
        true
    }

    fn admissible(&self, state: State, now: Duration) -> bool {
        match state {
            State::Closed(_) => true,
            State::Open(until) => now >= until,
            // A probe that never reported back does not keep the address shut for ever.
            State::Probing(since) => now >= since.saturating_add(self.open_for),
        }
    }

    pub(crate) fn succeeded(&self) {
        *self.lock() = State::Closed(0);
    }

    pub(crate) fn failed(&self, now: Duration) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed(count) if count + 1 < self.failures => State::Closed(count + 1),
            // A late failure of a call that began earlier does not prolong the wait.
            State::Open(until) => State::Open(until),
            State::Closed(_) | State::Probing(_) => State::Open(now.saturating_add(self.open_for)),
        };
    }

    /// The call was given up by its caller: no verdict, and a probe's place is free again.
    pub(crate) fn abandoned(&self, now: Duration) {
        let mut state = self.lock();
        if matches!(*state, State::Probing(_)) {
            *state = State::Open(now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&BreakerPolicy {
            failures: 3,
            open_ms: 1_000,
        })
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = breaker();
        breaker.failed(at(0));
        breaker.failed(at(0));
        breaker.succeeded();
        breaker.failed(at(0));
        breaker.failed(at(0));
        assert!(breaker.admit(at(1)));
        breaker.failed(at(1));
        assert!(!breaker.admit(at(2)));
        assert!(!breaker.admit(at(1_000)));
    }

    #[test]
    fn after_the_wait_one_call_probes_and_decides() {
        let breaker = breaker();
        (0..3).for_each(|_| breaker.failed(at(0)));
        assert!(breaker.admit(at(1_000)));
        assert!(!breaker.admit(at(1_000)), "a second probe at the same time");
        breaker.failed(at(1_100));
        assert!(!breaker.admit(at(2_000)));
        assert!(breaker.admit(at(2_100)));
        breaker.succeeded();
        assert!(breaker.admit(at(2_100)) && breaker.admit(at(2_100)));
    }

    #[test]
    fn an_abandoned_probe_frees_its_place() {
        let breaker = breaker();
        (0..3).for_each(|_| breaker.failed(at(0)));
        assert!(breaker.admit(at(1_000)));
        breaker.abandoned(at(1_001));
        assert!(breaker.admit(at(1_001)));
    }

    #[test]
    fn late_failures_do_not_prolong_the_wait() {
        let breaker = breaker();
        (0..3).for_each(|_| breaker.failed(at(0)));
        breaker.failed(at(900));
        assert!(breaker.admit(at(1_000)));
    }
}
