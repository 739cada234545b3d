//! Idempotency keys and claims.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use riwaq_aggregates::records::faults::{CrashPoint, FaultRates, Faulty};
use riwaq_aggregates::records::{RecordsError, Store};
use riwaq_aggregates::{
    Act, Begun, CLAIM_GRACE, Claims, Draft, Error, Idempotency, IdempotencyOptions, Recorded,
    Ticket, request_hash,
};
use riwaq_clock::ManualClock;

use crate::lab::Lab;
use crate::world::{World, note};

pub fn answer(text: &str) -> Recorded {
    Recorded {
        status: 201,
        headers: vec![("location".into(), "/api/x/1".into())],
        body: text.into(),
    }
}

pub fn started(begun: Begun) -> Ticket {
    match begun {
        Begun::Started(ticket) => ticket,
        Begun::Finished(answer) => panic!("finished before: {answer:?}"),
    }
}

pub fn keys(store: Store, clock: &Arc<ManualClock>) -> Idempotency {
    Idempotency::new("notes", store, clock.clone(), IdempotencyOptions::default()).unwrap()
}

pub async fn a_finished_request_is_answered_from_its_key_for_a_day(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let keys = keys(Store::new(engine.records.clone()), &clock);
    let (hash, other) = (request_hash(&[b"POST", b"a"]), request_hash(&[b"POSTa"]));
    let first = started(keys.begin(user, "k", hash).await.unwrap());
    assert_eq!(
        keys.begin(user, "k", hash).await.unwrap_err(),
        Error::StillRunning
    );
    assert_eq!(
        keys.begin(user, "k", other).await.unwrap_err(),
        Error::IdempotencyMismatch
    );
    let effect_id = first.effect_id();
    keys.finish(first, &answer("made")).await.unwrap();
    clock.advance(Duration::from_secs(24 * 3600 - 1));
    match keys.begin(user, "k", hash).await.unwrap() {
        Begun::Finished(found) => assert_eq!(found, answer("made")),
        Begun::Started(_) => panic!("done twice"),
    }
    assert_eq!(
        keys.begin(user, "k", other).await.unwrap_err(),
        Error::IdempotencyMismatch
    );
    // Another person's key is another key.
    let _other = started(keys.begin(engine.id(8), "k", other).await.unwrap());
    clock.advance(Duration::from_secs(1));
    let anew = started(keys.begin(user, "k", other).await.unwrap());
    assert_ne!(anew.effect_id(), effect_id);
}

pub async fn a_request_that_died_is_taken_over_with_the_same_effect_id(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let keys = keys(Store::new(engine.records.clone()), &clock);
    let hash = request_hash(&[b"a"]);
    let dead = started(keys.begin(user, "k", hash).await.unwrap());
    // However long ago that was: the silence counts from the first repetition.
    clock.advance(Duration::from_secs(100));
    for wait in [0, 14] {
        clock.advance(Duration::from_secs(wait));
        assert_eq!(
            keys.begin(user, "k", hash).await.unwrap_err(),
            Error::StillRunning
        );
    }
    clock.advance(Duration::from_secs(1));
    let heir = started(keys.begin(user, "k", hash).await.unwrap());
    assert_eq!(heir.effect_id(), dead.effect_id());
    // The dead one was only slow: its late end changes nothing.
    keys.release(dead).await.unwrap();
    keys.finish(heir, &answer("made")).await.unwrap();
    assert!(matches!(
        keys.begin(user, "k", hash).await.unwrap(),
        Begun::Finished(_)
    ));
}

pub async fn a_refused_request_frees_its_key_and_an_unknown_one_keeps_its_effect_id(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let keys = keys(Store::new(engine.records.clone()), &clock);
    let (a, b) = (request_hash(&[b"a"]), request_hash(&[b"b"]));
    let refused = |error: &Error| matches!(error, Error::NotFound { .. });
    let not_found = keys
        .run(user, Some("k"), a, refused, |_| async {
            Err(Error::NotFound { kind: "note" })
        })
        .await;
    assert_eq!(not_found.unwrap_err(), Error::NotFound { kind: "note" });
    let mut first_id = None;
    let unknown = keys
        .run(user, Some("k"), b, refused, |id| {
            first_id = Some(id);
            async { Err(Error::Records(RecordsError::unknown("lost"))) }
        })
        .await;
    assert!(unknown.unwrap_err().is_retryable());
    assert_eq!(
        keys.begin(user, "k", a).await.unwrap_err(),
        Error::IdempotencyMismatch
    );
    let done = keys
        .run(user, Some("k"), b, refused, |id| {
            assert_eq!(Some(id), first_id);
            async { Ok::<_, Error>(answer("made")) }
        })
        .await;
    assert_eq!(done.unwrap(), answer("made"));
}

pub async fn a_key_of_which_nothing_was_heard_does_not_block_its_repetition(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let faulty = Arc::new(Faulty::reliable(engine.records.clone()));
    let here = keys(Store::new(faulty.clone()), &clock);
    let elsewhere = keys(Store::new(engine.records.clone()), &clock);
    let hash = request_hash(&[b"a"]);
    faulty.crash_at(1, CrashPoint::After);
    let unheard = here.begin(user, "k", hash).await.unwrap_err();
    // Nothing was done under it, so it is no unknown outcome.
    assert!(
        matches!(unheard, Error::Records(RecordsError::Unavailable { .. })),
        "{unheard:?}"
    );
    assert_eq!(
        elsewhere.begin(user, "k", hash).await.unwrap_err(),
        Error::StillRunning,
        "the row is there"
    );
    faulty.revive();
    // The process that left it knows that nobody works on it, and tells the others when it begins another.
    let _other = started(here.begin(user, "l", hash).await.unwrap());
    let _again = started(elsewhere.begin(user, "k", hash).await.unwrap());
}

pub async fn a_request_that_ended_while_the_store_was_away_may_be_repeated_at_once(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let faulty = Arc::new(Faulty::reliable(engine.records.clone()));
    let keys = keys(Store::new(faulty.clone()), &clock);
    let hash = request_hash(&[b"a"]);
    let mut first_id = None;
    faulty.crash_at(2, CrashPoint::Before);
    let failed = keys
        .run(
            user,
            Some("k"),
            hash,
            |_| false,
            |id| {
                first_id = Some(id);
                async { Err(Error::Records(RecordsError::unavailable("away"))) }
            },
        )
        .await;
    assert!(failed.unwrap_err().is_retryable());
    faulty.revive();
    let again = started(keys.begin(user, "k", hash).await.unwrap());
    assert_eq!(Some(again.effect_id()), first_id);
    // Where it was done and the answer could not be written, the repetition makes sure of it: what belongs to the effect
    // may not have been written either.
    faulty.revive();
    faulty.crash_at(1, CrashPoint::Before);
    keys.finish(again, &answer("made")).await.unwrap_err();
    faulty.revive();
    let heir = started(keys.begin(user, "k", hash).await.unwrap());
    assert_eq!(Some(heir.effect_id()), first_id);
    keys.finish(heir, &answer("made")).await.unwrap();
    match keys.begin(user, "k", hash).await.unwrap() {
        Begun::Finished(found) => assert_eq!(found, answer("made")),
        Begun::Started(_) => panic!("done twice"),
    }
}

pub async fn of_many_requests_with_one_key_one_is_done(lab: Lab) {
    for seed in 0..lab.rounds(10) {
        let engine = lab.engine().await;
        let (clock, user) = (engine.clock(), engine.id(9));
        let rates = FaultRates {
            delay: 0.8,
            ..FaultRates::default()
        };
        let keys = keys(
            Store::new(Arc::new(Faulty::new(engine.records.clone(), rates, seed))),
            &clock,
        );
        let requests = (0..8).map(|_| keys.begin(user, "k", request_hash(&[b"a"])));
        let begun = join_all(requests).await;
        assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 1);
        assert!(
            begun
                .iter()
                .flat_map(|begun| begun.as_ref().err())
                .all(|error| *error == Error::StillRunning)
        );
    }
}

pub async fn a_key_dies_at_any_write_and_the_effect_is_made_once(lab: Lab) {
    for fatal in 1..=8 {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let engine = lab.engine().await;
            let mut world = World::new(engine).await;
            let user = world.id(9);
            let hash = request_hash(&[b"a"]);
            let attempt = async |world: &World, keys: &Idempotency| {
                keys.run(
                    user,
                    Some("k"),
                    hash,
                    |_| false,
                    |effect| {
                        let notes = world.notes.clone();
                        async move {
                            let act = Act::by(user).with_op_id(effect);
                            let made = notes
                                .create(&effect, act, Draft::new("created", note("sara")))
                                .await?;
                            Ok::<_, Error>(answer(&made.id.to_string()))
                        }
                    },
                )
                .await
            };
            world.faulty.crash_at(fatal, point);
            let process = |world: &World| keys(world.outbox.store().clone(), &world.clock);
            let first = attempt(&world, &process(&world)).await;
            world.restart();
            let restarted = process(&world);
            let mut second = attempt(&world, &restarted).await;
            if second == Err(Error::StillRunning) {
                // Long enough for the dead one to be given up.
                world.clock.advance(Duration::from_secs(15));
                second = attempt(&world, &restarted).await;
            }
            let second = second.unwrap();
            if let Ok(first) = first {
                assert_eq!(first, second);
            }
            world.settle().await;
            world
                .assert_converged(&[second.body.parse().unwrap()])
                .await;
        }
    }
}

pub async fn keys_that_are_no_header_values_are_refused_by_name(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let keys = keys(Store::new(engine.records.clone()), &clock);
    for bad in ["", "a\nb", "é", "\u{0}", &"x".repeat(256)] {
        let refused = keys.begin(user, bad, [0; 32]).await.unwrap_err();
        assert!(
            matches!(
                refused,
                Error::InvalidInput {
                    field: "Idempotency-Key",
                    ..
                }
            ),
            "{bad:?}"
        );
    }
    let _longest = started(keys.begin(user, &"x".repeat(255), [0; 32]).await.unwrap());
}

pub async fn a_value_is_claimed_once_and_only_a_dead_claim_is_taken_over(lab: Lab) {
    let engine = lab.engine().await;
    let clock = engine.clock();
    let value = engine.own("a");
    let claims = Claims::new(
        Store::new(engine.records.clone()),
        clock.clone(),
        CLAIM_GRACE,
    );
    let claim = async |holder: &str, holds: bool| {
        claims
            .claim("notes.title", &value, holder, |_| async move { Ok(holds) })
            .await
    };
    let taken = |holder: &str| Error::Taken {
        scope: "notes.title".into(),
        holder: holder.into(),
    };
    let granted = claim("1", false).await.unwrap();
    assert!(granted.is_fresh());
    claim("1", false).await.unwrap();
    // Within the grace nobody asks whether the holder exists: it may be about to.
    assert_eq!(claim("2", false).await.unwrap_err(), taken("1"));
    clock.advance(CLAIM_GRACE / 2);
    assert!(!granted.is_fresh());
    clock.advance(CLAIM_GRACE / 2);
    assert_eq!(claim("2", true).await.unwrap_err(), taken("1"));
    claim("2", false).await.unwrap();
    assert_eq!(
        claims
            .holder("notes.title", &value)
            .await
            .unwrap()
            .as_deref(),
        Some("2")
    );
    claims.release("notes.title", &value, "1").await.unwrap();
    assert_eq!(claim("1", false).await.unwrap_err(), taken("2"));
    claims.release("notes.title", &value, "2").await.unwrap();
    claim("1", true).await.unwrap();
}

pub async fn of_many_claimants_one_gets_a_free_and_one_a_dead_value(lab: Lab) {
    for seed in 0..lab.rounds(10) {
        let engine = lab.engine().await;
        let clock = engine.clock();
        let rates = FaultRates {
            delay: 0.8,
            ..FaultRates::default()
        };
        let store = Store::new(Arc::new(Faulty::new(engine.records.clone(), rates, seed)));
        let claims = Claims::new(store, clock.clone(), CLAIM_GRACE);
        for round in 0..2 {
            let claimants = (0..6).map(|at| {
                let (claims, holder) = (claims.clone(), format!("{round}-{at}"));
                let value = engine.own("v");
                async move {
                    claims
                        .claim("s", &value, &holder, |_| async { Ok(false) })
                        .await
                }
            });
            let granted = join_all(claimants)
                .await
                .into_iter()
                .filter(Result::is_ok)
                .count();
            assert_eq!(granted, 1, "round {round}");
            clock.advance(CLAIM_GRACE);
        }
    }
}
