//! What the port's suite cannot ask: signing in, TLS, what lies in the queues, operators beside each
//! other, members that die.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use common::{Bus, clear, config};
use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use riwaq_clock::SystemClock;
use riwaq_events::conformance::Fixture;
use riwaq_events::{CloudEvent, Consumer, Delivery, Events, EventsError, Group, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_test_kit::{Backend, authority, rabbitmq, rabbitmq_tls};
use serde_json::json;

const KIND: &str = "riwaq.test.thing.changed";
const GROUP: &str = "test.group";
const PATIENCE: Duration = Duration::from_secs(30);

fn group() -> Group {
    Group::new(GROUP, [KIND])
}

fn event(id: impl std::fmt::Display) -> CloudEvent {
    CloudEvent::new(id.to_string(), "/riwaq/test", KIND, DateTime::UNIX_EPOCH)
}

async fn connect(config: Config) -> Result<RabbitmqEvents, EventsError> {
    RabbitmqEvents::connect(config, SystemClock::shared()).await
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .unwrap()
        .unwrap()
}

async fn member(events: &dyn Events) -> Box<dyn Consumer> {
    events
        .subscribe(Subscription::Group(group()))
        .await
        .unwrap()
}

/// The broker without our adapter.
async fn raw(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// A group with so many dead letters.
async fn with_dead(bus: &mut Bus, count: u32) -> Arc<dyn Events> {
    bus.config.retry.max_attempts = 1;
    bus.reopen().await;
    let events = bus.events().await;
    let mut member = member(&*events).await;
    let all = (0..count).map(event).collect();
    events.publish_all(all).await.unwrap();
    for _ in 0..count {
        next(&mut *member).await.nack("broken").await.unwrap();
    }
    events
}

async fn all_dead(events: &dyn Events) -> BTreeSet<String> {
    let (mut seen, mut after) = (BTreeSet::new(), None);
    loop {
        let page = events
            .dead_letters(GROUP, after.as_deref(), 7)
            .await
            .unwrap();
        for letter in page.items {
            assert!(seen.insert(letter.event.id), "listed twice");
        }
        after = page.next;
        if after.is_none() {
            return seen;
        }
    }
}

fn refused(outcome: Result<RabbitmqEvents, EventsError>) -> String {
    match outcome {
        Err(EventsError::InvalidInput {
            field: "rabbitmq",
            message,
        }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_host_are_told_at_once_and_without_the_password() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let began = Instant::now();
    let wrong = Config {
        password: "not-the-passw0rd".into(),
        ..config(&url)
    };
    let message = refused(connect(wrong).await);
    assert!(
        message.contains("ACCESS_REFUSED") || message.contains("ACCESS-REFUSED"),
        "{message}"
    );
    assert!(!message.contains("passw0rd"), "{message}");
    let elsewhere = Config {
        virtual_host: "nowhere".into(),
        ..config(&url)
    };
    let message = refused(connect(elsewhere).await);
    assert!(message.contains("nowhere"), "{message}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it was tried again and again"
    );
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_and_then_named() {
    let port = riwaq_test_kit::ReservedPort::new().unwrap();
    let away = Config {
        addresses: vec![port.address().to_string()],
        connect_timeout_seconds: 1,
        ..Config::default()
    };
    let began = Instant::now();
    let outcome = connect(away).await;
    let Err(EventsError::Unavailable(message)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(message.contains(&port.port().to_string()), "{message}");
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it gave up at once"
    );
}

#[tokio::test]
async fn another_node_is_asked_when_the_first_is_away() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let port = riwaq_test_kit::ReservedPort::new().unwrap();
    let mut two = config(&url);
    two.addresses.insert(0, port.address().to_string());
    let events = connect(two).await.unwrap();
    events.ping().await.unwrap();
}

#[tokio::test]
async fn tls_is_accepted_with_the_authority_and_refused_with_another() {
    let (Backend::Ready(url), Backend::Ready(ca)) = (rabbitmq_tls(), authority()) else {
        return;
    };
    let trusting = Config {
        ca_file: Some(ca.into()),
        ..config(&url)
    };
    let prefix = trusting.prefix.clone();
    let events = connect(trusting).await.unwrap();
    let mut member = member(&events).await;
    events.publish(event(1)).await.unwrap();
    let delivery = next(&mut *member).await;
    assert_eq!(delivery.event.id, "1");
    delivery.ack().await.unwrap();
    drop(member);

    let folder = tempfile::TempDir::new().unwrap();
    let other = folder.path().join("other-ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(&other, params.self_signed(&key).unwrap().pem()).unwrap();
    let doubting = Config {
        ca_file: Some(other),
        ..config(&url)
    };
    let began = Instant::now();
    let message = refused(connect(doubting).await);
    assert!(message.to_lowercase().contains("certificate"), "{message}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it was tried again and again"
    );
    if let Backend::Ready(plain) = rabbitmq() {
        clear(&plain, &prefix, &[group()]).await;
    }
}

#[tokio::test]
async fn a_stranger_reads_a_cloudevent_from_the_headers_and_the_body() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let bus = Bus::fresh(&url).await;
    let events = bus.events().await;
    events.ping().await.unwrap();
    let (_connection, channel) = raw(&url).await;
    let queue = channel
        .queue_declare(
            "".into(),
            QueueDeclareOptions::exclusive(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let exchange = format!("{}:events", bus.config.prefix);
    channel
        .queue_bind(
            queue.name().clone(),
            exchange.into(),
            KIND.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let published = event("7/3")
        .with_data(json!({"n": 1}))
        .with_traceparent(Some(trace.into()));
    events.publish(published).await.unwrap();
    let got = channel
        .basic_get(queue.name().clone(), BasicGetOptions { no_ack: true })
        .await
        .unwrap()
        .unwrap();
    let headers = got.properties.headers().as_ref().unwrap();
    let text = |name: &str| match &headers.inner()[name] {
        AMQPValue::LongString(value) => String::from_utf8(value.as_bytes().to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text("cloudEvents:specversion"), "1.0");
    assert_eq!(text("cloudEvents:id"), "7/3");
    assert_eq!(text("cloudEvents:source"), "/riwaq/test");
    assert_eq!(text("cloudEvents:type"), KIND);
    assert_eq!(text("cloudEvents:time"), "1970-01-01T00:00:00Z");
    assert_eq!(text("cloudEvents:traceparent"), trace);
    assert_eq!(
        got.properties.content_type().as_ref().unwrap().as_str(),
        "application/json"
    );
    assert_eq!(*got.properties.delivery_mode(), Some(2));
    assert_eq!(got.data, br#"{"n":1}"#);
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test]
async fn somebody_else_s_message_is_put_aside_and_holds_nobody_up() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let bus = Bus::fresh(&url).await;
    let events = bus.events().await;
    let mut member = member(&*events).await;
    let (_connection, channel) = raw(&url).await;
    let queue = format!("{}:group:{GROUP}:{KIND}", bus.config.prefix);
    channel
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            b"not an event",
            BasicProperties::default(),
        )
        .await
        .unwrap()
        .await
        .unwrap();
    events.publish(event(1)).await.unwrap();
    let delivery = next(&mut *member).await;
    assert_eq!(delivery.event.id, "1");
    delivery.ack().await.unwrap();
    let aside = format!("{}:unreadable", bus.config.prefix);
    let began = Instant::now();
    loop {
        // The queue is made with the first of them; a look before that costs the channel.
        let (_connection, channel) = raw(&url).await;
        let got = channel
            .basic_get(aside.clone().into(), BasicGetOptions { no_ack: true })
            .await;
        if let Ok(Some(got)) = got {
            assert_eq!(got.data, b"not an event");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{got:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(member);
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_beside_each_other_all_see_everything() {
    const LETTERS: u32 = 40;
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let mut bus = Bus::fresh(&url).await;
    let events = with_dead(&mut bus, LETTERS).await;
    let operators = [
        events,
        bus.second().await,
        Arc::new(bus.handle().await) as _,
    ];
    let all: BTreeSet<String> = (0..LETTERS).map(|id| id.to_string()).collect();
    let listings = operators
        .iter()
        .flat_map(|operator| [operator, operator])
        .map(|operator| {
            let operator = Arc::clone(operator);
            async move { all_dead(&*operator).await }
        });
    for seen in futures::future::join_all(listings).await {
        assert_eq!(seen, all);
    }
    // Each letter is replayed once, whoever is faster.
    let letters = operators[0]
        .dead_letters(GROUP, None, 50)
        .await
        .unwrap()
        .items;
    let mut replayed = 0;
    for letter in &letters[..10] {
        let (one, two) = tokio::join!(
            operators[0].replay(GROUP, &letter.id),
            operators[1].replay(GROUP, &letter.id)
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        replayed += 1;
    }
    assert_eq!(all_dead(&*operators[2]).await.len(), all.len() - replayed);
    drop(operators);
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test]
async fn an_operator_that_dies_while_it_lists_loses_nothing() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let mut bus = Bus::fresh(&url).await;
    bus.config.operator_timeout_seconds = 1;
    let events = with_dead(&mut bus, 20).await;
    // What a listing holds: the lock, and every letter unanswered.
    let (connection, channel) = raw(&url).await;
    let lock = format!("{}:lock:{GROUP}", bus.config.prefix);
    channel
        .queue_declare(
            lock.into(),
            QueueDeclareOptions::exclusive(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let dead = format!("{}:dead:{GROUP}", bus.config.prefix);
    let mut taken = channel
        .basic_consume(
            dead.into(),
            "stuck".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    for _ in 0..20 {
        tokio::time::timeout(PATIENCE, taken.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    let busy = events.dead_letters(GROUP, None, 10).await;
    let Err(EventsError::Unavailable(message)) = busy else {
        panic!("{busy:?}")
    };
    assert!(message.contains("another operator"), "{message}");
    drop((taken, channel));
    connection.close(200, "gone".into()).await.unwrap();
    let began = Instant::now();
    while all_dead(&*events).await.len() < 20 {
        assert!(began.elapsed() < PATIENCE, "letters were lost");
    }
    drop(events);
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_waits_for_a_binding_that_was_there_a_moment_ago() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let mut bus = Bus::fresh(&url).await;
    bus.config.unwanted_grace_ms = 3_000;
    bus.reopen().await;
    let (events, second) = (bus.events().await, bus.second().await);
    let mut member = member(&*events).await;
    second.publish(event(1)).await.unwrap();
    next(&mut *member).await.ack().await.unwrap();
    let (_connection, channel) = raw(&url).await;
    let (queue, exchange) = (
        format!("{}:group:{GROUP}:{KIND}", bus.config.prefix),
        format!("{}:events", bus.config.prefix),
    );
    let unbind = || {
        channel.queue_unbind(
            queue.clone().into(),
            exchange.clone().into(),
            KIND.into(),
            FieldTable::default(),
        )
    };
    unbind().await.unwrap();
    let (published, declared) = tokio::join!(second.publish(event(2)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        events.declare_group(&group()).await
    });
    published.unwrap();
    declared.unwrap();
    let delivery = next(&mut *member).await;
    assert_eq!(delivery.event.id, "2");
    delivery.ack().await.unwrap();
    // Nobody puts it back: then nobody wants it, and only the first one waits to see that.
    unbind().await.unwrap();
    let began = Instant::now();
    second.publish(event(3)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3));
    let began = Instant::now();
    second.publish(event(4)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    drop((member, events, second));
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_member_keeps_nothing_from_an_idle_one() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let bus = Bus::fresh(&url).await;
    let (events, second) = (bus.events().await, bus.second().await);
    let (mut busy, mut idle) = (member(&*events).await, member(&*second).await);
    // It was quick once, so much is sent to it.
    events
        .publish_all((0..200).map(event).collect())
        .await
        .unwrap();
    for _ in 0..150 {
        next(&mut *busy).await.ack().await.unwrap();
    }
    let held = next(&mut *busy).await;
    let began = Instant::now();
    for _ in 151..200 {
        next(&mut *idle).await.ack().await.unwrap();
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "they waited for the busy one"
    );
    held.ack().await.unwrap();
    drop((busy, idle));
    clear(&url, &bus.config.prefix, &[group()]).await;
}

#[tokio::test]
async fn an_event_that_kills_its_members_becomes_a_dead_letter() {
    let Backend::Ready(url) = rabbitmq() else {
        return;
    };
    let mut bus = Bus::fresh(&url).await;
    bus.config.max_redeliveries = 3;
    bus.reopen().await;
    let events = bus.events().await;
    events.declare_group(&group()).await.unwrap();
    events.publish(event("poison")).await.unwrap();
    events.publish(event("fine")).await.unwrap();
    let queue = format!("{}:group:{GROUP}:{KIND}", bus.config.prefix);
    for _ in 0..3 {
        let (connection, channel) = raw(&url).await;
        let got = channel
            .basic_get(queue.clone().into(), BasicGetOptions::default())
            .await
            .unwrap()
            .unwrap();
        got.nack(BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        })
        .await
        .unwrap();
        connection.close(200, "died".into()).await.unwrap();
    }
    let mut member = member(&*events).await;
    let delivery = next(&mut *member).await;
    assert_eq!((delivery.event.id.as_str(), delivery.attempt), ("fine", 1));
    delivery.ack().await.unwrap();
    let began = Instant::now();
    let letter = loop {
        let page = events.dead_letters(GROUP, None, 10).await.unwrap();
        if let Some(letter) = page.items.into_iter().next() {
            break letter;
        }
        assert!(began.elapsed() < PATIENCE);
    };
    assert_eq!(letter.event.id, "poison");
    assert!(
        letter.reason.contains("came back 3 times"),
        "{}",
        letter.reason
    );
    drop((member, events));
    clear(&url, &bus.config.prefix, &[group()]).await;
}
