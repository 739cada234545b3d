//! The adapter passes the port's suite against the real broker.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::Buses;
use riwaq_events::conformance;
use riwaq_test_kit::{Backend, rabbitmq};

/// Most tests wait for a backoff most of the time.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_passes_the_suite() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let buses = Buses::new(&url);
    conformance::run_side_by_side("rabbitmq", &buses, AT_ONCE).await;
    buses.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_calls_fail_at_random() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let buses = Buses::new(&url);
    conformance::run_under_faults("rabbitmq", &buses, 7).await;
    buses.clear().await;
}
