//! How many requests are let through.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use riwaq_clock::SharedClock;
use riwaq_kit::Problem;
use uuid::Uuid;

use crate::config::Config;

const MINUTE: Duration = Duration::from_secs(60);

/// The injected clock for governor.
#[derive(Debug, Clone)]
struct Ticks(SharedClock);

impl GovernorClock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

type Limiter<K> = RateLimiter<K, DefaultKeyedStateStore<K>, Ticks, NoOpMiddleware<Duration>>;

/// Addresses are counted as a household or a campus has them: an IPv6 customer has a /64 at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u128);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(u128::from(address.to_ipv6_mapped())),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

/// The counters of this replica.
pub(crate) struct RateLimits {
    ticks: Ticks,
    users: Option<Limiter<Uuid>>,
    sources: Option<Limiter<Source>>,
    logins: Option<Limiter<(Source, Box<str>)>>,
    failures: DashMap<Source, Failures>,
    max_failures: u32,
}

/// The failures of the minute that began at `since`.
#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Duration,
    count: u32,
}

impl RateLimits {
    pub(crate) fn new(config: &Config, clock: SharedClock) -> Self {
        let limits = config.rate_limit.then_some(&config.limits);
        let ticks = Ticks(clock);
        Self {
            users: limits.and_then(|limits| limiter(limits.user_per_minute, &ticks)),
            sources: limits.and_then(|limits| limiter(limits.address_per_minute, &ticks)),
            logins: limits.and_then(|limits| limiter(limits.login_per_minute, &ticks)),
            failures: DashMap::new(),
            max_failures: limits.map_or(u32::MAX, |limits| limits.failed_logins_per_minute),
            ticks,
        }
    }

    /// One request to the API, by somebody or from somewhere.
    pub(crate) fn api(&self, user: Option<Uuid>, source: Source) -> Result<(), Problem> {
        match user {
            Some(user) => self.check(self.users.as_ref(), &user, "user"),
            None => self.check(self.sources.as_ref(), &source, "address"),
        }
    }

    /// One attempt to sign in to `account`.
    pub(crate) fn login(&self, source: Source, account: &str) -> Result<(), Problem> {
        self.check(self.logins.as_ref(), &(source, account.into()), "login")
    }

    /// Whether `source` failed too often in the last minute.
    pub(crate) fn failures(&self, source: Source) -> Result<(), Problem> {
        let Some(failures) = self.failures.get(&source).map(|entry| *entry) else {
            return Ok(());
        };
        let ends = failures.since + MINUTE;
        let now = self.ticks.now();
        if failures.count < self.max_failures || now >= ends {
            return Ok(());
        }
        Err(refused("failures", ends.saturating_sub(now)))
    }

    /// An attempt from `source` failed.
    pub(crate) fn failed(&self, source: Source) {
        let now = self.ticks.now();
        let mut entry = self.failures.entry(source).or_insert(Failures {
            since: now,
            count: 0,
        });
        if now >= entry.since + MINUTE {
            *entry = Failures {
                since: now,
                count: 0,
            };
        }
        entry.count = entry.count.saturating_add(1);
    }

    /// Forgets whoever has not been here for a while.
    pub(crate) fn tidy(&self) {
        if let Some(limiter) = &self.users {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.sources {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.logins {
            limiter.retain_recent();
        }
        let now = self.ticks.now();
        self.failures
            .retain(|_, failures| now < failures.since + MINUTE);
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: Option<&Limiter<K>>,
        key: &K,
        what: &'static str,
    ) -> Result<(), Problem> {
        let Some(Err(not_until)) = limiter.map(|limiter| limiter.check_key(key)) else {
            return Ok(());
        };
        Err(refused(what, not_until.wait_time_from(self.ticks.now())))
    }
}

fn limiter<K: std::hash::Hash + Eq + Clone>(per_minute: u32, ticks: &Ticks) -> Option<Limiter<K>> {
    let quota = Quota::per_minute(NonZeroU32::new(per_minute)?);
    Some(RateLimiter::dashmap_with_clock(quota, ticks.clone()))
}

fn refused(what: &'static str, wait: Duration) -> Problem {
    metrics::counter!("riwaq_gateway_rate_limited_total", "by" => what).increment(1);
    Problem::rate_limited(wait)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use riwaq_clock::ManualClock;

    use super::*;

    fn limits(config: &Config) -> (Arc<ManualClock>, RateLimits) {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        (Arc::clone(&clock), RateLimits::new(config, clock))
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn the_sixth_attempt_on_one_account_from_one_address_waits() {
        let (clock, limits) = limits(&Config::default());
        let (here, there) = (source("192.0.2.1"), source("192.0.2.2"));
        for _ in 0..5 {
            limits.login(here, "amina@example.edu").unwrap();
        }
        let refused = limits.login(here, "amina@example.edu").unwrap_err();
        assert!(refused.retry_after().unwrap() <= Duration::from_secs(12));
        limits.login(here, "yassine@example.edu").unwrap();
        limits.login(there, "amina@example.edu").unwrap();
        clock.advance(Duration::from_secs(12));
        limits.login(here, "amina@example.edu").unwrap();
        assert!(limits.login(here, "amina@example.edu").is_err());
    }

    #[test]
    fn a_campus_signs_in_behind_one_address() {
        let (_, limits) = limits(&Config::default());
        let campus = source("192.0.2.1");
        for student in 0..5000 {
            limits.failures(campus).unwrap();
            limits
                .login(campus, &format!("student{student}@example.edu"))
                .unwrap();
            for _ in 0..20 {
                limits.api(Some(Uuid::from_u128(student)), campus).unwrap();
            }
        }
    }

    #[test]
    fn an_address_that_fails_too_often_waits_out_the_minute() {
        let (clock, limits) = limits(&Config::default());
        let here = source("192.0.2.1");
        for _ in 0..100 {
            limits.failures(here).unwrap();
            limits.failed(here);
        }
        assert!(limits.failures(here).is_err());
        limits.failures(source("192.0.2.2")).unwrap();
        clock.advance(MINUTE);
        limits.failures(here).unwrap();
        limits.tidy();
        assert!(limits.failures.is_empty());
    }

    #[test]
    fn one_ipv6_customer_is_one_source() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn the_switch_turns_everything_off() {
        let (_, limits) = limits(&Config {
            rate_limit: false,
            ..Config::default()
        });
        let here = source("192.0.2.1");
        for _ in 0..2000 {
            limits.api(None, here).unwrap();
            limits.login(here, "a").unwrap();
            limits.failed(here);
            limits.failures(here).unwrap();
        }
    }
}
