//! The OpenAPI document is held against the running program, as each kind of person.

use std::path::Path;

use anyhow::{Result, ensure};
use riwaq_integration_tests::{Mode, School, World, python};

/// A short run; `RIWAQ_FUZZ_EXAMPLES` asks for more of each operation.
const EXAMPLES: &str = "12";
/// The same routes behind a network, where each request takes several times as long.
const EXAMPLES_OF_MANY_PROCESSES: &str = "3";
/// Where tables of what Unicode has are kept, which take seconds to make.
const TABLES: &str = "HYPOTHESIS_STORAGE_DIRECTORY";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_schema_conformance,response_headers_conformance";

pub(crate) async fn no_answer_is_a_5xx_or_differs_from_the_openapi_document(
    world: &mut World,
) -> Result<()> {
    let python = python()?;
    let mut school = School::open(world).await?;
    let usual = match world.mode() {
        Mode::Distributed => EXAMPLES_OF_MANY_PROCESSES,
        _ => EXAMPLES,
    };
    let examples = std::env::vars()
        .find(|(variable, _)| variable == "RIWAQ_FUZZ_EXAMPLES")
        .map_or(usual.into(), |(_, value)| value);
    school.sign_in_again(world).await?;
    let address = world.url();
    let as_each = |name, token| fuzz(&python, &address, &examples, name, token);
    // Each with a token that lasts: an expired one would be refused everywhere, and nothing would be tried.
    tokio::try_join!(
        as_each("anonymous", None),
        as_each("student", Some(school.student.token())),
        as_each("teacher", Some(school.teacher.token())),
    )?;
    // Who may change the others' accounts comes after them.
    school.sign_in_again(world).await?;
    fuzz(
        &python,
        &address,
        &examples,
        "admin",
        Some(school.admin.token()),
    )
    .await
}

async fn fuzz(
    python: &Path,
    address: &str,
    examples: &str,
    name: &str,
    token: Option<&str>,
) -> Result<()> {
    // It writes what it has seen into the folder that it runs in.
    let folder = tempfile::tempdir()?;
    let mut command = tokio::process::Command::new(python);
    command
        .current_dir(folder.path())
        // All of it is read again before each request, in search of a proxy.
        .env_clear()
        .env(TABLES, concat!(env!("CARGO_TARGET_TMPDIR"), "/hypothesis"))
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{address}/api/openapi.json"))
        .args([
            "--checks",
            CHECKS,
            "--max-examples",
            examples,
            "--seed",
            "20261121",
        ])
        .args(["--generation-deterministic", "--warnings", "off"])
        .args([
            "--phases",
            "examples,coverage,fuzzing,stateful",
            "--request-timeout",
            "20",
        ])
        // Signing out ends the very token that the run uses.
        .args([
            "--exclude-path",
            "/api/auth/logout",
            "--exclude-path",
            "/api/auth/session",
        ])
        .args(["--no-color", "--continue-on-failure"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "as {name}:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("schemathesis as {name}: clean");
    Ok(())
}
