//! The Riwaq program: every role of a university workspace, in one process or each in its own.
//!
//! Owns the composition: which adapters stand behind the ports, which services run here, and how
//! they reach one another. Must not know any rule of a service.

mod adapters;
mod cli;
mod command;
mod config;
mod host;
mod issuer;
mod role;
mod roles;
mod secrets;
#[cfg(test)]
mod tests;
mod wiring;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use cli::{Cli, Command, Listen};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // First of all: the child must not have a runtime's threads and files when it gives up its rights.
    if let Command::Extract { arguments } = &cli.command {
        return riwaq_extraction::child::run(arguments.last().map(String::as_str));
    }
    match start(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(run(command))
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Dev(dev) => Box::pin(command::dev::run(dev)).await,
        Command::Serve(serve) => Box::pin(command::serve::run(serve)).await,
        Command::Config(sources) => {
            let text = config::Config::load(&sources, &Listen::default())?.render()?;
            print(text.trim_end());
            Ok(())
        }
        Command::Doctor(sources) => command::doctor::run(&sources).await,
        Command::Migrate(sources) => command::migrate::run(&sources).await,
        Command::User(user) => command::user::run(user).await,
        Command::Client(client) => command::client::run(client).await,
        Command::Keycloak(keycloak) => command::keycloak::run(keycloak).await,
        Command::Events(events) => command::events::run(events).await,
        Command::Search(search) => command::search::run(search).await,
        // Handled before the runtime was started.
        Command::Extract { .. } => Ok(()),
    }
}

/// What a command says to whoever typed it.
#[expect(clippy::print_stdout, reason = "a command line talks to its user")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command line talks to its user")]
fn complain(error: &anyhow::Error) {
    eprintln!("riwaq: {error:#}");
}
