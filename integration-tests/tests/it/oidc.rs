//! Signing in from outside: a stock OpenID Connect client, and a browser at the gateway.

use std::process::Command;

use anyhow::{Result, ensure};
use riwaq_integration_tests::{Person, World, python};

pub(crate) async fn a_stock_client_signs_in_by_code_and_pkce(world: &mut World) -> Result<()> {
    let issuer = world.issuer().await?;
    run(
        world,
        "oidc_client.py",
        &issuer,
        "student",
        "oidc: every step held",
    )
    .await
}

pub(crate) async fn a_browser_signs_in_with_a_session_cookie_and_changes_need_the_csrf_token(
    world: &mut World,
) -> Result<()> {
    let url = world.url();
    run(
        world,
        "browser_session.py",
        &url,
        "teacher",
        "browser: every step held",
    )
    .await
}

async fn run(world: &World, script: &str, base: &str, role: &str, last_line: &str) -> Result<()> {
    let python = python()?;
    let person = Person::make(&world.admin().await?, role).await?;
    let script = format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut command = tokio::process::Command::from(Command::new(python));
    let output = command
        .args([script.as_str(), base, &person.email, &person.password])
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}\n{errors}");
    ensure!(said.contains(last_line), "{said}");
    Ok(())
}
