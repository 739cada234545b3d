//! How long a first start waits for the broker to write down what it confirmed.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use common::{clear, config};
use riwaq_clock::{Clock, SharedClock, SystemClock};
use riwaq_events::{Events, Group};
use riwaq_events_rabbitmq::RabbitmqEvents;
use riwaq_test_kit::{Backend, rabbitmq};

/// For the broker to write; nothing else takes as long as this.
const SETTLE: Duration = Duration::from_millis(137);

/// The machine's clock, and how often it was asked to wait for the broker.
#[derive(Debug)]
struct Waits {
    clock: SharedClock,
    times: AtomicU32,
}

#[async_trait]
impl Clock for Waits {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        if duration == SETTLE {
            self.times.fetch_add(1, Ordering::Relaxed);
        }
        self.clock.sleep(duration).await;
    }
}

#[tokio::test]
async fn groups_that_are_declared_together_wait_for_the_broker_once_and_known_ones_never() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let mut config = config(&url);
    config.declaration_settle_ms = 137;
    let prefix = config.prefix.clone();
    let clock = Arc::new(Waits {
        clock: SystemClock::shared(),
        times: AtomicU32::new(0),
    });
    let waits = || clock.times.load(Ordering::Relaxed);
    let events = RabbitmqEvents::connect(config, clock.clone())
        .await
        .unwrap();
    let groups = ["one", "two", "three"].map(|name| Group::new(name, ["riwaq.test.thing.changed"]));
    events.declare_groups(&groups).await.unwrap();
    assert_eq!(waits(), 1);
    events.declare_groups(&groups).await.unwrap();
    assert_eq!(waits(), 1);
    drop(events);
    clear(&url, &prefix, &groups).await;
}
