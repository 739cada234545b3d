//! The law of keys, over many random runs: whatever processes are stopped, cut off or killed, and whenever the store is
//! away, work under a key is done by one attempt after the other, under one effect id, until there is one answer.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use proptest::prelude::*;
use riwaq_aggregates::records::faults::{CrashPoint, Faulty};
use riwaq_aggregates::records::{Memory, Records, Store};
use riwaq_aggregates::{Error, Idempotency, Recorded, tables};
use riwaq_clock::ManualClock;
use uuid::Uuid;

use crate::keys::{answer, keys};
use crate::lab::start_of_time;

const USER: Uuid = Uuid::from_u128(9);
const PROCESSES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Time passes, everywhere alike.
    Pass(u64),
    /// A process runs for a while: otherwise it is stopped. One without a request gets the repetition.
    Runs(usize),
    /// The work, wherever it is done, has come to its end.
    Done,
    /// A process loses the store at one of its next writes.
    Away(usize, u64, bool),
    Back(usize),
    /// The task of the request is cut off.
    CutOff(usize),
    /// The process is killed, and another takes its place.
    Killed(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = 0..PROCESSES;
    let one = prop_oneof![
        4 => (1..9_u64).prop_map(Step::Pass),
        8 => process.clone().prop_map(Step::Runs),
        1 => (process.clone(), 1..3_u64, any::<bool>()).prop_map(|(at, write, after)| Step::Away(at, write, after)),
        2 => process.clone().prop_map(Step::Back),
        1 => process.clone().prop_map(Step::CutOff),
        1 => process.prop_map(Step::Killed),
        1 => Just(Step::Done),
    ];
    prop::collection::vec(one, 1..80)
}

/// What all attempts do: each look at the work of one is noted.
#[derive(Debug, Default)]
struct Work {
    attempts: u32,
    looks: Vec<u32>,
    effects: Vec<Uuid>,
    done: bool,
}

struct Process {
    clock: Arc<ManualClock>,
    faulty: Arc<Faulty>,
    keys: Idempotency,
    request: Option<BoxFuture<'static, Result<Recorded, Error>>>,
}

impl Process {
    /// Each has a clock of its own that shows another time.
    fn new(store: Arc<dyn Records>, at: usize) -> Self {
        let hours = TimeDelta::hours(i64::try_from(at).unwrap());
        let clock = ManualClock::at(start_of_time() + hours);
        let faulty = Arc::new(Faulty::reliable(store));
        let keys = keys(Store::new(faulty.clone()), &clock);
        Self {
            clock,
            faulty,
            keys,
            request: None,
        }
    }

    fn restart(&mut self) {
        self.request = None;
        self.faulty.revive();
        self.keys = keys(Store::new(self.faulty.clone()), &self.clock);
    }

    /// Polls its request a few times, and gives what came of it.
    fn run(&mut self, work: &Arc<Mutex<Work>>) -> Option<Result<Recorded, Error>> {
        let request = self
            .request
            .get_or_insert_with(|| request(self.keys.clone(), Arc::clone(work)));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..4 {
            if let Poll::Ready(ended) = request.poll_unpin(&mut cx) {
                self.request = None;
                return Some(ended);
            }
        }
        None
    }
}

fn request(
    keys: Idempotency,
    work: Arc<Mutex<Work>>,
) -> BoxFuture<'static, Result<Recorded, Error>> {
    let effect = move |effect: Uuid| {
        let mut own = None;
        poll_fn(move |_| {
            let mut work = work.lock().unwrap();
            let attempt = *own.get_or_insert_with(|| {
                work.attempts += 1;
                work.attempts
            });
            work.looks.push(attempt);
            work.effects.push(effect);
            if work.done {
                return Poll::Ready(Ok(answer(&effect.to_string())));
            }
            Poll::Pending
        })
    };
    async move { keys.run(USER, Some("k"), [7; 32], |_| false, effect).await }.boxed()
}

fn the_law_holds(steps: Vec<Step>) {
    let store: Arc<dyn Records> = Arc::new(Memory::with_tables(tables()).unwrap());
    let mut processes: Vec<Process> = (0..PROCESSES)
        .map(|at| Process::new(store.clone(), at))
        .collect();
    let work = Arc::new(Mutex::new(Work::default()));
    let mut answers = Vec::new();
    let note = |ended: Option<Result<Recorded, Error>>, answers: &mut Vec<Recorded>| {
        answers.extend(ended.and_then(Result::ok));
    };
    for step in steps {
        match step {
            Step::Pass(seconds) => pass(&processes, seconds),
            Step::Runs(at) => note(processes[at].run(&work), &mut answers),
            Step::Done => work.lock().unwrap().done = true,
            Step::Away(at, write, after) => {
                let point = if after {
                    CrashPoint::After
                } else {
                    CrashPoint::Before
                };
                let faulty = &processes[at].faulty;
                faulty.crash_at(faulty.writes() + write, point);
            }
            Step::Back(at) => processes[at].faulty.revive(),
            Step::CutOff(at) => processes[at].request = None,
            Step::Killed(at) => processes[at].restart(),
        }
    }
    // In the end all is well, and whoever repeats it gets the answer before long.
    work.lock().unwrap().done = true;
    processes[0].restart();
    let mut last = None;
    for _ in 0..4 {
        last = processes[0].run(&work);
        if matches!(last, Some(Ok(_))) {
            break;
        }
        pass(&processes, 15);
    }
    note(last.clone(), &mut answers);
    assert!(matches!(last, Some(Ok(_))), "no answer: {last:?}");
    // Those that were stopped until now wake up as well.
    for process in &mut processes {
        process.faulty.revive();
        if process.request.is_some() {
            note(process.run(&work), &mut answers);
        }
    }

    let mut work = work.lock().unwrap();
    assert!(work.looks.is_sorted(), "attempts overlap: {:?}", work.looks);
    work.effects.dedup();
    assert_eq!(work.effects.len(), 1, "the effect id changed");
    answers.dedup();
    assert_eq!(answers, [answer(&work.effects[0].to_string())]);
}

fn pass(processes: &[Process], seconds: u64) {
    for process in processes {
        process.clock.advance(Duration::from_secs(seconds));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn attempts_at_one_request_never_overlap(steps in steps()) {
        the_law_holds(steps);
    }
}
