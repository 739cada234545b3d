//! The chart on a real Kubernetes: installed, used, upgraded, rolled back, broken and uninstalled.
//!
//! `cargo xtask test` starts the cluster and runs this after everything else; the backends are those of all other tests.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a scenario says what it saw, ends where it fails, and runs what it needs beside itself"
)]

mod all;
mod cluster;
#[path = "../it/leftovers.rs"]
mod leftovers;
mod mail;
#[path = "../it/main_job.rs"]
mod main_job;
mod pods;
mod release;
mod roles;

use anyhow::Result;
use riwaq_integration_tests::NotRun;
use tokio::sync::Mutex;

/// Who has the machine. The small installation holds it to its end and mostly waits, so that there is room for the large
/// one beside it, until something is measured or broken there.
static MACHINE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_one_pod_is_installed_used_upgraded_and_keeps_its_data() -> Result<()> {
    let _machine = MACHINE.lock().await;
    run_or_not(all::from_installation_to_reinstallation().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_a_role_is_installed_used_upgraded_and_broken_under_load() -> Result<()> {
    run_or_not(roles::from_installation_to_reinstallation().await)
}

/// What is missing was said, and nobody required it.
fn run_or_not(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if error.is::<NotRun>() => Ok(()),
        done => done,
    }
}
