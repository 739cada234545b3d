//! kill -9 in the middle of writing: what was acknowledged is there afterwards.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use riwaq_clock::SystemClock;
use riwaq_records::{MigrationPlan, Records, Store, Table};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use tempfile::TempDir;
use uuid::Uuid;

const DATABASE: &str = "RIWAQ_CRASH_TEST_DATABASE";
const WRITERS: u64 = 8;

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "versions", write = "conditional", partition(id), clustering(version desc))]
struct Version {
    id: Uuid,
    version: i64,
    text: String,
}

/// Written three at a time, in three partitions.
#[derive(Table, Clone, Debug, PartialEq)]
#[table(
    name = "entries",
    write = "timestamped",
    partition(writer, part),
    clustering(n)
)]
struct Entry {
    writer: Uuid,
    part: i64,
    n: i64,
    text: String,
}

async fn open(path: &Path) -> Store {
    let records = SqliteRecords::open(SqliteConfig::at(path), SystemClock::shared()).unwrap();
    records
        .migrate(&MigrationPlan::new([Version::schema(), Entry::schema()]).unwrap())
        .await
        .unwrap();
    Store::new(Arc::new(records))
}

/// The child: writes until it is killed, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn write_until_killed() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let store = open(Path::new(&path)).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move { write_forever(&store, Uuid::new_v4()).await });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
}

async fn write_forever(store: &Store, id: Uuid) {
    for n in 1.. {
        let version = Version {
            id,
            version: n,
            text: format!("version {n}"),
        };
        assert!(
            store
                .insert_if_absent(&version, Uuid::new_v4())
                .await
                .unwrap()
                .is_applied()
        );
        acknowledge(&format!("version {id} {n}"));
        let mut batch = store.batch();
        for part in 0..3 {
            batch = batch
                .put_at(
                    &Entry {
                        writer: id,
                        part,
                        n,
                        text: "x".repeat(500),
                    },
                    n,
                )
                .unwrap();
        }
        batch.write().await.unwrap();
        acknowledge(&format!("entry {id} {n}"));
    }
}

/// One write to the pipe, so that a line is whole or not there.
fn acknowledge(what: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("ACK {what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "write_until_killed", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child after this many acknowledgements; returns all that it gave.
fn run_and_kill(path: &Path, after: usize) -> BTreeMap<(String, Uuid), i64> {
    let mut child = start(path);
    let mut acknowledged = BTreeMap::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    while let Some(line) = lines.next().transpose().unwrap() {
        // The harness writes its own words in front of the first one.
        let Some((_, what)) = line.split_once("ACK ") else {
            continue;
        };
        let words: Vec<&str> = what.split(' ').collect();
        let key = (words[0].to_owned(), words[1].parse().unwrap());
        let newest = acknowledged.entry(key).or_insert(0);
        *newest = words[2].parse::<i64>().unwrap().max(*newest);
        count += 1;
        if count == after {
            child.kill().unwrap();
        }
    }
    assert!(
        count >= after,
        "the child ended by itself after {count} acknowledgements"
    );
    child.wait().unwrap();
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kill_9() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.db");
    let mut all = BTreeMap::new();
    for round in 0..12 {
        let acknowledged = run_and_kill(&path, 20 + round * 17);
        assert!(!acknowledged.is_empty());
        all.extend(acknowledged);
        // The lock of the dead process is gone, and so is everything that it had half done.
        let store = open(&path).await;
        for ((kind, id), newest) in &all {
            if kind == "version" {
                check_versions(&store, *id, *newest).await;
            } else {
                check_entries(&store, *id, *newest).await;
            }
        }
    }
}

async fn check_versions(store: &Store, id: Uuid, newest: i64) {
    let versions: Vec<i64> = store
        .scan::<Version>((id,))
        .backward()
        .all()
        .await
        .unwrap()
        .iter()
        .map(|row| row.version)
        .collect();
    assert!(
        versions.len() as i64 >= newest,
        "{newest} was acknowledged, there are {}",
        versions.len()
    );
    assert_eq!(
        versions,
        (1..=versions.len() as i64).collect::<Vec<_>>(),
        "a gap in the history"
    );
}

async fn check_entries(store: &Store, id: Uuid, newest: i64) {
    let mut lengths = Vec::new();
    for part in 0..3 {
        let rows = store.scan::<Entry>((id, part)).all().await.unwrap();
        assert!(rows.iter().all(|row| row.text.len() == 500));
        lengths.push(rows.len() as i64);
    }
    assert!(
        lengths[0] >= newest,
        "{newest} was acknowledged, there are {}",
        lengths[0]
    );
    assert!(
        lengths.iter().all(|length| *length == lengths[0]),
        "half a batch: {lengths:?}"
    );
}
