//! CPU an operation of the records port on SQLite and on Cassandra, in one run.
//!
//! `cargo run --release -p riwaq-integration-tests --example records_cpu [HOST:PORT of Cassandra]`
//! CPU is what the operating system counted for this process: on Cassandra that is the client's part.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and ends where it fails"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use nix::sys::resource::{UsageWho, getrusage};
use riwaq_clock::SystemClock;
use riwaq_records::{MigrationPlan, Records, Store, Table};
use riwaq_records_cassandra::{CassandraRecords, Config};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use tempfile::TempDir;
use uuid::Uuid;

const AT_ONCE: usize = 64;

#[derive(Debug, Clone, Table)]
#[table(name = "bench_courses", write = "timestamped", partition(owner), clustering(id desc))]
struct Course {
    owner: Uuid,
    id: Uuid,
    title: String,
    description: String,
    version: i64,
}

#[derive(Debug, Clone, Table)]
#[table(name = "bench_versions", write = "conditional", partition(id), clustering(version desc))]
struct Version {
    id: Uuid,
    version: i64,
    state: String,
}

#[tokio::main]
async fn main() {
    let folder = TempDir::new().unwrap();
    let clock = SystemClock::shared();
    let config = SqliteConfig::at(folder.path().join("records.db"));
    measure(
        "SQLite",
        Arc::new(SqliteRecords::open(config, Arc::clone(&clock)).unwrap()),
    )
    .await;
    if let Some(address) = std::env::args().nth(1) {
        let config = Config {
            contact_points: vec![address],
            user: "cassandra".into(),
            password: "cassandra".into(),
            keyspace: format!("bench_{}", &Uuid::new_v4().simple().to_string()[..12]),
            request_timeout_ms: 30_000,
            ..Config::default()
        };
        measure(
            "Cassandra",
            Arc::new(CassandraRecords::connect(config, clock).await.unwrap()),
        )
        .await;
    }
}

async fn measure(engine: &str, records: Arc<dyn Records>) {
    let plan = MigrationPlan::new([Course::schema(), Version::schema()]).unwrap();
    records.migrate(&plan).await.unwrap();
    let store = Store::new(records);
    let owner = Uuid::new_v4();
    let ids: Vec<Uuid> = (0..1000).map(|_| Uuid::now_v7()).collect();
    println!("{engine}, {AT_ONCE} at once: CPU an operation, operations a second");
    let row = |id: Uuid| Course {
        owner,
        id,
        title: "Un cours".into(),
        description: "Une description de taille ordinaire. ".repeat(4),
        version: 1,
    };
    let at = |index: usize| ids[index % ids.len()];
    run("put_at", 5000, |index| {
        let (store, row) = (store.clone(), row(at(index)));
        async move {
            store
                .put_at(&row, 1_000_000 + i64::try_from(index).unwrap())
                .await
                .unwrap()
        }
    })
    .await;
    run("insert_if_absent", 3000, |index| {
        let store = store.clone();
        let row = Version {
            id: Uuid::new_v4(),
            version: i64::try_from(index).unwrap(),
            state: "x".repeat(300),
        };
        async move {
            let _ = store.insert_if_absent(&row, Uuid::new_v4()).await.unwrap();
        }
    })
    .await;
    run("get", 40_000, |index| {
        let (store, id) = (store.clone(), at(index));
        async move { assert!(store.get::<Course>((owner, id)).await.unwrap().is_some()) }
    })
    .await;
    run("scan of 20 rows", 10_000, |_| {
        let store = store.clone();
        async move {
            let page = store
                .scan::<Course>((owner,))
                .limit(20)
                .page()
                .await
                .unwrap();
            assert_eq!(page.rows.len(), 20);
        }
    })
    .await;
}

async fn run<F: Future<Output = ()>>(name: &str, count: usize, operation: impl Fn(usize) -> F) {
    for index in 0..200 {
        operation(index).await;
    }
    let (cpu, wall) = (cpu(), Instant::now());
    futures::stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, &operation)
        .await;
    let (cpu, wall) = (self::cpu() - cpu, wall.elapsed());
    let count = f64::from(u32::try_from(count).unwrap());
    println!(
        "  {name:18} {:8.1} µs  {:9.0} /s",
        cpu.as_secs_f64() * 1e6 / count,
        count / wall.as_secs_f64()
    );
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(value.tv_sec()).unwrap())
            + Duration::from_micros(u64::try_from(value.tv_usec()).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}
