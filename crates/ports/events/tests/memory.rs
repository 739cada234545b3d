//! The memory version passes the suite, and the part that holds on a failing bus.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_events::conformance::{self, Factory, Fixture};
use riwaq_events::{Events, MemoryEvents};

struct Memory {
    clock: Arc<ManualClock>,
    events: MemoryEvents,
}

#[async_trait]
impl Fixture for Memory {
    async fn events(&self) -> Arc<dyn Events> {
        Arc::new(self.events.clone())
    }

    async fn second(&self) -> Arc<dyn Events> {
        Arc::new(self.events.clone())
    }

    /// Memory has nothing to close: the bus outlives its handles.
    async fn reopen(&mut self) {}

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn clock(&self) -> SharedClock {
        self.clock.clone()
    }
}

struct Fresh;

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self) -> Box<dyn Fixture> {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let events = MemoryEvents::new(clock.clone(), conformance::policy()).unwrap();
        Box::new(Memory { clock, events })
    }
}

#[tokio::test]
async fn the_memory_version_passes_the_suite() {
    conformance::run("memory", &Fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_calls_fail_at_random() {
    for seed in 0..4 {
        conformance::run_under_faults("memory", &Fresh, seed).await;
    }
}
