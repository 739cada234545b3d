//! Processes of roles are killed with -9, one of every role in a round, while people work.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::seq::SliceRandom;
use rand::{RngExt, rngs::StdRng};
use riwaq_integration_tests::{Load, LoadKind, ROLES, School, World, random, rounds};
use riwaq_test_kit::Patience;

use crate::faults_roles::{BETWEEN, Totals};

/// Rounds where nothing else is said.
const ROUNDS: u64 = 3;

pub(crate) async fn a_replica_of_every_role_is_killed_under_load(world: &mut World) -> Result<()> {
    let mut random = random();
    let (mut totals, mut slowest) = (Totals::default(), Duration::ZERO);
    let mut school = School::open(world).await?;
    for round in 0..rounds(ROUNDS) {
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, Patience::default()).await?;
        let killed = kill_one_of_every_role(world, &school, &load, &mut random).await;
        slowest = slowest.max(killed.with_context(|| format!("round {round}"))?);
        load.every_request_succeeded()
            .with_context(|| format!("round {round}"))?;
        let verdicts = load.holds(&school).await;
        totals.add(&load, &verdicts.with_context(|| format!("round {round}"))?);
        println!(
            "{} rounds, {} processes killed: {totals}, a restart {} ms",
            round + 1,
            (round + 1) * ROLES.len() as u64,
            slowest.as_millis()
        );
    }
    Ok(())
}

/// In an order of the round's own; gives the slowest restart.
async fn kill_one_of_every_role(
    world: &World,
    school: &School,
    load: &Load,
    random: &mut StdRng,
) -> Result<Duration> {
    let installation = world.processes()?;
    let mut roles = ROLES.to_vec();
    roles.shuffle(random);
    let working = load.start(school, &LoadKind::ALL);
    let mut slowest = Duration::ZERO;
    for role in roles {
        working.progress(BETWEEN).await?;
        let number = random.random_range(0..2);
        installation.replica(role, number)?.kill()?;
        working.progress(BETWEEN).await?;
        slowest = slowest.max(installation.restart(role, number).await?);
    }
    working.progress(BETWEEN).await?;
    working.stop().await?;
    Ok(slowest)
}
