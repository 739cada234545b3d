//! From a change that is acknowledged to its effect: version row, outbox, relay, broker, worker, inbox, a row.
//!
//! usage: outbox_to_effect HOST:PORT-OF-CASSANDRA amqp://user:password@host:port/vhost
//!
//! One change after the other (how long an effect takes), then 64 at once (how many). CPU is what the operating system
//! counted for this process, which is service and worker in one. Leaves its keyspace and its queues: for trial servers.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement prints, ends where it fails, and its tasks end with it"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use nix::sys::resource::{UsageWho, getrusage};
use reqwest::Url;
use riwaq_aggregates::{
    Act, Aggregate, Draft, Error, INBOX_KEEP, Inbox, Journal, Outbox, OutboxOptions, Version,
    ViewRows,
};
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_events::worker::{HandleError, Handler, WorkerOptions, work};
use riwaq_events::{CloudEvent, Events, Group, Subscription};
use riwaq_events_rabbitmq::RabbitmqEvents;
use riwaq_records::{MigrationPlan, Records, RecordsError, Store, Table, TableSchema, Value};
use riwaq_records_cassandra::CassandraRecords;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

const KIND: &str = "riwaq.bench.course.changed";
const GROUP: &str = "bench.effects";
const ONE_BY_ONE: usize = 500;
const MANY: usize = 5_000;
const AT_ONCE: usize = 64;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Course {
    title: String,
    description: String,
}

riwaq_aggregates::version_table! {
    /// Every version of every course.
    fn course_versions() = "bench_course_versions", since 1;
    key { id: Uuid }
    columns { title: String }
}

/// The effect.
#[derive(Debug, Table)]
#[table(name = "bench_effects", write = "timestamped", partition(course))]
struct Effect {
    course: Uuid,
    event: String,
}

impl Aggregate for Course {
    type Id = Uuid;
    const KIND: &'static str = "course";
    const EVENT: Option<&'static str> = Some(KIND);

    fn table() -> &'static TableSchema {
        course_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![Value::from(self.title.as_str())]
    }

    fn views(_: &Version<Self>, _: &mut ViewRows) -> Result<(), RecordsError> {
        Ok(())
    }
}

/// Who waits for which course's effect.
type Waiting = Mutex<HashMap<Uuid, oneshot::Sender<Instant>>>;

struct Effects {
    inbox: Inbox,
    store: Store,
    clock: SharedClock,
    waiting: Waiting,
}

#[async_trait]
impl Handler for Effects {
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let course: Uuid = event.id.split('/').nth(1).unwrap().parse().unwrap();
        let effect = Effect {
            course,
            event: event.id.clone(),
        };
        let made = || async {
            self.store
                .put_at(&effect, self.clock.now_micros())
                .await
                .map_err(Error::from)
        };
        let handled: Result<_, Error> = self.inbox.handle(event, made).await;
        handled.map_err(HandleError::new)?;
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&course);
        if let Some(waiting) = waiting {
            let _ = waiting.send(Instant::now());
        }
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cassandra, rabbitmq] = &arguments[..] else {
        panic!("usage: outbox_to_effect HOST:PORT-OF-CASSANDRA URL-OF-RABBITMQ");
    };
    let clock = SystemClock::shared();
    let store = store(cassandra, &clock).await;
    let bus = Arc::new(bus(rabbitmq, &clock).await);
    let outbox = Outbox::new(
        "bench",
        store.clone(),
        Arc::clone(&bus) as Arc<dyn Events>,
        Arc::clone(&clock),
        OutboxOptions::default(),
        Arc::new(|| None),
    )
    .unwrap();
    let courses = outbox.journal::<Course>().unwrap();
    tokio::spawn(outbox.relay().run(std::future::pending()));
    let effects = Arc::new(Effects {
        inbox: Inbox::new(GROUP, store.clone(), Arc::clone(&clock), INBOX_KEEP),
        store,
        clock: Arc::clone(&clock),
        waiting: Waiting::default(),
    });
    let worker = Arc::clone(&effects);
    tokio::spawn(async move {
        let subscription = Subscription::group(GROUP, [KIND]);
        let options = WorkerOptions { concurrency: 32 };
        work(
            &*bus,
            subscription,
            &*worker,
            &options,
            &*clock,
            std::future::pending(),
        )
        .await;
    });
    // The first are not counted: connections and statements are made.
    run(&courses, &effects, 100, 1).await;
    println!(
        "| changes | acknowledged after, p50 / p99 | effect after that, p50 / p99 | changes/s | CPU a change |"
    );
    println!("|---|---|---|---|---|");
    run(&courses, &effects, ONE_BY_ONE, 1).await.print();
    run(&courses, &effects, MANY, AT_ONCE).await.print();
}

async fn store(address: &str, clock: &SharedClock) -> Store {
    let config = riwaq_records_cassandra::Config {
        contact_points: vec![address.to_owned()],
        user: "cassandra".into(),
        password: "cassandra".into(),
        keyspace: format!("bench_{}", &Uuid::new_v4().simple().to_string()[..12]),
        ..riwaq_records_cassandra::Config::default()
    };
    let records = CassandraRecords::connect(config, Arc::clone(clock))
        .await
        .unwrap();
    let tables = riwaq_aggregates::tables();
    let plan = tables
        .into_iter()
        .chain([course_versions(), Effect::schema()]);
    records
        .migrate(&MigrationPlan::new(plan).unwrap())
        .await
        .unwrap();
    Store::new(Arc::new(records))
}

async fn bus(url: &str, clock: &SharedClock) -> RabbitmqEvents {
    let url = Url::parse(url).unwrap();
    let config = riwaq_events_rabbitmq::Config {
        addresses: vec![format!(
            "{}:{}",
            url.host_str().unwrap(),
            url.port().unwrap_or(5672)
        )],
        user: url.username().to_owned(),
        password: url.password().unwrap_or_default().to_owned(),
        prefix: format!("bench-{}", &Uuid::new_v4().simple().to_string()[..12]),
        ..riwaq_events_rabbitmq::Config::default()
    };
    let bus = RabbitmqEvents::connect(config, Arc::clone(clock))
        .await
        .unwrap();
    bus.declare_group(&Group::new(GROUP, [KIND])).await.unwrap();
    bus
}

struct Report {
    at_once: usize,
    acknowledged: Vec<Duration>,
    effect: Vec<Duration>,
    wall: Duration,
    cpu: Duration,
}

async fn run(courses: &Journal<Course>, effects: &Effects, count: usize, at_once: usize) -> Report {
    let (cpu_before, began) = (cpu(), Instant::now());
    let times: Vec<_> = futures::stream::iter(0..count)
        .map(|_| one(courses, effects))
        .buffer_unordered(at_once)
        .collect()
        .await;
    let (wall, cpu) = (began.elapsed(), cpu() - cpu_before);
    let (mut acknowledged, mut effect): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    acknowledged.sort();
    effect.sort();
    Report {
        at_once,
        acknowledged,
        effect,
        wall,
        cpu,
    }
}

/// From the request to its acknowledgement, and from there to the effect.
async fn one(courses: &Journal<Course>, effects: &Effects) -> (Duration, Duration) {
    let id = Uuid::now_v7();
    let (sender, effect) = oneshot::channel();
    effects
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, sender);
    let state = Course {
        title: "Un cours".into(),
        description: "Une description de taille ordinaire. ".repeat(8),
    };
    let began = Instant::now();
    courses
        .create(&id, Act::by(id), Draft::new("created", state))
        .await
        .unwrap();
    let acknowledged = Instant::now();
    // The effect may come before the acknowledgement is noticed.
    let after = effect
        .await
        .unwrap()
        .saturating_duration_since(acknowledged);
    (acknowledged - began, after)
}

impl Report {
    fn print(&self) {
        let count = f64::from(u32::try_from(self.effect.len()).unwrap());
        let ms = |times: &[Duration], of_hundred: usize| {
            times[(times.len() - 1) * of_hundred / 100].as_secs_f64() * 1e3
        };
        println!(
            "| {} at once | {:.1} / {:.1} ms | {:.1} / {:.1} ms | {:.0} | {:.0} µs |",
            self.at_once,
            ms(&self.acknowledged, 50),
            ms(&self.acknowledged, 99),
            ms(&self.effect, 50),
            ms(&self.effect, 99),
            count / self.wall.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e6 / count
        );
    }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(value.tv_sec()).unwrap())
            + Duration::from_micros(u64::try_from(value.tv_usec()).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}
