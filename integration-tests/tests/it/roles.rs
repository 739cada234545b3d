//! The program's own commands, and each role as a process.

use anyhow::{Result, ensure};
use riwaq_integration_tests::Engine;

const ROLES: [&str; 7] = [
    "gateway", "auth", "users", "courses", "files", "search", "chatbot",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_its_own_refuses_embedded_adapters_and_says_why() -> Result<()> {
    let Some(builder) = Engine::Sqlite.program()? else {
        return Ok(());
    };
    let program = builder.start().await?;
    for role in ROLES {
        let output = program.command(&["serve", role])?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{role} must refuse");
        ensure!(
            said.contains("embedded") && said.contains("records"),
            "{role} says: {said}"
        );
        ensure!(!said.contains("panicked"), "{said}");
    }
    let unknown = program.command(&["serve", "nothing"])?.output()?;
    ensure!(!unknown.status.success());
    ensure!(
        String::from_utf8_lossy(&unknown.stderr).contains("gateway"),
        "the roles must be named"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_on_the_same_data_refuses() -> Result<()> {
    let Some(builder) = Engine::Sqlite.program()? else {
        return Ok(());
    };
    let program = builder.start().await?;
    let output = program.command(&["dev", "--port", "0"])?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("lock"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_drains_on_sigterm_and_keeps_everything() -> Result<()> {
    let Some(builder) = Engine::Sqlite.program()? else {
        return Ok(());
    };
    let mut program = builder.start().await?;
    let teacher = program.signed_in("teacher").await?;
    let body = serde_json::json!({"title": "Avant", "description": ""});
    let course = teacher.post("/api/courses", &body).await?.expect(201)?;
    program.terminate().await?;
    program.start().await?;
    let teacher = program.signed_in("teacher").await?;
    let path = format!("/api/courses/{}", course["id"].as_str().unwrap_or_default());
    let kept = teacher.get(&path).await?.expect(200)?;
    ensure!(kept["title"] == "Avant", "{kept}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_s_commands_answer() -> Result<()> {
    let Some(builder) = Engine::Sqlite.program()? else {
        return Ok(());
    };
    let mut program = builder.start().await?;
    let config = program.command(&["config"])?.output()?;
    let text = String::from_utf8_lossy(&config.stdout).into_owned();
    ensure!(
        config.status.success() && text.contains("public_url"),
        "{text}"
    );
    ensure!(
        !text.contains(program.demo_password()),
        "a secret is printed"
    );
    // The rest opens the data folder, which only one process may.
    program.terminate().await?;
    let doctor = program.command(&["doctor"])?.output()?;
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(
        doctor.status.success() && text.contains("records"),
        "{text}{}",
        String::from_utf8_lossy(&doctor.stderr)
    );
    let migrate = program.command(&["migrate"])?.output()?;
    ensure!(
        migrate.status.success(),
        "{}",
        String::from_utf8_lossy(&migrate.stderr)
    );
    let users = program.command(&["user", "list"])?.output()?;
    ensure!(
        users.status.success(),
        "{}",
        String::from_utf8_lossy(&users.stderr)
    );
    ensure!(String::from_utf8_lossy(&users.stdout).contains("teacher@riwaq.local"));
    let dead = program.command(&["events", "dead", "list"])?.output()?;
    ensure!(
        dead.status.success(),
        "{}",
        String::from_utf8_lossy(&dead.stderr)
    );
    Ok(())
}
