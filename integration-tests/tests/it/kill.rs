//! kill -9 in a loop: whatever was acknowledged is there afterwards, every event had its effect once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use riwaq_integration_tests::{Load, LoadKind, School, World, random, rounds};
use riwaq_test_kit::Patience;

/// Kills of the one process where nothing else is said.
const ROUNDS: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_of_the_one_process() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let mut world = World::embedded().await?;
    let mut school = School::open(&world).await?;
    let once = Patience {
        tries: 1,
        ..Patience::default()
    };
    let load = Load::on_a_new_course(&school, once).await?.until_failure();
    // The program dies in the middle of something.
    let load = load.with_pauses_of(Duration::ZERO);
    let mut random = random();
    let rounds = rounds(ROUNDS);
    for round in 0..rounds {
        school
            .sign_in_again(&world)
            .await
            .with_context(|| format!("round {round}"))?;
        let kinds = [LoadKind::Upload, LoadKind::Edit, LoadKind::Section];
        let working = load.start(&school, &kinds);
        // Not a wait for anything: where in its work the program dies is what differs from round to round.
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        world.one_process()?.kill()?;
        working.stop().await?;
        world
            .one_process()?
            .start()
            .await
            .with_context(|| format!("restart after round {round}"))?;
    }
    school.sign_in_again(&world).await?;
    let verdicts = load.holds(&school).await?;
    println!("{rounds} kills of the one process:");
    for (what, verdict) in &verdicts {
        println!("  {what}: {verdict}");
    }
    let [uploads, edits, ..] = &verdicts[..] else {
        anyhow::bail!("no verdicts")
    };
    ensure!(
        uploads.1.acknowledged > 20 && edits.1.acknowledged > 20,
        "too little was done to prove anything"
    );
    Ok(())
}
