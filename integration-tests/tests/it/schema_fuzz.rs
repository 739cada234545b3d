//! The OpenAPI document is held against the running program, as each kind of person.

use anyhow::{Result, ensure};
use riwaq_integration_tests::{School, World, python};

/// A short run; `RIWAQ_FUZZ_EXAMPLES` asks for more of each operation.
const EXAMPLES: &str = "12";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_schema_conformance,response_headers_conformance";

pub(crate) async fn no_answer_is_a_5xx_or_differs_from_the_openapi_document(
    world: &mut World,
) -> Result<()> {
    let python = python()?;
    let school = School::open(world).await?;
    // It writes what it has seen into the folder that it runs in.
    let folder = tempfile::tempdir()?;
    let people = [
        ("anonymous", None),
        ("student", Some(school.student.token())),
        ("teacher", Some(school.teacher.token())),
        ("admin", Some(school.admin.token())),
    ];
    for (name, token) in people {
        let examples = std::env::vars()
            .find(|(variable, _)| variable == "RIWAQ_FUZZ_EXAMPLES")
            .map_or(EXAMPLES.into(), |(_, value)| value);
        let mut command = tokio::process::Command::new(&python);
        command
            .current_dir(folder.path())
            .args(["-m", "schemathesis.cli", "run"])
            .arg(format!("{}/api/openapi.json", world.url()))
            .args([
                "--checks",
                CHECKS,
                "--max-examples",
                &examples,
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
    }
    Ok(())
}
