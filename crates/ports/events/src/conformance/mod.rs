//! What every adapter of the events port must pass.
//!
//! An adapter's test gives a [`Factory`] and calls [`run`]; the tests are listed once, in
//! [`TESTS`]. [`run_under_faults`] runs those that hold on a bus that fails at random.
#![expect(clippy::unwrap_used, reason = "the suite runs in tests")]

mod broadcast;
mod chaos;
mod delivery;
mod durability;
mod model;
mod operators;
mod retry;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use riwaq_clock::SharedClock;
use serde_json::json;

use crate::faults::{FaultPlan, FaultyEvents};
use crate::{CloudEvent, Consumer, Delivery, Events, Group, GroupDepth, RetryPolicy, Subscription};

/// A bus under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A handle on the bus.
    async fn events(&self) -> Arc<dyn Events>;

    /// Another handle on the same bus: another connection, where the adapter has such.
    async fn second(&self) -> Arc<dyn Events>;

    /// Closes the bus and opens it again. The caller has dropped all handles, consumers and
    /// deliveries.
    async fn reopen(&mut self);

    /// Lets this much time pass: by the injected clock, or in truth.
    async fn pass(&self, time: Duration);

    /// The clock that the bus goes by.
    fn clock(&self) -> SharedClock;

    /// How much later than its backoff an event may be delivered: none where time stands still between
    /// two calls of [`Fixture::pass`].
    fn slack(&self) -> Duration {
        Duration::ZERO
    }
}

/// Makes buses that are empty, follow [`policy`] and have nothing to do with each other.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A fresh one.
    async fn fresh(&self) -> Box<dyn Fixture>;
}

/// The retries that a bus under test is configured with.
#[must_use]
pub fn policy() -> RetryPolicy {
    RetryPolicy {
        backoff_seconds: vec![1, 2],
        max_attempts: 3,
        visibility_timeout_seconds: 30,
    }
}

type Test = for<'f> fn(&'f mut dyn Fixture) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>;

/// One test of the suite.
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// Whether it also holds when calls fail at random.
    pub under_faults: bool,
    test: Test,
}

macro_rules! cases {
    ($($name:literal, $faults:literal, $test:path;)*) => {
        &[$(Case { name: $name, under_faults: $faults, test: |fixture| Box::pin($test(fixture)) }),*]
    };
}

/// Every test.
pub const TESTS: &[Case] = cases! {
    "each event goes to one member of a group", false, delivery::competing_members;
    "each group gets each event", false, delivery::several_groups;
    "a declared group keeps what is published before the first member", false, delivery::declared_before;
    "declaring again adds types and takes none away", false, delivery::declared_again;
    "groups that are declared together each get what they want", false, delivery::declared_together;
    "a member gets only the types that it asked for", false, delivery::own_types;
    "an event that nobody wants is taken and dropped", false, delivery::unwanted;
    "several events can be in hand at once", false, delivery::several_in_hand;
    "dropping the wait for the next event loses nothing", false, delivery::cancelled_next;
    "an event arrives as it was published", false, delivery::unchanged;
    "hostile strings arrive unharmed", false, delivery::hostile_strings;
    "the same id may be published again", false, delivery::same_id_again;
    "the largest event arrives, a larger one is refused", false, delivery::sizes;
    "bad names and attributes are refused by field", false, delivery::bad_input;
    "a failed event comes back after its backoff", false, retry::backoff;
    "an event that failed too often is a dead letter", false, retry::dead_letter;
    "a failing event does not hold up the others", false, retry::others_go_on;
    "a delivery dropped unanswered counts as failed", false, retry::dropped_delivery;
    "what a dropped consumer held comes back at once", false, retry::dropped_consumer;
    "what is not answered in time goes to another, and the late answer is told", false, retry::visibility;
    "long and hostile reasons are kept in part", false, retry::reasons;
    "dead letters are listed in pages", false, operators::pages;
    "a dead letter is replayed once, as new", false, operators::replay_one;
    "all dead letters of one group are replayed", false, operators::replay_all;
    "a dead letter is discarded", false, operators::discard;
    "depths count every event once", false, operators::depths;
    "a retired group keeps nothing", false, operators::retire;
    "ping answers", false, operators::ping;
    "each live replica gets each event", false, broadcast::every_replica;
    "a replica gets nothing from before its time", false, broadcast::not_before;
    "a slow replica is told how much it missed", false, broadcast::lagging;
    "a failed broadcast comes back to that replica, then is given up", false, broadcast::retried;
    "broadcast and group do not disturb each other", false, broadcast::beside_group;
    "what was not acknowledged survives a restart", false, durability::unacknowledged;
    "delays and dead letters survive a restart", false, durability::delays;
    "thousands survive a restart, each once", false, durability::thousands;
    "a random run agrees with the model", false, model::random_runs;
    "thousands with random failures: none lost", true, chaos::none_lost;
    "dead letters under failures: all come through in the end", true, chaos::replayed_in_the_end;
};

/// Runs every test on a fresh bus.
///
/// # Panics
/// When a test fails; the names of those before it are printed.
#[expect(
    clippy::print_stdout,
    reason = "the list of tests that passed is part of the output"
)]
pub async fn run(adapter: &str, factory: &dyn Factory) {
    for case in TESTS {
        (case.test)(&mut *factory.fresh().await).await;
        println!("conformance: events/{adapter}/{} ok", case.name);
    }
}

/// Runs every test, several at once: for a bus on which time passes in truth.
///
/// # Panics
/// When a test fails; the names of those that passed before are printed.
#[expect(
    clippy::print_stdout,
    reason = "the list of tests that passed is part of the output"
)]
pub async fn run_side_by_side(adapter: &str, factory: &dyn Factory, at_once: usize) {
    futures::stream::iter(TESTS)
        .for_each_concurrent(at_once, |case| async move {
            (case.test)(&mut *factory.fresh().await).await;
            println!("conformance: events/{adapter}/{} ok", case.name);
        })
        .await;
}

/// Runs those tests that hold on a failing bus, on one that fails by this seed.
///
/// # Panics
/// When a test fails; the names of those before it are printed.
#[expect(
    clippy::print_stdout,
    reason = "the list of tests that passed is part of the output"
)]
pub async fn run_under_faults(adapter: &str, factory: &dyn Factory, seed: u64) {
    for case in TESTS.iter().filter(|case| case.under_faults) {
        let mut faulty = Faulty {
            inner: factory.fresh().await,
            plan: FaultPlan::rough(seed),
        };
        (case.test)(&mut faulty).await;
        println!(
            "conformance: events/{adapter} under faults {seed}/{} ok",
            case.name
        );
    }
}

struct Faulty {
    inner: Box<dyn Fixture>,
    plan: FaultPlan,
}

#[async_trait]
impl Fixture for Faulty {
    async fn events(&self) -> Arc<dyn Events> {
        Arc::new(FaultyEvents::new(self.inner.events().await, self.plan))
    }

    async fn second(&self) -> Arc<dyn Events> {
        let plan = FaultPlan {
            seed: self.plan.seed ^ u64::MAX,
            ..self.plan
        };
        Arc::new(FaultyEvents::new(self.inner.second().await, plan))
    }

    async fn reopen(&mut self) {
        self.inner.reopen().await;
    }

    async fn pass(&self, time: Duration) {
        self.inner.pass(time).await;
    }

    fn clock(&self) -> SharedClock {
        self.inner.clock()
    }

    fn slack(&self) -> Duration {
        self.inner.slack()
    }
}

const KIND: &str = "riwaq.test.thing.changed";
const OTHER: &str = "riwaq.test.other.changed";
const GROUP: &str = "test.group";
/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at figures that may be a moment old.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long to look for what must not come.
const QUIET: Duration = Duration::from_millis(60);

fn event(id: impl std::fmt::Display) -> CloudEvent {
    let time = DateTime::UNIX_EPOCH + TimeDelta::nanoseconds(1_760_000_000_123_456_789);
    CloudEvent::new(id.to_string(), "/riwaq/test", KIND, time)
        .with_data(json!({"id": id.to_string()}))
}

fn of_kind(id: impl std::fmt::Display, kind: &str) -> CloudEvent {
    CloudEvent {
        kind: kind.to_owned(),
        ..event(id)
    }
}

fn group() -> Group {
    Group::new(GROUP, [KIND])
}

async fn member(events: &dyn Events) -> Box<dyn Consumer> {
    events
        .subscribe(Subscription::Group(group()))
        .await
        .unwrap()
}

async fn publish(events: &dyn Events, ids: impl IntoIterator<Item = u32>) {
    events
        .publish_all(ids.into_iter().map(event).collect())
        .await
        .unwrap();
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .expect_in_time()
        .unwrap()
}

/// The next `count` events, acknowledged; their ids in order.
async fn consume(consumer: &mut dyn Consumer, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(consumer).await;
        ids.push(delivery.event.id.clone());
        delivery.ack().await.unwrap();
    }
    ids.sort_by_key(|id| (id.len(), id.clone()));
    ids
}

async fn nothing(consumer: &mut dyn Consumer) {
    if let Ok(delivery) = tokio::time::timeout(QUIET, consumer.next()).await {
        panic!("nothing was expected: {delivery:?}");
    }
}

/// Delivers the group's next event and fails it, as often as it takes to die.
async fn kill_one(fixture: &dyn Fixture, consumer: &mut dyn Consumer, reason: &str) {
    for step in [1, 2, 0] {
        next(consumer).await.nack(reason).await.unwrap();
        fixture.pass(Duration::from_secs(step)).await;
    }
}

async fn depth(events: &dyn Events) -> GroupDepth {
    let depths = events.depths().await.unwrap();
    depths
        .into_iter()
        .find(|depth| depth.group == GROUP)
        .unwrap()
}

fn figures(depth: &GroupDepth) -> [u64; 4] {
    [depth.ready, depth.delayed, depth.in_flight, depth.dead]
}

/// Waits until the group's figures (ready, delayed, in hand, dead) are these: a look at them may be a
/// moment old.
async fn reads(events: &dyn Events, expected: [u64; 4]) {
    let read = async {
        loop {
            let now = figures(&depth(events).await);
            if now == expected {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, read).await.is_err() {
        panic!("{:?} and not {expected:?}", depth(events).await);
    }
}

trait ExpectInTime<T> {
    fn expect_in_time(self) -> T;
}

impl<T> ExpectInTime<T> for Result<T, tokio::time::error::Elapsed> {
    fn expect_in_time(self) -> T {
        self.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}"))
    }
}
