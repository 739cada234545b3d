//! CPU per operation and writes per second of this machine: `cargo run --release -p
//! riwaq-records-sqlite --example figures`.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use riwaq_clock::SystemClock;
use riwaq_records::{MigrationPlan, Records, RecordsError, Store, Table};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use uuid::Uuid;

#[derive(Table, Clone)]
#[table(name = "versions", write = "conditional", partition(id), clustering(version desc))]
struct Version {
    id: Uuid,
    version: i64,
    author: Uuid,
    state: String,
}

#[derive(Table, Clone)]
#[table(name = "views", write = "timestamped", partition(owner), clustering(n))]
struct View {
    owner: Uuid,
    n: i64,
    state: String,
}

type Failure = Box<dyn std::error::Error>;

/// CPU time of this process in microseconds, in steps of 10,000.
fn cpu_micros() -> Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    Ok((fields[11].parse::<u64>()? + fields[12].parse::<u64>()?) * 10_000)
}

async fn measure<F>(name: &str, operations: u64, work: impl FnOnce() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), RecordsError>>,
{
    let (start, cpu) = (Instant::now(), cpu_micros()?);
    work().await?;
    let (wall, cpu) = (start.elapsed(), cpu_micros()? - cpu);
    let per_operation = cpu as f64 / operations as f64;
    let rate = operations as f64 / wall.as_secs_f64();
    println!("{name:<44} {per_operation:>8.1} µs CPU {rate:>10.0} /s");
    Ok(())
}

/// Runs `work` for each number, on `tasks` tasks at once.
async fn together<F>(
    tasks: u64,
    operations: u64,
    work: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> Result<(), RecordsError>
where
    F: Future<Output = Result<(), RecordsError>> + Send,
{
    let mut set = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let work = work.clone();
        set.spawn(async move {
            for n in (task..operations).step_by(tasks as usize) {
                work(n).await?;
            }
            Ok(())
        });
    }
    while let Some(joined) = set.join_next().await {
        joined.map_err(RecordsError::unavailable)??;
    }
    Ok(())
}

async fn open(path: &Path) -> Result<Store, RecordsError> {
    let records = SqliteRecords::open(SqliteConfig::at(path), SystemClock::shared())?;
    records
        .migrate(&MigrationPlan::new([Version::schema(), View::schema()])?)
        .await?;
    Ok(Store::new(Arc::new(records)))
}

async fn run(folder: &Path) -> Result<(), Failure> {
    let store = open(&folder.join("records.db")).await?;
    let id = |n: u64| Uuid::from_u128(u128::from(n) << 64 | 0x4000_8000_0000_0000);
    let state = "x".repeat(300);
    let write = {
        let (store, state) = (store.clone(), state.clone());
        move |n: u64| {
            let (store, state) = (store.clone(), state.clone());
            async move {
                let row = Version {
                    id: id(n),
                    version: 1,
                    author: id(n),
                    state,
                };
                store
                    .insert_if_absent(&row, Uuid::new_v4())
                    .await
                    .map(|_| ())
            }
        }
    };
    measure("insert_if_absent, 64 at once", 20_000, || {
        together(64, 20_000, write)
    })
    .await?;
    let put = {
        let store = store.clone();
        move |n: u64| {
            let (store, state) = (store.clone(), state.clone());
            async move {
                store
                    .put_at(
                        &View {
                            owner: id(n % 400),
                            n: n as i64,
                            state,
                        },
                        1,
                    )
                    .await
            }
        }
    };
    measure("put_at, 64 at once", 20_000, || {
        together(64, 20_000, put.clone())
    })
    .await?;
    measure("put_at, one after the other", 300, || {
        together(1, 300, move |n| put(n + 20_000))
    })
    .await?;
    for tasks in [1, 64] {
        let store = store.clone();
        let get = move |n: u64| {
            let store = store.clone();
            async move {
                store
                    .get::<Version>((id(n * 7919 % 20_000), 1))
                    .await
                    .map(|_| ())
            }
        };
        measure(&format!("get, {tasks} at once"), 100_000, || {
            together(tasks, 100_000, get)
        })
        .await?;
    }
    let scan = move |n: u64| {
        let store = store.clone();
        async move {
            store
                .scan::<View>((id(n % 400),))
                .limit(20)
                .page()
                .await
                .map(|_| ())
        }
    };
    measure("scan of 20 rows, 64 at once", 20_000, || {
        together(64, 20_000, scan)
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    run(folder.path()).await
}
