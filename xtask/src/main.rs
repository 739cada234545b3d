//! Build, run, test and check: the commands of this repository.
//!
//! Owns what a developer or CI types. Must not know how the program works inside.
#![allow(clippy::print_stdout, reason = "a command line talks to its user")]

mod arrows;
mod backends;
mod build;
mod chart;
mod checks;
mod cluster;
mod compose;
mod folders;
mod image;
mod matrix;
mod paths;
mod process;
mod sizes;
mod test;
mod tools;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and start `riwaq dev`; what follows is handed to it
    Run {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the whole program as one file: target/release/riwaq
    Build {
        /// Optimised
        #[arg(long)]
        release: bool,
    },
    /// Every check and every test, with the real backends that they need
    Test(test::Options),
    /// Format, lints, arrows between crates, sizes, licences: no test is run
    Check,
    /// Files and functions that outgrew the house's sizes
    Sizes,
    /// The arrows between crates
    Arrows,
    /// Real servers for tests and trials, from package registries only
    Backends(backends::Options),
    /// A real Kubernetes of one node for tests and trials
    Cluster(cluster::Options),
    /// Write the image as an archive that containerd, Docker and Podman load; no daemon is needed
    Image(image::Options),
    /// Make what is made from the Helm chart, and hold the chart against its rules
    Chart(chart::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run { args } => build::run(&args),
        Command::Build { release } => {
            let profile = if release {
                build::Profile::Release
            } else {
                build::Profile::Debug
            };
            build::build(profile).map(|path| println!("{}", path.display()))
        }
        Command::Test(options) => test::run(&options),
        Command::Check => checks::all(),
        Command::Sizes => sizes::check(),
        Command::Arrows => arrows::check(),
        Command::Backends(options) => backends::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Image(options) => image::run(&options),
        Command::Chart(options) => chart::run(&options),
    }
}
