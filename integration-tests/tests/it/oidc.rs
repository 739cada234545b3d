//! Other people's OpenID Connect client signs in at the embedded issuer.

use std::process::Command;

use anyhow::{Result, ensure};
use riwaq_integration_tests::Engine;
use riwaq_test_kit::{Backend, python};

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_signs_in_by_code_and_pkce() -> Result<()> {
    let (Backend::Ready(python), Some(builder)) = (python(), Engine::Sqlite.program()?) else {
        return Ok(());
    };
    let program = builder.start().await?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/oidc_client.py");
    let output = Command::new(python)
        .args([
            script,
            &program.url(),
            "student@riwaq.local",
            program.demo_password(),
        ])
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(said.contains("oidc: every step held"), "{said}");
    Ok(())
}
