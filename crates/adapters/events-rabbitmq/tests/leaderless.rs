//! A broker of the test's own has queues that it remembers without their files, as after a kill at the wrong moment: members
//! that are new, empty, and never elected.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, Instant};

use chrono::DateTime;
use riwaq_clock::{ManualClock, SharedClock, SystemClock};
use riwaq_events::{CloudEvent, Events, Group, RetryPolicy, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_test_kit::RabbitmqNode;

const KIND: &str = "riwaq.test.thing.changed";
const GROUP: &str = "test.leaderless";
const WORK: &str = "riwaq:group:test.leaderless:riwaq.test.thing.changed";
const DELAY: &str = "riwaq:delay:test.leaderless:riwaq.test.thing.changed:1s";
const DEAD: &str = "riwaq:dead:test.leaderless";
const PATIENCE: Duration = Duration::from_secs(180);

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
        // Nobody kills this broker.
        declaration_settle_ms: 0,
        ..Config::default()
    }
}

async fn connect(config: Config) -> RabbitmqEvents {
    connect_by(SystemClock::shared(), config).await
}

async fn connect_by(clock: SharedClock, config: Config) -> RabbitmqEvents {
    RabbitmqEvents::connect(config, clock).await.unwrap()
}

fn group() -> Group {
    Group::new(GROUP, [KIND])
}

/// With the queue as `Q` and its member as `M`.
async fn eval(node: &RabbitmqNode, queue: &str, what: &str) -> String {
    let found = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
         M = {{N, _}} = amqqueue:get_pid(Q), {what}."
    );
    node.ctl(&["eval", &found]).await.unwrap().trim().to_owned()
}

/// Which member it is: one that was made anew has another.
async fn member(node: &RabbitmqNode, queue: &str) -> String {
    eval(node, queue, "ra_directory:uid_of(quorum_queues, N)").await
}

/// What the broker does at its start with a queue whose files it does not find.
async fn lose_files(node: &RabbitmqNode, queue: &str) -> String {
    let lost = "ok = ra:force_delete_server(quorum_queues, M), \
                rabbit_quorum_queue:recover(<<\"/\">>, [Q])";
    eval(node, queue, lost).await;
    assert!(!has_leader(node, queue).await, "{queue}");
    member(node, queue).await
}

async fn has_leader(node: &RabbitmqNode, queue: &str) -> bool {
    let members = eval(node, queue, "ra:members(M, 2000)").await;
    members.starts_with("{ok,")
}

async fn wait_for_queue(node: &RabbitmqNode, queue: &str) {
    let began = Instant::now();
    loop {
        let listed = node.ctl(&["-q", "list_bindings", "destination_name"]).await;
        if listed.unwrap().lines().any(|line| line.trim() == queue) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{queue} is not there");
    }
}

/// What is published arrives.
async fn works(events: &RabbitmqEvents, id: &str) {
    let event = CloudEvent::new(id, "/riwaq/test", KIND, DateTime::UNIX_EPOCH);
    let began = Instant::now();
    while let Err(error) = events.publish(event.clone()).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
    }
    let subscription = Subscription::group(GROUP, [KIND]);
    let mut consumer = events.subscribe(subscription).await.unwrap();
    loop {
        let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await;
        let delivery = delivery.unwrap().unwrap();
        let found = delivery.event.id == id;
        delivery.ack().await.unwrap();
        if found {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_lost_its_files_before_anybody_relied_on_it_is_made_anew() {
    let Some(node) = RabbitmqNode::start().await.unwrap() else {
        return;
    };
    // Cut short while it waits for the broker to write, which it does for ever: its clock stands still.
    let patient = Config {
        declaration_settle_ms: 1,
        ..config(&node)
    };
    let events = connect_by(ManualClock::at(DateTime::UNIX_EPOCH), patient).await;
    let wanted = group();
    tokio::select! {
        declared = events.declare_group(&wanted) => panic!("{declared:?}"),
        () = wait_for_queue(&node, WORK) => {}
    }
    drop(events);
    let mut lost = Vec::new();
    for queue in [WORK, DELAY, DEAD] {
        lost.push((queue, lose_files(&node, queue).await));
    }
    let events = connect(config(&node)).await;
    events.declare_group(&group()).await.unwrap();
    for (queue, was) in lost {
        assert!(has_leader(&node, queue).await, "{queue}");
        assert_ne!(member(&node, queue).await, was, "{queue}");
    }
    works(&events, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_somebody_may_rely_on_is_left_to_the_operator() {
    let Some(node) = RabbitmqNode::start().await.unwrap() else {
        return;
    };
    let events = connect(config(&node)).await;
    events.declare_group(&group()).await.unwrap();
    works(&events, "before").await;
    let mut lost = Vec::new();
    for queue in [WORK, DEAD] {
        lost.push((queue, lose_files(&node, queue).await));
    }
    // Something is missing, so the group is declared once more.
    node.ctl(&["delete_queue", DELAY]).await.unwrap();
    let other = connect(config(&node)).await;
    other.declare_group(&group()).await.unwrap();
    assert!(has_leader(&node, DELAY).await);
    for (queue, was) in lost {
        assert!(!has_leader(&node, queue).await, "{queue}");
        assert_eq!(member(&node, queue).await, was, "{queue}");
        // As docs/operations/rabbitmq.md says.
        assert_eq!(eval(&node, queue, "ra:trigger_election(M)").await, "ok");
    }
    works(&other, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_retired_with_a_queue_that_lost_its_files() {
    let Some(node) = RabbitmqNode::start().await.unwrap() else {
        return;
    };
    let events = connect(config(&node)).await;
    events.declare_group(&group()).await.unwrap();
    lose_files(&node, WORK).await;
    // The broker looks for a leader for as long as everything else may take.
    events.retire_group(&group()).await.unwrap();
    events.declare_group(&group()).await.unwrap();
    works(&events, "after").await;
}
