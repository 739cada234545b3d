//! A process that publishes and consumes is killed (SIGKILL), again and again: what it was told
//! is durable is there.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::DateTime;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use riwaq_clock::SystemClock;
use riwaq_events::{CloudEvent, Consumer, Events, RetryPolicy, Subscription};
use riwaq_events_sqlite::{SqliteEvents, SqliteEventsConfig};
use tempfile::TempDir;

const ROUNDS: u64 = 8;
const FOLDER: &str = "RIWAQ_TEST_EVENTS_FOLDER";
const ROUND: &str = "RIWAQ_TEST_EVENTS_ROUND";

fn open(folder: &Path) -> SqliteEvents {
    let retry = RetryPolicy {
        backoff_seconds: vec![0],
        max_attempts: 1000,
        ..RetryPolicy::default()
    };
    let config = SqliteEventsConfig {
        retry,
        max_memory_events: 50,
        ..SqliteEventsConfig::default()
    };
    SqliteEvents::open(folder, &config, SystemClock::shared()).unwrap()
}

async fn member(events: &SqliteEvents) -> Box<dyn Consumer> {
    events
        .subscribe(Subscription::group("g", ["t"]))
        .await
        .unwrap()
}

/// One line to the parent. A line that the pipe has is not lost with the process.
fn tell(what: &str, id: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {id}").unwrap();
    out.flush().unwrap();
}

async fn publish_for_ever(events: &SqliteEvents, round: &str) {
    let mut running = FuturesUnordered::new();
    for n in 0_u64.. {
        let id = format!("{round}-{n}");
        running.push(async move {
            events
                .publish(CloudEvent::new(&id, "/s", "t", DateTime::UNIX_EPOCH))
                .await
                .unwrap();
            tell("published", &id);
        });
        if running.len() >= 16 {
            running.next().await;
        }
    }
}

async fn consume_for_ever(events: &SqliteEvents, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut member = member(events).await;
    loop {
        let delivery = member.next().await.unwrap();
        if rng.random_bool(0.2) {
            delivery.nack("unlucky").await.unwrap();
            continue;
        }
        tell("handled", &delivery.event.id);
        delivery.ack().await.unwrap();
    }
}

/// The process that is killed; does nothing when nobody asked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let round = std::env::var_os(ROUND).unwrap().into_string().unwrap();
    let events = open(Path::new(&folder));
    let _group = member(&events).await;
    tokio::join!(
        publish_for_ever(&events, &round),
        consume_for_ever(&events, round.parse().unwrap())
    );
}

/// Runs the process until it has told so much, kills it, and adds what it told.
fn round(
    folder: &Path,
    round: u64,
    lines: usize,
    published: &mut BTreeSet<String>,
    handled: &mut BTreeSet<String>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("published", id)) => drop(published.insert(id.to_owned())),
            Some(("handled", id)) => drop(handled.insert(id.to_owned())),
            _ => continue,
        }
        told += 1;
        if told == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        told >= lines,
        "round {round}: the process ended by itself after {told} lines"
    );
}

#[tokio::test]
async fn nothing_published_is_lost_when_the_process_is_killed() {
    let folder = TempDir::new().unwrap();
    let (mut published, mut handled) = (BTreeSet::new(), BTreeSet::new());
    let mut rng = StdRng::seed_from_u64(9);
    for n in 0..ROUNDS {
        round(
            folder.path(),
            n,
            rng.random_range(50..900),
            &mut published,
            &mut handled,
        );
    }
    let before = handled.len();
    let events = open(folder.path());
    let mut member = member(&events).await;
    while events
        .depths()
        .await
        .unwrap()
        .iter()
        .any(|depth| depth.ready + depth.delayed + depth.in_flight > 0)
    {
        let delivery = tokio::time::timeout(Duration::from_secs(30), member.next())
            .await
            .unwrap()
            .unwrap();
        handled.insert(delivery.event.id.clone());
        delivery.ack().await.unwrap();
    }
    let lost: Vec<_> = published.difference(&handled).collect();
    println!(
        "{} published, {before} handled before the end, {} after",
        published.len(),
        handled.len()
    );
    assert!(lost.is_empty(), "lost: {lost:?}");
    drop((member, events));
    let db = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
    let verdict: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    let left: i64 = db
        .query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0))
        .unwrap();
    assert_eq!((verdict.as_str(), left), ("ok", 0));
}
