//! Signing in from outside: a stock OpenID Connect client, and a browser at the gateway.

use std::process::Command;

use anyhow::{Result, ensure};
use riwaq_integration_tests::Engine;
use riwaq_test_kit::{Backend, python};

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_signs_in_by_code_and_pkce() -> Result<()> {
    run("oidc_client.py", "student", "oidc: every step held").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_with_a_session_cookie_and_changes_need_the_csrf_token() -> Result<()> {
    run("browser_session.py", "teacher", "browser: every step held").await
}

async fn run(script: &str, person: &str, last_line: &str) -> Result<()> {
    let (Backend::Ready(python), Some(builder)) = (python(), Engine::Sqlite.program()?) else {
        return Ok(());
    };
    let program = builder.start().await?;
    let script = format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let login = format!("{person}@riwaq.local");
    let output = Command::new(python)
        .args([
            script.as_str(),
            &program.url(),
            &login,
            program.demo_password(),
        ])
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{said}\n{errors}\n{}",
        program.log_end()
    );
    ensure!(said.contains(last_line), "{said}");
    Ok(())
}
