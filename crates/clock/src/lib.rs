//! The injected clock: wall time, monotonic time and sleeping.
//!
//! Owns the only reads of the machine's clock. Must not know what the time is used for.
//! Production uses [`SystemClock`]; tests use [`ManualClock`], which stands still until told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// A clock that many share.
pub type SharedClock = Arc<dyn Clock>;

/// Where the time comes from.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Wall time. May jump; never use it to measure how long something took.
    fn now(&self) -> DateTime<Utc>;

    /// Time since an arbitrary start; never goes back. For leases, timeouts and durations.
    fn monotonic(&self) -> Duration;

    /// Returns once `duration` has passed on the monotonic clock.
    async fn sleep(&self, duration: Duration);

    /// Wall time in microseconds since 1970: the unit of write timestamps.
    fn now_micros(&self) -> i64 {
        self.now().timestamp_micros()
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A system clock to share.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self {
            started: Instant::now(),
        })
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the ambient clock is read"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that moves only by [`ManualClock::advance`]; sleepers wake when their time is reached.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(DateTime<Utc>, Duration)>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new((start, Duration::ZERO)),
            moved: Notify::new(),
        })
    }

    /// Moves wall and monotonic time forward and wakes sleepers.
    pub fn advance(&self, by: Duration) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 += TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
            state.1 += by;
        }
        self.moved.notify_waiters();
    }

    fn read(&self) -> (DateTime<Utc>, Duration) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.read().0
    }

    fn monotonic(&self) -> Duration {
        self.read().1
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        loop {
            // Registered before the check, so that an advance between the two is not missed.
            let moved = self.moved.notified();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_only_when_their_time_is_reached() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let sleeper = {
            let clock = Arc::clone(&clock);
            async move { clock.sleep(Duration::from_secs(10)).await }
        };
        tokio::pin!(sleeper);
        assert!(futures_poll(&mut sleeper).await.is_none());
        clock.advance(Duration::from_secs(9));
        assert!(futures_poll(&mut sleeper).await.is_none());
        clock.advance(Duration::from_secs(1));
        assert!(futures_poll(&mut sleeper).await.is_some());
        assert_eq!(clock.now().timestamp(), 10);
    }

    async fn futures_poll<F: Future<Output = ()> + Unpin>(future: &mut F) -> Option<()> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(()) => std::task::Poll::Ready(Some(())),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
