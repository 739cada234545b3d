//! Scenarios over the real program, from outside, in every shape that it runs in.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a scenario says what it saw, ends where it fails, and runs what it needs beside itself"
)]

mod alone;
mod bad_input;
mod faults_killed;
mod faults_network;
mod faults_rabbitmq;
mod faults_roles;
mod faults_s3;
mod keycloak_realm;
mod keycloak_sign_in;
mod kill;
mod leftovers;
mod machine;
mod main_job;
mod oidc;
mod operation;
mod plain_cql;
mod roles;
mod schema_fuzz;
mod traces;

use anyhow::Result;
use riwaq_integration_tests::{NotRun, Scenario, World, run};

/// Every scenario, once: a test of its own in a world of its own in one process, and in the one world of many processes.
macro_rules! scenarios {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// All of them.
        const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: stringify!($name), run: |world| Box::pin($module::$name(world)) }),*
        ];

        mod embedded {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() -> super::Result<()> {
                let _machine = super::machine::shared().await;
                super::world_of_its_own(stringify!($name), super::World::embedded().await).await
            }
        )*}
    };
}

scenarios! {
    main_job::the_main_job,
    bad_input::hostile_names_are_cleaned_or_refused,
    bad_input::hostile_documents_are_quarantined_or_fail_with_a_reason,
    bad_input::bodies_and_parameters_that_are_wrong_name_the_field,
    bad_input::stale_etags_and_foreign_cursors_are_refused,
    bad_input::forged_tokens_are_refused,
    bad_input::a_student_gets_nowhere_with_a_teacher_s_or_an_administrator_s_routes,
    oidc::a_stock_client_signs_in_by_code_and_pkce,
    oidc::a_browser_signs_in_with_a_session_cookie_and_changes_need_the_csrf_token,
    traces::one_trace_holds_the_upload_and_the_indexing_that_it_caused,
    operation::it_drains_on_sigterm_and_keeps_everything,
    operation::the_operator_s_commands_answer,
    operation::an_operator_s_changes_hold_at_once,
    operation::an_index_built_anew_by_command_finds_what_the_old_one_found,
    schema_fuzz::no_answer_is_a_5xx_or_differs_from_the_openapi_document,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_with_records_in_cassandra() -> Result<()> {
    let _machine = machine::shared().await;
    world_of_its_own("the_main_job", World::with_records_in_cassandra().await).await
}

/// Runs one scenario in a world of its own.
async fn world_of_its_own(name: &str, world: Result<World>) -> Result<()> {
    let mut world = match world {
        Err(error) if error.is::<NotRun>() => return Ok(()),
        world => world?,
    };
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    run(*scenario.unwrap(), &mut world).await?;
    world.end().await
}
