//! Many writers, many faults, several relays.

use std::time::Duration;

use crate::lab::{Lab, start_of_time};
use crate::world::{CHANGED, Change, Effect, GROUP, World, change, note};
use futures::future::join_all;
use riwaq_aggregates::records::Store;
use riwaq_aggregates::records::faults::{FaultRates, Faulty};
use riwaq_aggregates::{Act, Draft, Error, Handled, INBOX_KEEP, Inbox, Leases, new_op_id};
use riwaq_clock::{Clock as _, ManualClock};
use riwaq_events::faults::{FaultPlan, FaultyEvents};
use riwaq_events::{Events as _, Subscription};
use std::sync::Arc;

const YIELDS: FaultRates = FaultRates {
    fail_before: 0.0,
    fail_after: 0.0,
    delay: 0.7,
    duplicate: 0.0,
};

pub async fn of_many_writers_each_change_is_made_once_and_none_is_lost(lab: Lab) {
    for seed in 0..lab.rounds(5) {
        let engine = lab.engine().await;
        let world = World::with_faults(engine, YIELDS, seed).await;
        world
            .notes
            .create(
                &world.id(1),
                Act::system(),
                Draft::new("created", note("sara")),
            )
            .await
            .unwrap();
        let writers = (0..20).map(|mark| {
            let (notes, id) = (world.notes.clone(), world.id(1));
            async move {
                let op_id = new_op_id();
                // A busy store may not answer in time; a writer asks again, as any client does.
                while let Err(error) = change(&notes, id, op_id, &Change::Mark(mark)).await {
                    let passes = matches!(&error, Error::Records(error) if error.is_retryable());
                    assert!(passes, "{error}");
                }
            }
        });
        join_all(writers).await;
        let newest = world.notes.load(&world.id(1)).await.unwrap().unwrap();
        let mut marks = newest.state.marks.clone();
        marks.sort_unstable();
        assert_eq!(marks, (0..20).collect::<Vec<_>>());
        assert_eq!(newest.version, 21);
        world.settle().await;
        world.assert_converged(&[world.id(1)]).await;
    }
}

pub async fn of_writers_that_expect_the_same_version_one_wins(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::with_faults(engine, YIELDS, 7).await;
    world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap();
    let writers = (0..10).map(|mark| {
        let (notes, id) = (world.notes.clone(), world.id(1));
        async move {
            notes
                .update(&id, Some(1), Act::system(), |current| {
                    Ok::<_, Error>(Some(Draft::new(
                        "changed",
                        Change::Mark(mark).apply(&current.state),
                    )))
                })
                .await
        }
    });
    let results = join_all(writers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.into_iter().filter_map(Result::err) {
        assert_eq!(
            refused,
            Error::Stale {
                expected: 1,
                current: 2
            }
        );
    }
}

pub async fn of_many_creations_of_one_note_one_is_made(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::with_faults(engine, YIELDS, 3).await;
    let creations = (0..10).map(|_| {
        let (notes, id) = (world.notes.clone(), world.id(1));
        async move {
            notes
                .create(&id, Act::system(), Draft::new("created", note("sara")))
                .await
        }
    });
    let results = join_all(creations).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

/// Everything fails now and then, for writers and for the relay; then it heals.
pub async fn under_random_faults_every_acknowledged_change_is_there_once_and_told_of(lab: Lab) {
    for seed in 0..lab.rounds(25) {
        let engine = lab.engine().await;
        let rates = FaultRates {
            fail_before: 0.06,
            fail_after: 0.06,
            delay: 0.5,
            duplicate: 0.05,
        };
        let mut world = World::with_faults(engine, rates, seed).await;
        let rough = FaultyEvents::new(Arc::new(world.events.clone()), FaultPlan::rough(seed));
        let store = Store::new(world.faulty.clone());
        let (outbox, notes) = world.process(store, Arc::new(rough));
        let ids = [world.id(1), world.id(2), world.id(3)];
        create_all(&world, &ids).await;
        let mut relay = outbox.relay();
        let writers = (0..30_u32).map(|mark| {
            let notes = notes.clone();
            let id = ids[mark as usize % 3];
            async move {
                (
                    mark,
                    change(&notes, id, new_op_id(), &Change::Mark(mark))
                        .await
                        .is_ok(),
                )
            }
        });
        let walks = async {
            for _ in 0..10 {
                relay.drain().await;
                relay.walk().await;
                world.clock.advance(Duration::from_secs(4));
            }
        };
        let (acknowledged, ()) = tokio::join!(join_all(writers), walks);
        drop(relay);
        world.heal();
        // The dead process's leases run out on the new one's clock.
        world.settle().await;
        let mut marks = Vec::new();
        for id in &ids {
            marks.extend(world.notes.load(id).await.unwrap().unwrap().state.marks);
        }
        for (mark, acknowledged) in acknowledged {
            let times = marks.iter().filter(|present| **present == mark).count();
            assert!(
                times <= 1,
                "[{}] seed {seed}: mark {mark} is there {times} times",
                world.engine.name
            );
            assert!(
                times == 1 || !acknowledged,
                "[{}] seed {seed}: mark {mark} is lost",
                world.engine.name
            );
        }
        world.assert_converged(&ids).await;
    }
}

async fn create_all(world: &World, ids: &[uuid::Uuid]) {
    let (outbox, notes) = world.process(world.truth(), Arc::new(world.events.clone()));
    for id in ids {
        notes
            .create(id, Act::system(), Draft::new("created", note("sara")))
            .await
            .unwrap();
    }
    outbox.relay().drain().await;
}

pub async fn a_bucket_is_walked_by_one_relay_until_it_is_given_back_or_falls_silent(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let (second_outbox, _) = world.process(world.truth(), Arc::new(world.events.clone()));
    let mut first = world.outbox.relay();
    let mut second = second_outbox.relay();
    assert_eq!(first.walk().await.buckets, 2);
    assert_eq!(second.walk().await.buckets, 0);
    // The first goes on giving signs of life: the second waits however long it takes.
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(11));
        assert_eq!(first.walk().await.buckets, 2);
        assert_eq!(second.walk().await.buckets, 0);
    }
    // The first falls silent: a whole lease must pass under the second's eyes.
    world.clock.advance(Duration::from_secs(29));
    assert_eq!(second.walk().await.buckets, 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(second.walk().await.buckets, 2);
    assert_eq!(first.walk().await.buckets, 0);
}

pub async fn a_lease_is_taken_over_by_the_watchers_clock_alone_and_the_fence_grows(lab: Lab) {
    let engine = lab.engine().await;
    let store = Store::new(engine.records.clone());
    let work = engine.own("work");
    let slow = engine.clock();
    let fast = ManualClock::at(start_of_time() + chrono::TimeDelta::days(3));
    let lease = Duration::from_secs(30);
    let ours = Leases::new(store.clone(), slow.clone(), "ours", lease);
    let theirs = Leases::new(store, fast.clone(), "theirs", lease);
    let mut held = ours.try_acquire(&work, 5).await.unwrap().unwrap();
    assert_eq!((held.fence(), held.progress()), (1, 5));
    // A wall clock that is days ahead takes nothing over.
    assert!(theirs.try_acquire(&work, 0).await.unwrap().is_none());
    fast.advance(Duration::from_secs(20));
    held.beat(6).await.unwrap();
    assert!(theirs.try_acquire(&work, 0).await.unwrap().is_none());
    fast.advance(Duration::from_secs(29));
    assert!(theirs.try_acquire(&work, 0).await.unwrap().is_none());
    fast.advance(Duration::from_secs(1));
    let taken = theirs.try_acquire(&work, 0).await.unwrap().unwrap();
    assert_eq!((taken.fence(), taken.progress()), (2, 6));
    assert_eq!(
        held.beat(7).await.unwrap_err(),
        Error::LeaseLost { name: work.clone() }
    );
    taken.release(8).await.unwrap();
    // What was given back is free at once.
    let again = ours.try_acquire(&work, 0).await.unwrap().unwrap();
    assert_eq!((again.fence(), again.progress()), (3, 8));
    slow.advance(Duration::from_secs(27));
    assert!(
        !again.is_held(),
        "it must stop before anybody can have taken it"
    );
}

pub async fn of_many_who_want_a_free_lease_one_gets_it(lab: Lab) {
    for seed in 0..lab.rounds(10) {
        let engine = lab.engine().await;
        let store = Store::new(Arc::new(Faulty::new(engine.records.clone(), YIELDS, seed)));
        let clock = engine.clock();
        let work = &engine.own("work");
        let takers = (0..8).map(|at| {
            let leases = Leases::new(
                store.clone(),
                clock.clone(),
                format!("owner-{at}"),
                Duration::from_secs(30),
            );
            async move { leases.try_acquire(work, 0).await.unwrap() }
        });
        let taken = join_all(takers).await.into_iter().flatten().count();
        assert_eq!(taken, 1);
    }
}

pub async fn two_relays_on_one_pointer_and_a_repeating_bus_have_one_effect(lab: Lab) {
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
    // The walk and the quick half both publish: the hint is still waiting when the walk comes.
    world.clock.advance(Duration::from_secs(10));
    world.outbox.relay().walk().await;
    world.outbox.relay().drain().await;
    let depth = world.events.depths().await.unwrap();
    assert_eq!(
        depth.iter().map(|depth| depth.ready).sum::<u64>(),
        2,
        "both have published"
    );
    let store = world.truth();
    let inbox = Inbox::new(GROUP, store.clone(), world.clock.clone(), INBOX_KEEP);
    let mut consumer = world
        .events
        .subscribe(Subscription::group(GROUP, [CHANGED]))
        .await
        .unwrap();
    let mut effects = 0;
    let mut handled = Vec::new();
    for _ in 0..2 {
        let delivery = consumer.next().await.unwrap();
        let event = delivery.event.clone();
        let outcome = inbox
            .handle(&event, || async {
                let row = Effect {
                    event_id: event.id.clone(),
                    note: event.subject.clone().unwrap(),
                };
                let made = store
                    .insert_if_absent(&row, inbox.effect_id(&event))
                    .await?;
                effects += usize::from(made.is_applied());
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        delivery.ack().await.unwrap();
        handled.push(outcome);
    }
    assert_eq!(handled, [Handled::Now, Handled::Before]);
    assert_eq!(effects, 1);
    world.heal();
}

pub async fn a_consumer_that_crashes_between_effect_and_note_has_one_effect(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let event =
        riwaq_events::CloudEvent::new("note/1/1", "/riwaq/notes", CHANGED, world.clock.now());
    let faulty = Arc::new(Faulty::reliable(world.engine.records.clone()));
    let store = Store::new(faulty.clone());
    let inbox = Inbox::new(GROUP, store.clone(), world.clock.clone(), INBOX_KEEP);
    let row = Effect {
        event_id: event.id.clone(),
        note: "1".into(),
    };
    let effect = || async {
        // With the same operation a repetition is the same write.
        let made = store
            .insert_if_absent(&row, inbox.effect_id(&event))
            .await?;
        assert!(made.is_applied());
        Ok::<_, Error>(())
    };
    faulty.crash_at(2, riwaq_aggregates::records::faults::CrashPoint::Before);
    inbox.handle(&event, effect).await.unwrap_err();
    faulty.revive();
    assert_eq!(inbox.handle(&event, effect).await.unwrap(), Handled::Now);
    assert_eq!(inbox.handle(&event, effect).await.unwrap(), Handled::Before);
    let other = Inbox::new("another", store.clone(), world.clock.clone(), INBOX_KEEP);
    assert!(
        !other.is_noted(&event).await.unwrap(),
        "inboxes are each consumer's own"
    );
    world.clock.advance(INBOX_KEEP);
    assert!(
        !inbox.is_noted(&event).await.unwrap(),
        "a note is honoured by the clock, not by the engine"
    );
}

pub async fn a_running_relay_publishes_at_once_and_gives_its_buckets_back_when_it_stops(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let relay = world.outbox.relay().run(async {
        let _either_way = stopped.await;
    });
    let story = async {
        let mut consumer = world
            .events
            .subscribe(Subscription::group(GROUP, [CHANGED]))
            .await
            .unwrap();
        for number in 1..=100 {
            world
                .notes
                .create(
                    &world.id(number),
                    Act::system(),
                    Draft::new("created", note("sara")),
                )
                .await
                .unwrap();
            // The clock stands still: no walk can have brought this.
            let delivery = consumer.next().await.unwrap();
            assert_eq!(delivery.event.subject, Some(world.id(number).to_string()));
            delivery.ack().await.unwrap();
        }
        world
            .notes
            .create(
                &world.id(101),
                Act::system(),
                Draft::new("created", note("sara")),
            )
            .await
            .unwrap();
        stop.send(()).unwrap();
        consumer.next().await.unwrap().ack().await.unwrap();
    };
    tokio::join!(relay, story);
    assert_eq!(world.pointers().await, []);
    let (second, _) = world.process(world.truth(), Arc::new(world.events.clone()));
    assert_eq!(
        second.relay().walk().await.buckets,
        2,
        "without waiting for any lease"
    );
}

pub async fn a_relay_that_is_stopped_anywhere_ends_what_it_began(lab: Lab) {
    const SLOW: FaultRates = FaultRates {
        delay: 1.0,
        ..YIELDS
    };
    for turns in 0..lab.rounds(60) {
        let world = World::with_faults(lab.engine().await, SLOW, turns).await;
        let plan = FaultPlan {
            seed: turns,
            fail_before: 0,
            fail_after: 0,
            duplicate: 0,
            delay: 1000,
        };
        let slow = Arc::new(FaultyEvents::new(Arc::new(world.events.clone()), plan));
        let (outbox, notes) = world.process(Store::new(world.faulty.clone()), slow);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relay = outbox.relay().run(async {
            let _either_way = stopped.await;
        });
        let story = async {
            let id = world.id(1);
            let draft = Draft::new("created", note("sara"));
            notes.create(&id, Act::system(), draft).await.unwrap();
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            stop.send(()).unwrap();
        };
        tokio::join!(relay, story);
        assert_eq!(world.published().await.len(), 1, "after {turns} turns");
        assert_eq!(world.pointers().await, [], "after {turns} turns");
        let (second, _) = world.process(world.truth(), Arc::new(world.events.clone()));
        let taken = second.relay().walk().await.buckets;
        assert_eq!(taken, 2, "after {turns} turns, without waiting for a lease");
    }
}
