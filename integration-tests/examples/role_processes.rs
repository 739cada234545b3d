//! What a process of each role takes, with Cassandra, MinIO, RabbitMQ, OpenSearch and Keycloak beneath: until it is ready,
//! and memory and processor time when it rests.
//!
//! `RIWAQ_TEST_PROGRAM=target/release/riwaq cargo run --release -p riwaq-integration-tests --example role_processes`
//! with the variables that `cargo xtask backends env` prints. Two processes a role are started at once first; then each is
//! ended and started again by itself, a few times, which is what a rollout waits for.
#![expect(
    clippy::print_stdout,
    reason = "a measurement prints its figures to whoever runs it"
)]

use std::time::Duration;

use anyhow::{Context, Result};
use riwaq_integration_tests::{ROLES, World};
use riwaq_test_kit::{Figures, Installation};

#[path = "../tests/it/leftovers.rs"]
mod leftovers;

/// How often each is started by itself.
const STARTS: usize = 5;
/// How long nothing is asked before its memory is read.
const REST: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let world = World::distributed(leftovers::remove).await?;
    let measured = measure(&*world.processes()?).await;
    world.end().await?;
    measured
}

async fn measure(installation: &Installation) -> Result<()> {
    println!(
        "| role | ready in, all at once | ready in, by itself | PSS at rest | processor time until then |"
    );
    println!("|---|---|---|---|---|");
    let at_once = installation.figures();
    let mut by_itself = Vec::new();
    for role in ROLES {
        by_itself.push(starts(installation, role).await?);
    }
    tokio::time::sleep(REST).await;
    let at_rest = installation.figures();
    for (role, starts) in ROLES.into_iter().zip(by_itself) {
        let first = |all: &[Figures]| all.iter().find(|one| one.role == role).cloned();
        let together = first(&at_once).context("a role that does not run")?;
        let resting = first(&at_rest).context("a role that does not run")?;
        println!(
            "| {role} | {} ms | {} ms ({} to {}) | {:.1} MiB | {} ms |",
            together.ready_in.as_millis(),
            starts[STARTS / 2].as_millis(),
            starts[0].as_millis(),
            starts[STARTS - 1].as_millis(),
            resting.pss_kib as f64 / 1024.0,
            resting.cpu.as_millis()
        );
    }
    Ok(())
}

/// How long its first process took to be ready, from the shortest to the longest.
async fn starts(installation: &Installation, role: &str) -> Result<Vec<Duration>> {
    let mut found = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        installation.replica(role, 0)?.terminate().await?;
        found.push(installation.restart(role, 0).await?);
    }
    found.sort();
    Ok(found)
}
