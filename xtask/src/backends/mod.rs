//! Real servers from package registries only: no container engine is needed.
//!
//! Programs lie in the cache, keyed by version; data, logs and pid files beside them, in one folder
//! for each range of ports. A server is ended by the pid that started it, after a look at whether
//! that pid is still ours.

mod authority;
mod cassandra;
mod cql;
pub(crate) mod daemon;
pub(crate) mod debian;
mod fleet;
pub(crate) mod golang;
pub(crate) mod install;
mod java;
mod keycloak;
mod maven;
mod minio;
mod opensearch;
mod pebble;
mod place;
mod probe;
mod rabbitmq;
mod server;
pub(crate) mod versions;
mod versitygw;

use std::collections::BTreeSet;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use fleet::{Data, Fleet};
use place::Place;

/// Which servers, and what to do with them.
#[derive(Args)]
pub(crate) struct Options {
    /// The first of the hundred ports that they listen on; another range is another set of servers
    /// with data of its own [default: RIWAQ_TEST_PORTS, else 19000]
    #[arg(long, global = true)]
    ports: Option<u16>,
    #[command(subcommand)]
    action: Action,
}

/// What to do with the backends. A name is one of a server (`rabbitmq`) or of one of its processes
/// (`cassandra-cluster/2`); no name is all of them.
#[derive(Subcommand)]
enum Action {
    /// Install what is missing and start what does not run
    Up {
        /// Begin with empty data, where it does not run
        #[arg(long)]
        fresh: bool,
        names: Vec<String>,
    },
    /// Only install what is missing
    Install { names: Vec<String> },
    /// Stop those that these commands started; their data stays
    Down { names: Vec<String> },
    /// End them by SIGKILL, as a fault would
    Kill {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say which run, where, by which process and in how much memory
    Status { names: Vec<String> },
    /// The variables that tests read, for a shell: `eval "$(cargo xtask backends env)"`
    Env { names: Vec<String> },
}

/// Carries out one action.
pub(crate) fn run(options: &Options) -> Result<()> {
    let fleet = Fleet::new(&Place::new(options.ports)?);
    match &options.action {
        Action::Up { fresh, names } => {
            let data = if *fresh { Data::Fresh } else { Data::Kept };
            fleet.select(names)?.up(data)
        }
        Action::Install { names } => fleet.select(names)?.install(),
        Action::Down { names } => fleet.select(names)?.down(),
        Action::Kill { names } => fleet.select(names)?.kill_except(&BTreeSet::new()),
        Action::Status { names } => {
            fleet.select(names)?.status();
            Ok(())
        }
        Action::Env { names } => {
            for (variable, value) in fleet.select(names)?.variables() {
                println!("export {variable}='{value}'");
            }
            Ok(())
        }
    }
}

/// All of them at the usual ports, for the tests.
pub(crate) fn for_tests() -> Result<Fleet> {
    Ok(Fleet::new(&Place::new(None)?))
}
