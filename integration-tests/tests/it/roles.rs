//! What only one process can show: that it refuses to be one of many, or to share its data folder.

use anyhow::{Result, ensure};
use riwaq_integration_tests::{ROLES, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_its_own_refuses_embedded_adapters_and_says_why() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let world = World::embedded().await?;
    for role in ROLES {
        let output = world.command(&["serve", role])?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{role} must refuse");
        ensure!(
            said.contains("embedded") && said.contains("records"),
            "{role} says: {said}"
        );
        ensure!(!said.contains("panicked"), "{said}");
    }
    let unknown = world.command(&["serve", "nothing"])?.output()?;
    ensure!(!unknown.status.success());
    ensure!(
        String::from_utf8_lossy(&unknown.stderr).contains("gateway"),
        "the roles must be named"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_on_the_same_data_refuses() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let world = World::embedded().await?;
    let output = world.command(&["dev", "--port", "0"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("lock"), "{said}");
    Ok(())
}
