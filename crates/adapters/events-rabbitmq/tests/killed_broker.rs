//! A broker of the test's own is killed with -9 at the worst moment for what is young: RabbitMQ confirms declarations
//! before it has written them down.
//!
//! `RIWAQ_TEST_ROUNDS` says how often.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::DateTime;
use riwaq_clock::SystemClock;
use riwaq_events::{CloudEvent, Events, Group, RetryPolicy, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_test_kit::RabbitmqNode;

const KINDS: [&str; 2] = ["riwaq.test.thing.changed", "riwaq.test.other.changed"];
const ROUNDS: u64 = 3;
const EVENTS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(120);

fn rounds() -> u64 {
    std::env::vars()
        .find_map(|(name, value)| (name == "RIWAQ_TEST_ROUNDS").then_some(value))
        .map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

fn config(node: &RabbitmqNode) -> Config {
    Config {
        addresses: vec![node.address()],
        user: node.user().into(),
        password: node.user().into(),
        retry: RetryPolicy {
            backoff_seconds: vec![1],
            max_attempts: 5,
            visibility_timeout_seconds: 60,
        },
        ..Config::default()
    }
}

/// A handle that knows nothing of what another one saw.
async fn connect(node: &RabbitmqNode) -> RabbitmqEvents {
    RabbitmqEvents::connect(config(node), SystemClock::shared())
        .await
        .unwrap()
}

/// One that no round before had.
fn name(round: u64) -> String {
    format!("test.young{round}")
}

async fn publish(events: &RabbitmqEvents, when: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut all = Vec::new();
    for number in 0..EVENTS {
        let id = format!("{when}-{number}");
        let kind = KINDS[usize::try_from(number).unwrap() % KINDS.len()];
        all.push(CloudEvent::new(
            &id,
            "/riwaq/test",
            kind,
            DateTime::UNIX_EPOCH,
        ));
        ids.insert(id);
    }
    // What is not acknowledged in time is sent again, as the relay does.
    let began = Instant::now();
    while let Err(error) = events.publish_all(all.clone()).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
    }
    ids
}

async fn kill_and_restart(node: &mut RabbitmqNode) {
    node.kill().unwrap();
    node.launch().unwrap();
    node.wait().await.unwrap();
}

/// Takes until every one of these was delivered.
async fn all_arrive(events: &RabbitmqEvents, group: &str, mut missing: BTreeSet<String>) {
    let (before, began) = (missing.len(), Instant::now());
    let mut member = events
        .subscribe(Subscription::group(group, KINDS))
        .await
        .unwrap();
    while !missing.is_empty() {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let Ok(delivery) = tokio::time::timeout(left, member.next()).await else {
            let some: Vec<_> = missing.iter().take(5).collect();
            panic!(
                "{} of {before} acknowledged events were lost: {some:?}",
                missing.len()
            );
        };
        let delivery = delivery.unwrap();
        missing.remove(&delivery.event.id);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_remembers_a_group_that_was_declared_a_moment_ago() {
    let Some(mut node) = RabbitmqNode::start().await.unwrap() else {
        return;
    };
    for round in 0..rounds() {
        let began = Instant::now();
        let events = connect(&node).await;
        let group = name(round);
        let beside = format!("{group}.beside");
        let young = [&group, &beside].map(|name| Group::new(name.as_str(), KINDS));
        events.declare_groups(&young).await.unwrap();
        let declared = began.elapsed();
        let mut acknowledged = publish(&events, "before").await;
        kill_and_restart(&mut node).await;
        // By somebody who never saw the group, and before anybody asks for it again.
        let other = connect(&node).await;
        acknowledged.extend(publish(&other, "after").await);
        all_arrive(&other, &group, acknowledged.clone()).await;
        all_arrive(&other, &beside, acknowledged).await;
        println!(
            "  round {round}: declared in {} ms, {} events there after the kill",
            declared.as_millis(),
            2 * EVENTS
        );
    }
    println!(
        "conformance: events/rabbitmq/a killed broker remembers a group declared a moment ago ok"
    );
}
