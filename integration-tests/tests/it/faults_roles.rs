//! Processes of roles end, on purpose or not, while people work.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use riwaq_integration_tests::{Load, LoadKind, ROLES, School, World, rounds};
use riwaq_test_kit::{Patience, Verdict};

/// Rounds where nothing else is said; each kills one process of every role.
const ROUNDS: u64 = 3;
const KINDS: [LoadKind; 6] = [
    LoadKind::Upload,
    LoadKind::Edit,
    LoadKind::Section,
    LoadKind::Account,
    LoadKind::Ask,
    LoadKind::Read,
];
/// Operations that end before the next thing is broken, and before it is mended.
const BETWEEN: u64 = 12;

pub(crate) async fn a_replica_of_every_role_is_killed_under_load(world: &mut World) -> Result<()> {
    let mut random = StdRng::seed_from_u64(20_261_121);
    let rounds = rounds(ROUNDS);
    let mut totals = Totals::default();
    let mut school = School::open(world).await?;
    for round in 0..rounds {
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, Patience::default()).await?;
        let killed = kill_one_of_every_role(world, &school, &load, &mut random).await;
        totals.slowest_restart = totals
            .slowest_restart
            .max(killed.with_context(|| format!("round {round}"))?);
        load.every_request_succeeded()
            .with_context(|| format!("round {round}"))?;
        let verdicts = load.holds(&school).await;
        totals.add(&load, &verdicts.with_context(|| format!("round {round}"))?);
    }
    println!(
        "{rounds} rounds, {} processes killed: {totals}",
        rounds * ROLES.len() as u64
    );
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
    let working = load.start(school, &KINDS);
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

pub(crate) async fn a_rollout_under_load_fails_no_request(world: &mut World) -> Result<()> {
    let school = School::open(world).await?;
    let load = Load::on_a_new_course(&school, Patience::default()).await?;
    let working = load.start(&school, &KINDS);
    working.progress(BETWEEN).await?;
    let began = Instant::now();
    world.restart().await?;
    let took = began.elapsed();
    working.progress(BETWEEN).await?;
    working.stop().await?;
    load.every_request_succeeded()?;
    let mut totals = Totals::default();
    totals.add(&load, &load.holds(&school).await?);
    println!("a rollout in {} ms: {totals}", took.as_millis());
    Ok(())
}

/// What many rounds came to.
#[derive(Default)]
struct Totals {
    acknowledged: usize,
    unknown: usize,
    most_tries: u32,
    longest: Duration,
    slowest_restart: Duration,
}

impl Totals {
    fn add(&mut self, load: &Load, verdicts: &[(&'static str, Verdict)]) {
        for (_, verdict) in verdicts {
            self.acknowledged += verdict.acknowledged;
            self.unknown += verdict.unknown;
        }
        let (tries, longest) = load.worst();
        self.most_tries = self.most_tries.max(tries);
        self.longest = self.longest.max(longest);
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} changes acknowledged and there once, {} unknown; a request took at most {} tries and {} ms, a restart {} ms",
            self.acknowledged,
            self.unknown,
            self.most_tries,
            self.longest.as_millis(),
            self.slowest_restart.as_millis()
        )
    }
}
