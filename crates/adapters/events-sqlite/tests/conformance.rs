//! The embedded queue passes the port's suite, with room in memory and with almost none.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_events::Events;
use riwaq_events::conformance::{self, Factory, Fixture};
use riwaq_events_sqlite::{SqliteEvents, SqliteEventsConfig};
use tempfile::TempDir;

struct Sqlite {
    clock: Arc<ManualClock>,
    folder: TempDir,
    config: SqliteEventsConfig,
    events: Option<SqliteEvents>,
}

impl Sqlite {
    fn open(&self) -> SqliteEvents {
        SqliteEvents::open(self.folder.path(), &self.config, self.clock.clone()).unwrap()
    }
}

#[async_trait]
impl Fixture for Sqlite {
    async fn events(&self) -> Arc<dyn Events> {
        Arc::new(self.events.clone().unwrap())
    }

    async fn second(&self) -> Arc<dyn Events> {
        self.events().await
    }

    async fn reopen(&mut self) {
        self.events = None;
        self.events = Some(self.open());
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn clock(&self) -> SharedClock {
        self.clock.clone()
    }
}

struct Fresh {
    max_memory_events: usize,
}

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self) -> Box<dyn Fixture> {
        let config = SqliteEventsConfig {
            retry: conformance::policy(),
            max_memory_events: self.max_memory_events,
            ..SqliteEventsConfig::default()
        };
        let clock = ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let mut fixture = Sqlite {
            clock,
            folder: TempDir::new().unwrap(),
            config,
            events: None,
        };
        fixture.events = Some(fixture.open());
        Box::new(fixture)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_passes_the_suite() {
    conformance::run(
        "sqlite",
        &Fresh {
            max_memory_events: 1024,
        },
    )
    .await;
}

/// Almost everything waits on disk only: every refill path is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_passes_the_suite_with_little_memory() {
    conformance::run(
        "sqlite with little memory",
        &Fresh {
            max_memory_events: 3,
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_calls_fail_at_random() {
    conformance::run_under_faults(
        "sqlite",
        &Fresh {
            max_memory_events: 64,
        },
        7,
    )
    .await;
}
