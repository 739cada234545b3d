//! A bad network between the adapter and the broker: silent, cut, slow.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::DateTime;
use common::{clear, config};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use riwaq_clock::SystemClock;
use riwaq_events::{CloudEvent, Consumer, Delivery, Events, EventsError, Group, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_test_kit::{Backend, ChaosProxy, Fault, rabbitmq};

const KIND: &str = "riwaq.test.thing.changed";
const GROUP: &str = "test.group";
const PATIENCE: Duration = Duration::from_secs(60);

fn group() -> Group {
    Group::new(GROUP, [KIND])
}

fn event(id: impl std::fmt::Display) -> CloudEvent {
    CloudEvent::new(id.to_string(), "/riwaq/test", KIND, DateTime::UNIX_EPOCH)
}

/// The line to the broker: through a proxy that spoils it, and beside that.
struct Line {
    url: String,
    proxy: ChaosProxy,
    config: Config,
}

impl Line {
    /// None where there is no broker.
    fn to_broker() -> Option<Self> {
        let Backend::Ready(url) = rabbitmq() else {
            return None;
        };
        let direct = config(&url);
        let broker: SocketAddr = direct.addresses[0].parse().unwrap();
        let proxy = ChaosProxy::start(vec![broker], 7).unwrap();
        let config = Config {
            addresses: vec![proxy.address().to_string()],
            heartbeat_seconds: 2,
            request_timeout_ms: 1_000,
            connection_timeout_ms: 1_000,
            publish_timeout_ms: 5_000,
            ..direct
        };
        Some(Self { url, proxy, config })
    }

    fn direct(&self) -> Vec<String> {
        config(&self.url).addresses
    }

    async fn connect(&self) -> RabbitmqEvents {
        connect(self.config.clone()).await
    }

    async fn connect_beside(&self) -> RabbitmqEvents {
        let config = Config {
            addresses: self.direct(),
            ..self.config.clone()
        };
        connect(config).await
    }

    async fn clear(self) {
        clear(&self.url, &self.config.prefix, &[group()]).await;
    }
}

async fn connect(config: Config) -> RabbitmqEvents {
    RabbitmqEvents::connect(config, SystemClock::shared())
        .await
        .unwrap()
}

async fn member(events: &RabbitmqEvents) -> Box<dyn Consumer> {
    let group = Subscription::Group(group());
    events.subscribe(group).await.unwrap()
}

async fn next(consumer: &mut dyn Consumer) -> Result<Delivery, EventsError> {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
    next.expect("in time")
}

/// The next one, however often the connection breaks before it comes.
async fn surely(consumer: &mut dyn Consumer) -> Delivery {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "nothing came");
        match next(consumer).await {
            Ok(delivery) => return delivery,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_given_up_for_another_node() {
    let Some(mut line) = Line::to_broker() else {
        return;
    };
    line.config.addresses.extend(line.direct());
    let events = line.connect().await;
    let mut member = member(&events).await;
    events.publish(event(1)).await.unwrap();
    surely(&mut *member).await.ack().await.unwrap();
    assert!(line.proxy.accepted() > 0, "the proxy was not on the way");
    line.proxy.set(Fault::HalfOpen).await;
    let began = Instant::now();
    events.publish(event(2)).await.unwrap();
    let published = began.elapsed();
    let delivery = surely(&mut *member).await;
    assert_eq!(delivery.event.id, "2");
    delivery.ack().await.unwrap();
    println!(
        "published after {published:?}, delivered after {:?}",
        began.elapsed()
    );
    drop(member);
    line.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_makes_publishing_unavailable_in_time_and_passes() {
    let Some(line) = Line::to_broker() else {
        return;
    };
    let events = line.connect().await;
    events.declare_group(&group()).await.unwrap();
    line.proxy.set(Fault::HalfOpen).await;
    for outcome in [
        events.publish(event(1)).await,
        events.ping().await,
        events.depths().await.map(drop),
        events.dead_letters(GROUP, None, 10).await.map(drop),
    ] {
        assert!(
            matches!(outcome, Err(EventsError::Unavailable(_))),
            "{outcome:?}"
        );
    }
    line.proxy.set(Fault::None).await;
    let began = Instant::now();
    while let Err(error) = events.publish(event(2)).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
    }
    events.ping().await.unwrap();
    line.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_and_delays_lose_nothing() {
    const TOTAL: u32 = 300;
    let Some(line) = Line::to_broker() else {
        return;
    };
    let events = line.connect().await;
    let mut member = member(&events).await;
    let publishing = async {
        for number in 0..TOTAL {
            while let Err(error) = events.publish(event(number)).await {
                assert!(error.is_retryable(), "{error}");
            }
        }
    };
    let consuming = async {
        let mut seen = BTreeSet::new();
        while seen.len() < usize::try_from(TOTAL).unwrap() {
            let delivery = surely(&mut *member).await;
            let id = delivery.event.id.clone();
            // Lost with its connection, it comes again.
            if delivery.ack().await.is_ok() {
                seen.insert(id);
            }
        }
    };
    let weather = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            line.proxy.set(Fault::Cut).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let (delay, jitter) = (Duration::from_millis(10), Duration::from_millis(10));
            line.proxy.set(Fault::Latency { delay, jitter }).await;
        }
        line.proxy.set(Fault::None).await;
    };
    tokio::join!(publishing, consuming, weather);
    drop(member);
    line.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_hears_what_was_said_while_it_was_cut_off() {
    let Some(line) = Line::to_broker() else {
        return;
    };
    let (events, elsewhere) = (line.connect().await, line.connect_beside().await);
    let broadcast = Subscription::broadcast("replica", [KIND]);
    let mut replica = events.subscribe(broadcast).await.unwrap();
    line.proxy.set(Fault::Cut).await;
    elsewhere.publish(event("while away")).await.unwrap();
    line.proxy.set(Fault::None).await;
    let delivery = next(&mut *replica).await.unwrap();
    assert_eq!(delivery.event.id, "while away");
    delivery.ack().await.unwrap();

    drop(replica);
    line.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_away_for_too_long_is_told_that_it_missed_something() {
    let Some(mut line) = Line::to_broker() else {
        return;
    };
    line.config.broadcast_expiry_seconds = 1;
    let (events, elsewhere) = (line.connect().await, line.connect_beside().await);
    let broadcast = Subscription::broadcast("replica", [KIND]);
    let mut replica = events.subscribe(broadcast).await.unwrap();
    line.proxy.set(Fault::Cut).await;
    // The broker's time, which nobody can move.
    until_nobody_listens(&line).await;
    elsewhere.publish(event("lost")).await.unwrap();
    line.proxy.set(Fault::None).await;
    let missed = next(&mut *replica).await;
    assert!(
        matches!(missed, Err(EventsError::Lagged { .. })),
        "{missed:?}"
    );
    elsewhere.publish(event("heard")).await.unwrap();
    let delivery = next(&mut *replica).await.unwrap();
    assert_eq!(delivery.event.id, "heard");
    delivery.ack().await.unwrap();
    drop(replica);
    line.clear().await;
}

/// Until what is published to the type finds no queue. What found one until then goes away with it.
async fn until_nobody_listens(line: &Line) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&line.url, properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = ConfirmSelectOptions::default();
    channel.confirm_select(options).await.unwrap();
    let began = Instant::now();
    loop {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default();
        let exchange = format!("{}:events", line.config.prefix);
        let sent = channel.basic_publish(exchange.into(), KIND.into(), options, b"", properties);
        let confirmation = sent.await.unwrap().await.unwrap();
        if matches!(confirmation, Confirmation::Ack(Some(_))) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the queue does not expire");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    connection.close(200, "OK".into()).await.unwrap();
}
