//! What can be seen only on a broker of the test's own: one that is short of memory, and one whose
//! user may do no more than the documentation says.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::DateTime;
use riwaq_clock::SystemClock;
use riwaq_events::{
    CloudEvent, Consumer, Delivery, Events, EventsError, RetryPolicy, Subscription,
};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_test_kit::RabbitmqNode;

const KIND: &str = "riwaq.test.thing.changed";
const GROUP: &str = "test.group";
const PATIENCE: Duration = Duration::from_secs(30);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// What docs/operations/rabbitmq.md tells an administrator to grant: configure, write, read.
const PERMISSIONS: [&str; 3] = ["^riwaq:.*", "^(riwaq:.*|amq\\.default)$", "^riwaq:.*"];

fn config(node: &RabbitmqNode, user: &str) -> Config {
    Config {
        addresses: vec![node.address()],
        user: user.into(),
        password: user.into(),
        retry: RetryPolicy {
            backoff_seconds: vec![1],
            max_attempts: 2,
            visibility_timeout_seconds: 30,
        },
        request_timeout_ms: 2_000,
        publish_timeout_ms: u64::try_from(PUBLISH_TIMEOUT.as_millis()).unwrap(),
        ..Config::default()
    }
}

async fn connect(config: Config) -> RabbitmqEvents {
    RabbitmqEvents::connect(config, SystemClock::shared())
        .await
        .unwrap()
}

fn event(id: impl std::fmt::Display) -> CloudEvent {
    CloudEvent::new(id.to_string(), "/riwaq/test", KIND, DateTime::UNIX_EPOCH)
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_our_own() {
    let Some(node) = RabbitmqNode::start().await.unwrap() else {
        return;
    };
    the_documented_permissions_are_enough(&node).await;
    println!("conformance: events/rabbitmq/the documented permissions are enough ok");
    publishing_fails_in_time_while_the_broker_is_short_of_memory(&node).await;
    println!("conformance: events/rabbitmq/a memory alarm makes publishing unavailable in time ok");
}

async fn the_documented_permissions_are_enough(node: &RabbitmqNode) {
    node.ctl(&["add_user", "riwaq", "riwaq"]).await.unwrap();
    let [configure, write, read] = PERMISSIONS;
    node.ctl(&["set_permissions", "riwaq", configure, write, read])
        .await
        .unwrap();
    let events = connect(config(node, "riwaq")).await;
    let subscription = Subscription::group(GROUP, [KIND]);
    let mut member = events.subscribe(subscription).await.unwrap();
    let broadcast = Subscription::broadcast("replica", [KIND]);
    let mut replica = events.subscribe(broadcast).await.unwrap();
    events.publish(event(1)).await.unwrap();
    for _ in 0..2 {
        next(&mut *member).await.nack("broken").await.unwrap();
    }
    next(&mut *replica).await.ack().await.unwrap();
    let letters = events.dead_letters(GROUP, None, 10).await.unwrap().items;
    assert_eq!(letters.len(), 1);
    events.replay(GROUP, &letters[0].id).await.unwrap();
    next(&mut *member).await.ack().await.unwrap();
    assert_eq!(events.depths().await.unwrap().len(), 1);
    events.ping().await.unwrap();
    drop((member, replica));
    let group = riwaq_events::Group::new(GROUP, [KIND]);
    assert_eq!(events.retire_group(&group).await.unwrap(), 0);
}

async fn publishing_fails_in_time_while_the_broker_is_short_of_memory(node: &RabbitmqNode) {
    let events = connect(config(node, node.user())).await;
    let subscription = Subscription::group(GROUP, [KIND]);
    let mut member = events.subscribe(subscription).await.unwrap();
    events
        .publish_all((0..5).map(event).collect())
        .await
        .unwrap();
    let held = next(&mut *member).await;
    let held_id = held.event.id.clone();
    node.run_out_of_memory().await.unwrap();
    // The broker looks at its memory once a second.
    let (began, mut blocked) = (Instant::now(), 0);
    while blocked < 2 {
        assert!(began.elapsed() < PATIENCE, "there was no alarm");
        let asked = Instant::now();
        let outcome = events.publish(event("blocked")).await;
        let took = asked.elapsed();
        assert!(took < PUBLISH_TIMEOUT * 2, "it hung for {took:?}");
        match outcome {
            Ok(()) => {}
            Err(EventsError::Unavailable(_)) => blocked += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let outcome = events.ping().await;
    assert!(
        matches!(outcome, Err(EventsError::Unavailable(_))),
        "{outcome:?}"
    );
    // What is there is worked off all the same.
    held.ack().await.unwrap();
    let mut left: BTreeSet<String> = (0..5).map(|id| id.to_string()).collect();
    left.remove(&held_id);
    while !left.is_empty() {
        let delivery = next(&mut *member).await;
        left.remove(&delivery.event.id);
        delivery.ack().await.unwrap();
    }
    node.have_memory().await.unwrap();
    let began = Instant::now();
    while let Err(error) = events.publish(event("after")).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
    }
    // What was in the socket may be published after all: then it is the same event, by its id.
    loop {
        let delivery = next(&mut *member).await;
        let id = delivery.event.id.clone();
        delivery.ack().await.unwrap();
        assert!(["blocked", "after"].contains(&id.as_str()), "{id}");
        if id == "after" {
            break;
        }
    }
    events.ping().await.unwrap();
}
