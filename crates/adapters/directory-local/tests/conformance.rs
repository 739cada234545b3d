//! The port's suite over records in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use async_trait::async_trait;
use common::{State, directory_over};
use riwaq_directory::SharedDirectory;
use riwaq_directory::conformance::{Backing, Factory, run_all};
use riwaq_records::faults::FaultRates;

/// With calls put off at random, so that parallel ones interleave.
struct OverMemory {
    seed: u64,
}

struct Records(State);

#[async_trait]
impl Factory for OverMemory {
    async fn fresh(&self) -> Box<dyn Backing> {
        let rates = FaultRates {
            delay: 0.5,
            duplicate: 0.1,
            ..FaultRates::default()
        };
        Box::new(Records(State::with_faults(rates, self.seed)))
    }
}

#[async_trait]
impl Backing for Records {
    async fn open(&self) -> SharedDirectory {
        std::sync::Arc::new(directory_over(&self.0))
    }

    async fn reopen(&mut self) -> SharedDirectory {
        self.open().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_local_directory_conforms_over_records_in_memory() {
    for seed in 0..4 {
        run_all("local over memory", &OverMemory { seed }).await;
    }
}
