//! The one world of many processes: every scenario in it, then everything that can break.

use anyhow::{Result, bail};
use riwaq_integration_tests::{Mode, NotRun, Scenario, World, chosen, run};

use crate::{SCENARIOS, faults_killed, faults_network, faults_roles, leftovers};

/// What is broken, after the scenarios: the lines to backends, then processes.
const FAULTS: &[Scenario] = &[
    Scenario {
        name: "the_main_job_over_slow_lines",
        run: |world| Box::pin(faults_network::the_main_job_over_slow_lines(world)),
    },
    Scenario {
        name: "requests_fail_cleanly_while_a_line_is_cut_and_recover",
        run: |world| {
            Box::pin(faults_network::requests_fail_cleanly_while_a_line_is_cut_and_recover(world))
        },
    },
    Scenario {
        name: "requests_fail_cleanly_while_a_line_is_half_open_and_recover",
        run: |world| {
            Box::pin(
                faults_network::requests_fail_cleanly_while_a_line_is_half_open_and_recover(world),
            )
        },
    },
    Scenario {
        name: "a_role_starts_while_backends_that_others_need_are_away",
        run: |world| {
            Box::pin(faults_network::a_role_starts_while_backends_that_others_need_are_away(world))
        },
    },
    Scenario {
        name: "without_the_issuer_tokens_in_hand_hold_and_signing_in_says_why_it_cannot",
        run: |world| {
            Box::pin(faults_network::without_the_issuer_tokens_in_hand_hold_and_signing_in_says_why_it_cannot(world))
        },
    },
    Scenario {
        name: "a_rollout_under_load_fails_no_request",
        run: |world| Box::pin(faults_roles::a_rollout_under_load_fails_no_request(world)),
    },
    Scenario {
        name: "a_replica_of_every_role_is_killed_under_load",
        run: |world| {
            Box::pin(faults_killed::a_replica_of_every_role_is_killed_under_load(
                world,
            ))
        },
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_and_every_fault_with_two_processes_a_role_on_real_backends() -> Result<()> {
    let _machine = crate::machine::alone().await;
    let chosen = chosen(SCENARIOS.iter().chain(FAULTS), Mode::Distributed)?;
    let mut world = match World::distributed(leftovers::remove).await {
        Err(error) if error.is::<NotRun>() => return Ok(()),
        world => world?,
    };
    let mut failed = Vec::new();
    for scenario in chosen {
        if run(scenario, &mut world).await.is_err() {
            failed.push(scenario.name);
        }
    }
    world.end().await?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
