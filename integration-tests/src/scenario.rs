//! Scenarios: what is run, in which world, and how it is reported.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Instant;

use anyhow::{Result, ensure};
use rand::{SeedableRng, rngs::StdRng};
use riwaq_test_kit::Backend;

use crate::{Mode, World};

/// A scenario under way.
pub type ScenarioRun<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// One scenario: it is handed a running world and leaves it running. In a world that it shares with others it makes
/// its own people and courses.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name, as it is reported.
    pub name: &'static str,
    /// Runs it.
    pub run: for<'a> fn(&'a mut World) -> ScenarioRun<'a>,
}

/// Something is missing here that nobody required; `NOT RUN` was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRun;

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something that it needs is missing here")
    }
}

impl std::error::Error for NotRun {}

/// The Python that has the stock clients.
///
/// # Errors
/// [`NotRun`] where there is none.
pub fn python() -> Result<PathBuf> {
    match riwaq_test_kit::python() {
        Backend::Ready(path) => Ok(path),
        Backend::NotRun => Err(NotRun.into()),
    }
}

/// How often something is broken: `RIWAQ_TEST_ROUNDS`, or so often.
#[must_use]
pub fn rounds(usual: u64) -> u64 {
    variable("RIWAQ_TEST_ROUNDS")
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(usual)
}

/// Decides what is broken, when and in which order: the same in every run, but for another `RIWAQ_TEST_SEED`.
#[must_use]
pub fn random() -> StdRng {
    let seed = variable("RIWAQ_TEST_SEED").and_then(|seed| seed.parse().ok());
    StdRng::seed_from_u64(seed.unwrap_or(20_261_121))
}

/// A variable of the tests.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::vars().find_map(|(variable, value)| (variable == name).then_some(value))
}

/// Those of several that `RIWAQ_TEST_SCENARIO` names by a part of their names, all where it is not set. The others are
/// reported as left out, and a whole test run with such does not pass.
///
/// # Errors
/// When it names none.
pub fn chosen<'a>(
    scenarios: impl Iterator<Item = &'a Scenario>,
    mode: Mode,
) -> Result<Vec<Scenario>> {
    let Some(wanted) = variable("RIWAQ_TEST_SCENARIO") else {
        return Ok(scenarios.copied().collect());
    };
    let (chosen, others): (Vec<&Scenario>, Vec<&Scenario>) =
        scenarios.partition(|scenario| scenario.name.contains(&wanted));
    for left_out in others {
        println!("scenario: {}/{} left out", left_out.name, mode.name());
    }
    ensure!(
        !chosen.is_empty(),
        "no scenario has {wanted} in its name (RIWAQ_TEST_SCENARIO)"
    );
    Ok(chosen.into_iter().copied().collect::<Vec<_>>())
}

/// Runs one in a world and reports it.
///
/// # Errors
/// When it fails; the ends of the logs are printed.
pub async fn run(scenario: Scenario, world: &mut World) -> Result<()> {
    let name = format!("{}/{}", scenario.name, world.mode().name());
    let began = Instant::now();
    match (scenario.run)(world).await {
        Ok(()) => println!("scenario: {name} ok ({} ms)", began.elapsed().as_millis()),
        Err(error) if error.is::<NotRun>() => println!("scenario: {name} NOT RUN"),
        Err(error) => {
            println!(
                "scenario: {name} FAILED ({} ms): {error:#}\n{}",
                began.elapsed().as_millis(),
                world.log_ends()
            );
            return Err(error);
        }
    }
    Ok(())
}
