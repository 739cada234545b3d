//! RabbitMQ is killed with -9 in a stream of events and started again, round after round.
//!
//! Four publishers and two consuming processes (two handles, each with connections of its own) work
//! through it; every tenth event fails the first time, so that some wait in a delay queue when it
//! happens. In the end every event whose publication was acknowledged must have had its effect, once,
//! and nothing else may have had one.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use rand::RngExt;
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_events::worker::{HandleError, Handler, WorkerOptions, work};
use riwaq_events::{CloudEvent, Events, Group, RetryPolicy, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use riwaq_integration_tests::rounds;
use riwaq_test_kit::RabbitmqNode;
use tokio::sync::watch;
use tokio::task::JoinSet;

const GROUP: &str = "faults.effects";
const KIND: &str = "riwaq.faults.thing.changed";
const PUBLISHERS: u64 = 4;
const CONSUMERS: usize = 2;
/// Acknowledged publications before the broker dies, and after it is back.
const BEFORE: u64 = 400;
const AFTER: u64 = 400;
/// Until the last effect of what was acknowledged.
const SETTLE: Duration = Duration::from_secs(90);

/// What the consumers did. The set of ids is their inbox: one that is in it has had its effect.
#[derive(Debug, Default)]
struct Effects {
    inbox: Mutex<HashSet<String>>,
    done: Mutex<Vec<String>>,
    failed_once: Mutex<HashSet<String>>,
    deliveries: AtomicU64,
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Handler for Effects {
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        let fails = event.id.ends_with('0') && lock(&self.failed_once).insert(event.id.clone());
        if fails {
            return Err(HandleError::new("the first time always fails"));
        }
        // Two deliveries of one event may be handled at once, in two processes.
        tokio::task::yield_now().await;
        if lock(&self.inbox).insert(event.id.clone()) {
            lock(&self.done).push(event.id.clone());
        }
        Ok(())
    }
}

/// What the publishers were told.
#[derive(Debug, Default)]
struct Published {
    acknowledged: Mutex<BTreeSet<String>>,
    tried: Mutex<BTreeSet<String>>,
    unknown: AtomicU64,
    enough: AtomicBool,
}

async fn publish(events: RabbitmqEvents, publisher: u64, round: u64, published: Arc<Published>) {
    let clock = SystemClock::shared();
    for number in 0.. {
        if published.enough.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("{round}/{publisher}/{number}");
        lock(&published.tried).insert(id.clone());
        let event = CloudEvent::new(&id, "/riwaq/faults", KIND, clock.now());
        match events.publish(event).await {
            Ok(()) => drop(lock(&published.acknowledged).insert(id)),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                published.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn config(node: &RabbitmqNode) -> Config {
    Config {
        addresses: vec![node.address()],
        user: node.user().into(),
        password: node.user().into(),
        retry: RetryPolicy {
            backoff_seconds: vec![1],
            max_attempts: 10,
            visibility_timeout_seconds: 60,
        },
        // A broker that takes long to come back must make some publications fail.
        publish_timeout_ms: 4_000,
        request_timeout_ms: 2_000,
        ..Config::default()
    }
}

async fn connect(node: &RabbitmqNode) -> Result<RabbitmqEvents> {
    Ok(RabbitmqEvents::connect(config(node), SystemClock::shared()).await?)
}

/// Until so many publications were acknowledged.
async fn acknowledged(published: &Published, count: u64) -> Result<()> {
    let began = Instant::now();
    while u64::try_from(lock(&published.acknowledged).len())? < count {
        ensure!(began.elapsed() < SETTLE, "publishing does not go on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn round(node: &mut RabbitmqNode, round: u64) -> Result<()> {
    let mut processes = Vec::new();
    for _ in 0..CONSUMERS {
        processes.push(connect(node).await?);
    }
    let group = Group::new(GROUP, [KIND]);
    processes[0].declare_group(&group).await?;
    let effects = Arc::new(Effects::default());
    let (stop, stopped) = watch::channel(false);
    let mut consumers = JoinSet::new();
    for events in &processes {
        consumers.spawn(consume(
            events.clone(),
            Arc::clone(&effects),
            stopped.clone(),
        ));
    }
    let published = Arc::new(Published::default());
    let mut publishers = JoinSet::new();
    let publishing = connect(node).await?;
    for publisher in 0..PUBLISHERS {
        publishers.spawn(publish(
            publishing.clone(),
            publisher,
            round,
            Arc::clone(&published),
        ));
    }

    acknowledged(&published, BEFORE).await?;
    let wait = rand::rng().random_range(0..200);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    node.kill()?;
    let killed = Instant::now();
    node.launch()?;
    node.wait().await?;
    let back = u64::try_from(lock(&published.acknowledged).len())?;
    acknowledged(&published, back + AFTER).await?;
    let away = killed.elapsed();
    published.enough.store(true, Ordering::Relaxed);
    while let Some(ended) = publishers.join_next().await {
        ended?;
    }
    if let Err(error) = settle(&published, &effects).await {
        bail!("{error:#}\n{}", state(node).await);
    }
    report(round, away, &published, &effects)?;
    let depths = processes[0].depths().await?;
    ensure!(
        depths.iter().all(|depth| depth.dead == 0),
        "dead letters: {depths:?}"
    );
    stop.send(true)?;
    while let Some(ended) = consumers.join_next().await {
        ended?;
    }
    processes[0].retire_group(&group).await?;
    Ok(())
}

async fn consume(events: RabbitmqEvents, effects: Arc<Effects>, mut stop: watch::Receiver<bool>) {
    let clock: SharedClock = SystemClock::shared();
    let subscription = Subscription::group(GROUP, [KIND]);
    let stopped = async move {
        drop(stop.wait_for(|stop| *stop).await);
    };
    let options = WorkerOptions { concurrency: 8 };
    work(&events, subscription, &*effects, &options, &*clock, stopped).await;
}

/// What the broker has, for whoever looks into a failure.
async fn state(node: &RabbitmqNode) -> String {
    let mut text = String::new();
    for what in [
        "list_queues name messages_ready messages_unacknowledged consumers state",
        "list_bindings source_name destination_name routing_key",
        "list_consumers",
        "list_connections name state channels",
    ] {
        let arguments: Vec<&str> = what.split(' ').collect();
        let said = node.ctl(&arguments).await;
        text.push_str(&said.unwrap_or_else(|error| format!("{error:#}\n")));
    }
    text
}

async fn settle(published: &Published, effects: &Effects) -> Result<()> {
    let began = Instant::now();
    loop {
        let missing: Vec<String> = {
            let inbox = lock(&effects.inbox);
            let acknowledged = lock(&published.acknowledged);
            acknowledged
                .iter()
                .filter(|id| !inbox.contains(*id))
                .cloned()
                .collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(
            began.elapsed() < SETTLE,
            "{} acknowledged events were lost: {:?}",
            missing.len(),
            &missing[..missing.len().min(10)]
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn report(round: u64, away: Duration, published: &Published, effects: &Effects) -> Result<()> {
    let done = lock(&effects.done).clone();
    let once: BTreeSet<&String> = done.iter().collect();
    ensure!(once.len() == done.len(), "an effect was doubled");
    let tried = lock(&published.tried);
    ensure!(
        done.iter().all(|id| tried.contains(id)),
        "an event was invented"
    );
    println!(
        "  round {round}: {} acknowledged, {} unknown, {} effects, {} deliveries; {:.1} s until events flowed again",
        lock(&published.acknowledged).len(),
        published.unknown.load(Ordering::Relaxed),
        done.len(),
        effects.deliveries.load(Ordering::Relaxed),
        away.as_secs_f64(),
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_no_acknowledged_event_and_doubles_no_effect() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let Some(mut node) = RabbitmqNode::start().await? else {
        return Ok(());
    };
    for number in 0..rounds(3) {
        round(&mut node, number).await?;
    }
    Ok(())
}
