//! Processes of roles end on purpose, half after half, while people work.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use riwaq_integration_tests::{Load, LoadKind, School, World, rounds};
use riwaq_test_kit::{Patience, Verdict};

/// Rounds where nothing else is said.
const ROUNDS: u64 = 3;
/// Operations that end before the next thing is broken, and before it is mended.
pub(crate) const BETWEEN: u64 = 12;

pub(crate) async fn a_rollout_under_load_fails_no_request(world: &mut World) -> Result<()> {
    let mut school = School::open(world).await?;
    let mut totals = Totals::default();
    let mut slowest = Duration::ZERO;
    for round in 0..rounds(ROUNDS) {
        school.sign_in_again(world).await?;
        let load = Load::on_a_new_course(&school, Patience::default()).await?;
        let took = roll(world, &school, &load).await;
        slowest = slowest.max(took.with_context(|| format!("round {round}"))?);
        let verdicts = load.holds(&school).await;
        totals.add(&load, &verdicts.with_context(|| format!("round {round}"))?);
        println!(
            "{} rollouts of at most {} ms: {totals}",
            round + 1,
            slowest.as_millis()
        );
    }
    Ok(())
}

/// Gives how long the rollout took.
async fn roll(world: &mut World, school: &School, load: &Load) -> Result<Duration> {
    let working = load.start(school, &LoadKind::ALL);
    working.progress(BETWEEN).await?;
    let began = Instant::now();
    world.restart().await?;
    let took = began.elapsed();
    working.progress(BETWEEN).await?;
    working.stop().await?;
    load.every_request_succeeded()?;
    Ok(took)
}

/// What many rounds came to.
#[derive(Default)]
pub(crate) struct Totals {
    acknowledged: usize,
    unknown: usize,
    most_tries: u32,
    longest: Duration,
}

impl Totals {
    pub(crate) fn add(&mut self, load: &Load, verdicts: &[(&'static str, Verdict)]) {
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
            "{} changes acknowledged and there once, {} unknown; a request took at most {} tries and {} ms",
            self.acknowledged,
            self.unknown,
            self.most_tries,
            self.longest.as_millis()
        )
    }
}
