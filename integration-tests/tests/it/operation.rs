//! What operators do: ending and starting processes, and the program's other commands.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use riwaq_integration_tests::{Person, School, World};
use serde_json::json;

pub(crate) async fn it_drains_on_sigterm_and_keeps_everything(world: &mut World) -> Result<()> {
    let mut school = School::open(world).await?;
    let course = school.course("Avant").await?.id;
    world.restart().await?;
    school.sign_in_again(world).await?;
    let path = format!("/api/courses/{course}");
    let kept = school.teacher.get(&path).await?.expect(200)?;
    ensure!(kept["title"] == "Avant", "{kept}");
    Ok(())
}

pub(crate) async fn the_operator_s_commands_answer(world: &mut World) -> Result<()> {
    let person = Person::make(&world.admin().await?, "teacher").await?;
    let config = said(world.operate(&["config"]).await?).context("config")?;
    ensure!(config.contains("public_url"), "{config}");
    let doctor = said(world.operate(&["doctor"]).await?).context("doctor")?;
    ensure!(doctor.contains("records"), "{doctor}");
    let migrated = said(world.operate(&["migrate"]).await?).context("migrate")?;
    ensure!(migrated.contains("already"), "{migrated}");
    let users = said(world.operate(&["user", "list"]).await?).context("user list")?;
    ensure!(users.contains(&person.email), "{users}");
    said(world.operate(&["events", "dead", "list"]).await?).context("events dead list")?;
    Ok(())
}

pub(crate) async fn an_operator_s_changes_hold_at_once(world: &mut World) -> Result<()> {
    let person = Person::make(&world.admin().await?, "student").await?;
    let before = world.sign_in(&person.email, &person.password).await?;
    let body = json!({"title": "Pas encore", "description": ""});
    before
        .post("/api/courses", &body)
        .await?
        .expect_problem(403, "forbidden")?;
    let command = ["user", "set-role", &person.email, "teacher"];
    said(world.operate(&command).await?).context("user set-role")?;
    let after = world.sign_in(&person.email, &person.password).await?;
    after.post("/api/courses", &body).await?.expect(201)?;
    Ok(())
}

fn said(output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {text}{errors}", output.status);
    ensure!(!errors.contains("panicked"), "{errors}");
    Ok(text)
}
