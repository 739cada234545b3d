//! What publishing and handling events costs: one process that only publishes, or only handles.
//!
//! usage: events_cpu amqp://user:password@host:port/vhost PREFIX publish|consume EVENTS BYTES
//!
//! Prints one line of JSON; `bench/broker.py` runs it beside others and counts the CPU.
#![expect(clippy::print_stdout, reason = "the result")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use riwaq_clock::SystemClock;
use riwaq_events::worker::{HandleError, Handler, WorkerOptions, work};
use riwaq_events::{CloudEvent, Events, Group, Subscription};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use serde_json::json;
use tokio::sync::Notify;
use url::Url;

const GROUP: &str = "bench.effects";
const KIND: &str = "riwaq.bench.thing.changed";
/// Publications under way at once, as the outbox's relay has them.
const AT_ONCE: usize = 512;
const CONCURRENCY: usize = 32;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, prefix, what, events, bytes] = &arguments[..] else {
        return Err("usage: events_cpu URL PREFIX publish|consume EVENTS BYTES".into());
    };
    let (events, bytes) = (events.parse()?, bytes.parse()?);
    let bus = RabbitmqEvents::connect(config(url, prefix)?, SystemClock::shared()).await?;
    bus.declare_group(&Group::new(GROUP, [KIND])).await?;
    let seconds = match what.as_str() {
        "publish" => publish(&bus, events, bytes).await?,
        "consume" => consume(&bus, events).await,
        other => return Err(format!("neither publish nor consume: {other}").into()),
    };
    println!("{}", json!({"events": events, "seconds": seconds}));
    Ok(())
}

fn config(url: &str, prefix: &str) -> Result<Config, Box<dyn Error>> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("no host")?;
    Ok(Config {
        addresses: vec![format!("{host}:{}", url.port().unwrap_or(5672))],
        user: url.username().to_owned(),
        password: url.password().unwrap_or_default().to_owned(),
        prefix: prefix.to_owned(),
        ..Config::default()
    })
}

async fn publish(bus: &RabbitmqEvents, events: u64, bytes: usize) -> riwaq_events::Result<f64> {
    let clock = SystemClock::shared();
    let filler = "x".repeat(bytes);
    let began = Instant::now();
    futures::stream::iter(0..events)
        .map(|number| {
            let event = CloudEvent::new(number.to_string(), "/riwaq/bench", KIND, clock.now())
                .with_data(json!({"filler": filler}));
            bus.publish(event)
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok(began.elapsed().as_secs_f64())
}

struct Count {
    left: AtomicU64,
    first: std::sync::OnceLock<Instant>,
    done: Notify,
}

#[async_trait]
impl Handler for Count {
    async fn handle(&self, _: &CloudEvent) -> Result<(), HandleError> {
        self.first.get_or_init(Instant::now);
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Ok(())
    }
}

/// From the first event to the last.
async fn consume(bus: &RabbitmqEvents, events: u64) -> f64 {
    let count = Count {
        left: AtomicU64::new(events),
        first: std::sync::OnceLock::new(),
        done: Notify::new(),
    };
    let subscription = Subscription::group(GROUP, [KIND]);
    let options = WorkerOptions {
        concurrency: CONCURRENCY,
    };
    let clock = SystemClock::shared();
    work(
        bus,
        subscription,
        &count,
        &options,
        &*clock,
        count.done.notified(),
    )
    .await;
    count
        .first
        .get()
        .map_or(0.0, |first| first.elapsed().as_secs_f64())
}
