//! What is typed.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A password by the environment is not seen by whoever lists processes.
pub(crate) const DEMO_PASSWORD: &str = "RIWAQ_DEMO_PASSWORD";

/// A university's digital workspace.
#[derive(Debug, Parser)]
#[command(name = "riwaq", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration comes from, beside the environment (`RIWAQ_*`).
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Sources {
    /// A configuration file in TOML (`riwaq config` prints one, commented)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the embedded adapters keep everything
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Where to listen.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Listen {
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<IpAddr>,
    /// The port to listen at; 0: any that is free
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every role in this one process, with embedded parts
    Dev(Dev),
    /// Run one role as a process of its own, with distributed parts
    Serve(Serve),
    /// Print the effective configuration with comments; secrets are not shown
    Config(Sources),
    /// Try every backend, and print finding, why and remedy
    Doctor(Sources),
    /// Bring the records' schema up to what this program needs
    Migrate(Sources),
    /// People's accounts
    #[command(subcommand)]
    User(User),
    /// Programs that sign in as themselves
    #[command(subcommand)]
    Client(Client),
    /// The Keycloak server, where identities are kept there
    #[command(subcommand)]
    Keycloak(Keycloak),
    /// The event bus
    #[command(subcommand)]
    Events(Events),
    /// The search index
    #[command(subcommand)]
    Search(Search),
    /// Read a document from standard input and print its text: the confined child of the search role
    #[command(hide = true)]
    Extract {
        /// How the parent wants it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// The password of the demonstration accounts, in place of generated ones
    #[arg(long, value_name = "PASSWORD", env = DEMO_PASSWORD, hide_env_values = true)]
    pub(crate) demo_password: Option<String>,
    /// Make no demonstration accounts
    #[arg(long, conflicts_with = "demo_password")]
    pub(crate) no_demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The role
    #[arg(value_parser = role)]
    pub(crate) role: &'static str,
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make an account
    Create {
        #[command(flatten)]
        sources: Sources,
        /// The e-mail address
        #[arg(long)]
        email: String,
        /// The name in Latin letters
        #[arg(long)]
        first_name: String,
        /// The family name in Latin letters
        #[arg(long)]
        last_name: String,
        /// A role, such as student, teacher or admin; may be given several times
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// Read the password from the first line of standard input; without it, one is made and printed
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        sources: Sources,
    },
    /// Replace the roles of an account
    SetRole {
        #[command(flatten)]
        sources: Sources,
        /// The e-mail address
        email: String,
        /// The roles that it has from now on
        #[arg(required = true)]
        roles: Vec<String>,
    },
    /// Set the password of an account; everything signed in with the old one is signed out
    SetPassword {
        #[command(flatten)]
        sources: Sources,
        /// The e-mail address
        email: String,
        /// Read the password from the first line of standard input; without it, one is made and printed
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Make a confidential client; its id and secret are printed once
    Create {
        #[command(flatten)]
        sources: Sources,
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keycloak {
    /// Make the realm, or bring it up to date: roles, clients and their secrets, sign-in, password policy.
    /// The administrator's password is read from the first line of standard input
    Provision {
        #[command(flatten)]
        sources: Sources,
        /// An administrator of the realm `master`
        #[arg(long, value_name = "NAME", default_value = "admin")]
        admin_user: String,
        /// Where Keycloak tells that a session has ended, if its way to the gateway is not the public one
        #[arg(long, value_name = "URL")]
        backchannel_logout_url: Option<String>,
        /// The school's name, as the sign-in page shows it
        #[arg(long, value_name = "NAME")]
        school_name: Option<String>,
        /// Roles whose holders sign in with a second factor, with commas between; empty for none
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            default_value = "teacher,admin"
        )]
        second_factor: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// What could not be delivered
    #[command(subcommand)]
    Dead(Dead),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// List the dead letters
    List {
        #[command(flatten)]
        sources: Sources,
    },
    /// Deliver dead letters again
    Replay {
        #[command(flatten)]
        sources: Sources,
        /// The dead letters' ids; all of them without any
        ids: Vec<String>,
    },
    /// Remove dead letters for good, undelivered
    Discard {
        #[command(flatten)]
        sources: Sources,
        /// The dead letters' ids, as `list` prints them
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Search {
    /// Build the index anew from courses and files
    Rebuild {
        #[command(flatten)]
        sources: Sources,
    },
}

fn role(name: &str) -> Result<&'static str, String> {
    let known = crate::roles::names();
    known
        .iter()
        .copied()
        .find(|role| *role == name)
        .ok_or_else(|| format!("the roles are: {}", known.join(", ")))
}
