//! What operators do: ending and starting processes, and the program's other commands.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
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

pub(crate) async fn an_index_built_anew_by_command_finds_what_the_old_one_found(
    world: &mut World,
) -> Result<()> {
    let mut school = School::open(world).await?;
    let course = school.course("Reconstruction").await?.id;
    let text = "Un palimpseste garde la trace de ce qui fut effacé.".as_bytes();
    let file = school
        .upload(&course, "notes.txt", "text/plain", text)
        .await?;
    school.extracted(&file).await?;
    found(&school, &file).await?;
    let rebuilt = said(world.operate(&["search", "rebuild"]).await?).context("search rebuild")?;
    let files = rebuilt
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok());
    ensure!(files.is_some_and(|files: u64| files > 0), "{rebuilt}");
    school.sign_in_again(world).await?;
    found(&school, &file).await
}

/// The teacher finds the file by a word of it.
async fn found(school: &School, file: &str) -> Result<()> {
    let request = school.teacher.request(Method::GET, "/api/search");
    let request = request.query(&[("q", "palimpseste")]);
    let answer = school.teacher.send(request).await?.expect(200)?;
    ensure!(answer.to_string().contains(file), "{answer}");
    Ok(())
}

fn said(output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {text}{errors}", output.status);
    ensure!(!errors.contains("panicked"), "{errors}");
    Ok(text)
}
