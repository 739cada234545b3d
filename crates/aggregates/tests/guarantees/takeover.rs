//! Requests that go on, are stopped, or die, and the repetitions that meet them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use riwaq_aggregates::records::faults::{CrashPoint, FaultRates, Faulty};
use riwaq_aggregates::records::{RecordsError, Store};
use riwaq_aggregates::{Act, Begun, Draft, Error, Idempotency, Recorded, request_hash};
use riwaq_clock::ManualClock;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::keys::{answer, keys, started};
use crate::lab::{Engine, Lab};
use crate::world::{World, note};

const BEAT: Duration = Duration::from_secs(5);
const ABANDONED: Duration = Duration::from_secs(15);

/// A process with its own way to the store, its own watch, and a request that it works on.
struct Process {
    faulty: Arc<Faulty>,
    keys: Idempotency,
    /// How often the request's work was looked at.
    polls: AtomicU32,
    gate: Notify,
}

impl Process {
    fn new(engine: &Engine, clock: &Arc<ManualClock>) -> Self {
        let faulty = Arc::new(Faulty::reliable(engine.records.clone()));
        Self {
            keys: keys(Store::new(faulty.clone()), clock),
            faulty,
            polls: AtomicU32::new(0),
            gate: Notify::new(),
        }
    }

    /// A request whose work lasts until the gate is opened. Its answer is its effect id.
    async fn request(&self, user: Uuid) -> Result<Recorded, Error> {
        let refused = |error: &Error| matches!(error, Error::NotFound { .. });
        let work = |effect: Uuid| async move {
            let mut opened = pin!(self.gate.notified());
            poll_fn(|cx| {
                self.polls.fetch_add(1, Ordering::Relaxed);
                opened.as_mut().poll(cx)
            })
            .await;
            Ok(answer(&effect.to_string()))
        };
        self.keys.run(user, Some("k"), hash(), refused, work).await
    }

    /// Lets a request run until its work has begun. From then on it is as stopped as a process after SIGSTOP.
    async fn stops(&self, request: &mut (impl Future<Output = Result<Recorded, Error>> + Unpin)) {
        tokio::select! {
            ended = request => panic!("it ended: {ended:?}"),
            () = until(|| self.polls() > 0) => {}
        }
    }

    fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// How a repetition of the request begins here.
    async fn repeat(&self, user: Uuid) -> Result<Begun, Error> {
        self.keys.begin(user, "k", hash()).await
    }
}

fn hash() -> [u8; 32] {
    request_hash(&[b"POST", b"a"])
}

/// Waits until it is so; the case has a limit.
async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_unknown(outcome: &Result<Recorded, Error>) -> bool {
    matches!(outcome, Err(Error::Records(RecordsError::Unknown { .. })))
}

pub async fn a_short_request_writes_nothing_more_and_a_long_one_beats(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let (short, long) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
    let elsewhere = Process::new(&engine, &clock);
    short.gate.notify_one();
    short.request(engine.id(8)).await.unwrap();
    assert_eq!(short.faulty.writes(), 2, "the key, and its answer");

    let meanwhile = async {
        until(|| long.polls() > 0).await;
        for beats in 1..=8 {
            // Those who watch it from elsewhere see it go on.
            let met = elsewhere.repeat(user).await.unwrap_err();
            assert_eq!(met, Error::StillRunning);
            clock.advance(BEAT);
            until(|| long.faulty.writes() == 1 + beats).await;
        }
        long.gate.notify_one();
    };
    let (ended, ()) = tokio::join!(long.request(user), meanwhile);
    ended.unwrap();
    // The key, eight beats, its answer; that is written again where it met the last beat on its way.
    let writes = long.faulty.writes();
    assert!((10..=11).contains(&writes), "{writes}");
}

pub async fn a_stopped_request_does_nothing_more_once_another_has_its_key(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
    let mut stopped = Box::pin(here.request(user));
    here.stops(&mut stopped).await;
    let polls = here.polls();
    elsewhere.repeat(user).await.unwrap_err();
    clock.advance(ABANDONED);
    let heir = started(elsewhere.repeat(user).await.unwrap());
    let effect = heir.effect_id().to_string();

    // It comes back, and could end at once.
    here.gate.notify_one();
    let woken = stopped.await;
    assert!(is_unknown(&woken), "{woken:?}");
    assert_eq!(here.polls(), polls, "it has not gone on");
    // It has not ended the key of another either.
    assert_eq!(
        here.repeat(user).await.unwrap_err(),
        Error::StillRunning,
        "the heir works on it"
    );
    elsewhere.keys.finish(heir, &answer(&effect)).await.unwrap();
    match here.repeat(user).await.unwrap() {
        Begun::Finished(found) => assert_eq!(found.body, effect),
        Begun::Started(_) => panic!("done twice"),
    }
}

pub async fn a_stopped_request_goes_on_where_nobody_took_its_key(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
    let mut stopped = Box::pin(here.request(user));
    here.stops(&mut stopped).await;
    // A repetition was told to come again, and was not sent again before the process came back.
    elsewhere.repeat(user).await.unwrap_err();
    clock.advance(ABANDONED * 4);
    let polls = here.polls();
    let woken = async {
        until(|| here.polls() > polls).await;
        assert_eq!(
            elsewhere.repeat(user).await.unwrap_err(),
            Error::StillRunning,
            "it has beaten before it went on"
        );
        here.gate.notify_one();
    };
    let (ended, ()) = tokio::join!(stopped, woken);
    let ended = ended.unwrap();
    match elsewhere.repeat(user).await.unwrap() {
        Begun::Finished(found) => assert_eq!(found, ended),
        Begun::Started(_) => panic!("done twice"),
    }
}

/// The write of a version had left the process before it was stopped, and arrives after its heir was refused.
pub async fn what_a_stopped_request_had_sent_is_the_effect_of_its_heir(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let (clock, user) = (&world.clock, world.id(9));
    let (here, elsewhere) = (
        Process::new(&world.engine, clock),
        Process::new(&world.engine, clock),
    );
    let stopped = started(here.repeat(user).await.unwrap());
    elsewhere.repeat(user).await.unwrap_err();
    clock.advance(ABANDONED);
    let heir = started(elsewhere.repeat(user).await.unwrap());
    elsewhere.keys.release(heir).await.unwrap();
    // The key is not free for anything else, since nobody knows yet what the first attempt has done.
    let other = request_hash(&[b"other"]);
    let refused = elsewhere.keys.begin(user, "k", other).await.unwrap_err();
    assert_eq!(refused, Error::IdempotencyMismatch);
    let effect = stopped.effect_id();
    let create = async || {
        let act = Act::by(user).with_op_id(effect);
        let draft = Draft::new("created", note("sara"));
        world.notes.create(&effect, act, draft).await.unwrap()
    };
    let late = create().await;
    let repeated = started(elsewhere.repeat(user).await.unwrap());
    assert_eq!(repeated.effect_id(), effect);
    assert_eq!(create().await, late);
    let done = answer(&effect.to_string());
    elsewhere.keys.finish(repeated, &done).await.unwrap();
    here.keys.release(stopped).await.unwrap();
    assert!(matches!(
        here.repeat(user).await.unwrap(),
        Begun::Finished(_)
    ));
    world.settle().await;
    world.assert_converged(&[effect]).await;
}

pub async fn of_many_that_take_a_key_over_one_gets_it(lab: Lab) {
    for seed in 0..lab.rounds(10) {
        let engine = lab.engine().await;
        let (clock, user) = (engine.clock(), engine.id(9));
        let dead = Process::new(&engine, &clock);
        let left = started(dead.repeat(user).await.unwrap());
        let effect = left.effect_id();
        let rates = FaultRates {
            delay: 0.8,
            ..FaultRates::default()
        };
        // Each of another process.
        let takers: Vec<_> = (0..6)
            .map(|at| {
                let faulty = Faulty::new(engine.records.clone(), rates, seed * 100 + at);
                keys(Store::new(Arc::new(faulty)), &clock)
            })
            .collect();
        let all = || join_all(takers.iter().map(|taker| taker.begin(user, "k", hash())));
        for met in all().await {
            assert_eq!(met.unwrap_err(), Error::StillRunning);
        }
        clock.advance(ABANDONED);
        let (won, lost): (Vec<_>, Vec<_>) = all().await.into_iter().partition(Result::is_ok);
        let [Ok(won)] = <[_; 1]>::try_from(won).unwrap() else {
            panic!("nobody got it")
        };
        assert_eq!(started(won).effect_id(), effect);
        for lost in lost {
            assert_eq!(lost.unwrap_err(), Error::StillRunning);
        }
    }
}

pub async fn a_request_outlives_a_store_that_is_away_for_a_beat_and_no_longer(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
    let mut effect = None;
    let faults = async {
        until(|| here.polls() > 0).await;
        here.faulty.crash_at(2, CrashPoint::Before);
        clock.advance(BEAT);
        until(|| here.faulty.is_dead()).await;
        here.faulty.revive();
        elsewhere.repeat(user).await.unwrap_err();
        clock.advance(BEAT);
        until(|| here.faulty.writes() == 1).await;
        elsewhere.repeat(user).await.unwrap_err();
        clock.advance(BEAT);
        until(|| here.faulty.writes() == 2).await;
        assert_eq!(
            elsewhere.repeat(user).await.unwrap_err(),
            Error::StillRunning,
            "one beat was lost, the next one came"
        );
        // Away for good: the request ends soon after its key can be another's.
        here.faulty.crash_at(3, CrashPoint::Before);
        for _ in 0..3 {
            clock.advance(BEAT);
            until(|| here.faulty.is_dead()).await;
            tokio::task::yield_now().await;
        }
    };
    let (ended, ()) = tokio::join!(here.request(user), faults);
    assert!(is_unknown(&ended), "{ended:?}");
    here.faulty.revive();
    // This process knows that nobody works on it; a further one does once it was told.
    let again = started(here.repeat(user).await.unwrap());
    effect.get_or_insert(again.effect_id());
    here.keys.suspend(again).await.unwrap();
    let further = started(elsewhere.repeat(user).await.unwrap());
    assert_eq!(Some(further.effect_id()), effect);
}

pub async fn a_request_that_is_cut_off_beats_no_more_and_is_repeated_at_once(lab: Lab) {
    let engine = lab.engine().await;
    let (clock, user) = (engine.clock(), engine.id(9));
    let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
    let mut cut_off = Box::pin(here.request(user));
    here.stops(&mut cut_off).await;
    drop(cut_off);
    assert_eq!(
        elsewhere.repeat(user).await.unwrap_err(),
        Error::StillRunning
    );
    clock.advance(ABANDONED - BEAT);
    assert_eq!(here.faulty.writes(), 1, "no beat");
    assert_eq!(
        elsewhere.repeat(user).await.unwrap_err(),
        Error::StillRunning
    );
    let again = started(here.repeat(user).await.unwrap());
    let effect = again.effect_id();
    drop(again);
    // Nobody repeats it here any more: elsewhere it takes its time.
    elsewhere.repeat(user).await.unwrap_err();
    clock.advance(ABANDONED);
    let heir = started(elsewhere.repeat(user).await.unwrap());
    assert_eq!(heir.effect_id(), effect);
}

pub async fn a_beat_of_which_nothing_was_heard_does_not_hinder_the_end(lab: Lab) {
    for refused in [false, true] {
        let engine = lab.engine().await;
        let (clock, user) = (engine.clock(), engine.id(9));
        let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
        let mut ticket = started(here.repeat(user).await.unwrap());
        let effect = ticket.effect_id();
        let work = here.keys.hold(&mut ticket, here.gate.notified());
        let unheard = async {
            here.faulty.crash_at(2, CrashPoint::After);
            clock.advance(BEAT);
            until(|| here.faulty.is_dead()).await;
            here.faulty.revive();
            here.gate.notify_one();
        };
        let (worked, ()) = tokio::join!(work, unheard);
        worked.unwrap();
        if refused {
            here.keys.release(ticket).await.unwrap();
            let free = elsewhere.keys.begin(user, "k", request_hash(&[b"other"]));
            assert_ne!(started(free.await.unwrap()).effect_id(), effect);
        } else {
            here.keys.finish(ticket, &answer("made")).await.unwrap();
            match elsewhere.repeat(user).await.unwrap() {
                Begun::Finished(found) => assert_eq!(found, answer("made")),
                Begun::Started(_) => panic!("done twice"),
            }
        }
    }
}

/// A beat was written and its answer lost; sent again, it was surely not done. It is there all the same.
pub async fn a_beat_of_which_nothing_was_heard_is_known_again_after_a_failure(lab: Lab) {
    for then in ["beats again", "ends", "is cut off"] {
        let engine = lab.engine().await;
        let (clock, user) = (engine.clock(), engine.id(9));
        let (here, elsewhere) = (Process::new(&engine, &clock), Process::new(&engine, &clock));
        let mut request = Box::pin(here.request(user));
        let failures = async {
            until(|| here.polls() > 0).await;
            here.faulty.crash_at(2, CrashPoint::After);
            clock.advance(BEAT);
            until(|| here.faulty.is_dead()).await;
            let polls = here.polls();
            clock.advance(BEAT);
            // A store that is away answers at once; the engine may still be busy with the beat itself.
            until(|| here.polls() > polls + 20).await;
            here.faulty.revive();
            if then == "beats again" {
                clock.advance(BEAT);
                until(|| here.faulty.writes() > 0).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut request => panic!("{then}: it ended: {ended:?}"),
            () = failures => {}
        }
        if then == "is cut off" {
            drop(request);
            // This process knows that nobody works on it.
            let _again = started(here.repeat(user).await.unwrap());
            continue;
        }
        here.gate.notify_one();
        let ended = request.await.unwrap();
        match elsewhere.repeat(user).await.unwrap() {
            Begun::Finished(found) => assert_eq!(found, ended, "{then}"),
            Begun::Started(_) => panic!("{then}: done twice"),
        }
    }
}
