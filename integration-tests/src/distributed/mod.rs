//! Two processes a role, on real backends.

mod backends;
mod keycloak;
mod line;
mod share;

use anyhow::{Context, Result};
use riwaq_test_kit::{Installation, InstallationBuilder};

pub use backends::Backends;
pub use line::Line;
pub use share::{Leftovers, Remover, Share};

/// Every role; the gateway is the public one.
pub const ROLES: [&str; 7] = [
    "gateway", "auth", "users", "courses", "files", "search", "chatbot",
];
/// Processes of each.
const REPLICAS: usize = 2;
/// The administrator that the first command makes.
pub const ADMIN: &str = "admin@riwaq.test";
/// The password, which is read from standard input.
pub const ADMIN_PASSWORD: &str = "a-password-of-the-administrator";
/// That command.
pub const MAKE_ADMIN: [&str; 11] = [
    "user",
    "create",
    "--email",
    ADMIN,
    "--first-name",
    "Admin",
    "--last-name",
    "Riwaq",
    "--role",
    "admin",
    "--password-stdin",
];

/// Settings that have nothing to do with where backends are.
const SETTINGS: &str = r#"
[telemetry]
trace_sample_ratio = 0.0

[chatbot]
answer_timeout_seconds = 10
"#;

/// Starts an installation on the backends, with an administrator.
///
/// # Errors
/// When a process does not come up.
pub(crate) async fn start(backends: &Backends, traces: &str) -> Result<Installation> {
    let (admin, password) = backends.keycloak_admin();
    let provision = ["keycloak", "provision", "--admin-user", admin];
    let mut builder = InstallationBuilder::new(&ROLES, REPLICAS)?
        .command(&provision, password)
        .settings(SETTINGS)
        .settings(&backends.settings()?)
        .variable("RIWAQ_TELEMETRY_OTLP_ENDPOINT", traces);
    for (name, value) in backends.secrets() {
        builder = builder.variable(name, &value);
    }
    let installation = builder.start().await?;
    installation
        .run_with_input(&MAKE_ADMIN, ADMIN_PASSWORD)
        .await
        .context("making the administrator")?;
    println!(
        "{} processes: migrated in {} ms, all ready after {} ms",
        installation.replicas().len(),
        installation.migrated_in.as_millis(),
        installation.started_in.as_millis()
    );
    for figures in installation.figures() {
        println!("  {figures}");
    }
    Ok(installation)
}
