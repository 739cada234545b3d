//! The process dies at every single write: nothing acknowledged is lost, and everything converges.

use std::time::Duration;

use crate::lab::Lab;
use crate::world::{Change, Note, NoteByOwner, World, change, note, wanted};
use riwaq_aggregates::records::RecordsError;
use riwaq_aggregates::records::faults::CrashPoint;
use riwaq_aggregates::{Act, Draft, Error, Version, new_op_id};
use riwaq_clock::Clock as _;

const SCRIPT: [Change; 4] = [
    Change::Mark(1),
    Change::Move("omar"),
    Change::Delete,
    Change::Move("leila"),
];

/// Creates a note and plays the script; stops at the first failure. Returns the acknowledged version.
async fn play(world: &World) -> i64 {
    let mut acknowledged = 0;
    let draft = Draft::new("created", note("sara"));
    let Ok(created) = world.notes.create(&world.id(1), Act::system(), draft).await else {
        return acknowledged;
    };
    acknowledged = created.version;
    let relay = world.outbox.relay();
    for step in &SCRIPT {
        relay.drain().await;
        match change(&world.notes, world.id(1), new_op_id(), step).await {
            Ok(version) => acknowledged = version.version,
            Err(_) => return acknowledged,
        }
    }
    relay.drain().await;
    acknowledged
}

pub async fn a_crash_at_any_write_loses_nothing_that_was_acknowledged(lab: Lab) {
    for point in [CrashPoint::Before, CrashPoint::After] {
        let mut crashes = 0;
        for fatal in 1.. {
            let engine = lab.engine().await;
            let mut world = World::new(engine).await;
            world.faulty.crash_at(fatal, point);
            let acknowledged = play(&world).await;
            let crashed = world.faulty.is_dead();
            world.restart();
            world.clock.advance(Duration::from_secs(1));
            world.settle().await;
            let newest = world
                .notes
                .load(&world.id(1))
                .await
                .unwrap()
                .map_or(0, |newest| newest.version);
            assert!(
                newest >= acknowledged,
                "[{}] {fatal} {point:?}: lost a version",
                world.engine.name
            );
            assert!(
                newest <= acknowledged + 1,
                "[{}] {fatal} {point:?}",
                world.engine.name
            );
            world.assert_converged(&[world.id(1)]).await;
            if !crashed {
                break;
            }
            crashes += 1;
        }
        // Five changes of pointer, version, views and the pointer's deletion, and the bucket's row.
        assert!(crashes > 5 * 4, "only {crashes} writes");
    }
}

pub async fn a_client_that_repeats_an_unknown_creation_gets_what_it_made(lab: Lab) {
    let engine = lab.engine().await;
    let mut world = World::new(engine).await;
    let act = Act::system();
    // Bucket row, pointer, version: the answer to the version is lost.
    world.faulty.crash_at(3, CrashPoint::After);
    let lost = world
        .notes
        .create(&world.id(1), act, Draft::new("created", note("sara")))
        .await;
    assert!(
        matches!(&lost, Err(error) if error.is_retryable()),
        "{lost:?}"
    );
    world.restart();
    world.clock.advance(Duration::from_secs(120));
    // Whatever the repetition says now: the first attempt is what was written, and what is shown.
    let again = world
        .notes
        .create(&world.id(1), act, Draft::new("created", note("omar")))
        .await
        .unwrap();
    assert_eq!((again.version, again.op_id), (1, act.op_id));
    assert_eq!(again.state.owner, "sara");
    assert_eq!(
        world.notes.load(&world.id(1)).await.unwrap(),
        Some(again.clone())
    );
    let shown = world
        .truth()
        .scan::<NoteByOwner>((world.engine.room, "sara".to_owned()))
        .all()
        .await
        .unwrap();
    assert_eq!(shown, [wanted(&again)], "before any relay has walked");
    let other = world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("omar")),
        )
        .await;
    assert_eq!(other.unwrap_err(), Error::Exists { kind: "note" });
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

pub async fn what_fails_before_the_version_is_known_to_have_done_nothing(lab: Lab) {
    // The bucket's row and the pointer: the answer to either is lost.
    for write in [1, 2] {
        let mut world = World::new(lab.engine().await).await;
        world.faulty.crash_at(write, CrashPoint::After);
        let draft = Draft::new("created", note("sara"));
        let failed = world.notes.create(&world.id(1), Act::system(), draft).await;
        assert!(world.faulty.is_dead());
        let known = matches!(
            failed,
            Err(Error::Records(RecordsError::Unavailable { .. }))
        );
        assert!(known, "write {write}: {failed:?}");
        world.restart();
        assert_eq!(world.notes.load(&world.id(1)).await.unwrap(), None);
    }
}

pub async fn the_relay_dies_at_any_write_and_another_finishes(lab: Lab) {
    for fatal in 1..12 {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let engine = lab.engine().await;
            let mut world = World::new(engine).await;
            for at in 1..=3 {
                world
                    .notes
                    .create(
                        &world.id(at),
                        Act::system(),
                        Draft::new("created", note("sara")),
                    )
                    .await
                    .unwrap();
            }
            // The hints die with the process: only the walk can find these.
            world.restart();
            world.clock.advance(Duration::from_secs(10));
            world.faulty.crash_at(fatal, point);
            let _whatever_it_managed = world.outbox.relay().walk().await;
            world.restart();
            world.settle().await;
            world
                .assert_converged(&[world.id(1), world.id(2), world.id(3)])
                .await;
        }
    }
}

pub async fn a_pointer_without_a_version_is_dropped_only_when_no_write_can_be_under_way(lab: Lab) {
    let engine = lab.engine().await;
    let mut world = World::new(engine).await;
    // Bucket row, pointer, then the version that never is.
    world.faulty.crash_at(3, CrashPoint::Before);
    world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap_err();
    world.restart();
    assert_eq!(world.pointers().await.len(), 1);
    let mut relay = world.outbox.relay();
    let begun = world.clock.monotonic();
    loop {
        let walked = relay.walk().await;
        let age = world.clock.monotonic() - begun;
        // Twice the write budget and twice the skew, from the default options.
        if age <= Duration::from_secs(180) {
            assert_eq!(
                (walked.remaining, walked.dropped),
                (1, 0),
                "dropped after only {age:?}"
            );
        } else if walked.dropped == 1 {
            break;
        }
        assert!(age < Duration::from_secs(240), "never dropped");
        world.clock.advance(Duration::from_secs(9));
    }
    world.settle().await;
    world.assert_converged(&[]).await;
}

pub async fn a_long_downtime_hides_no_change(lab: Lab) {
    let engine = lab.engine().await;
    let mut world = World::new(engine).await;
    world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap();
    // No relay ever ran, and the process comes back after a fortnight.
    world.restart();
    world.clock.advance(Duration::from_secs(14 * 86_400));
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

pub async fn a_change_that_is_repeated_shows_what_its_first_attempt_could_not(lab: Lab) {
    let engine = lab.engine().await;
    let mut world = World::new(engine).await;
    world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap();
    world.faulty.revive();
    // Pointer, version, and then the views that never are.
    world.faulty.crash_at(3, CrashPoint::Before);
    let act = Act::system();
    let leave = async |world: &World| {
        let decide = |current: &Version<Note>| {
            let moved = Change::Move("omar").apply(&current.state);
            let repeated = current.state == moved;
            Ok::<_, Error>((!repeated).then(|| Draft::new("moved", moved)))
        };
        world
            .notes
            .update(&world.id(1), None, act, decide)
            .await
            .unwrap()
    };
    leave(&world).await;
    world.restart();
    let again = leave(&world).await;
    let of = async |owner: &str| {
        let rows = world
            .truth()
            .scan::<NoteByOwner>((world.engine.room, owner.to_owned()))
            .all()
            .await;
        rows.unwrap()
    };
    assert_eq!(of("omar").await, [wanted(&again)]);
    assert_eq!(of("sara").await, []);
}
