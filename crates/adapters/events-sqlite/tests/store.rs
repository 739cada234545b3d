//! What only this adapter promises: one process, one commit for many, trouble with the disk.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use riwaq_clock::ManualClock;
use riwaq_events::{CloudEvent, Events, EventsError, Group, RetryPolicy, Subscription};
use riwaq_events_sqlite::{OpenError, SqliteEvents, SqliteEventsConfig};
use rusqlite::Connection;
use tempfile::TempDir;

fn clock() -> Arc<ManualClock> {
    ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

fn config() -> SqliteEventsConfig {
    let retry = RetryPolicy {
        max_attempts: 2,
        ..RetryPolicy::default()
    };
    SqliteEventsConfig {
        retry,
        ..SqliteEventsConfig::default()
    }
}

fn open(folder: &TempDir) -> SqliteEvents {
    SqliteEvents::open(folder.path(), &config(), clock()).unwrap()
}

/// As an operator looks: beside the running process.
fn beside(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("events.db")).unwrap()
}

fn event(id: &str) -> CloudEvent {
    CloudEvent::new(id, "/s", "t", DateTime::UNIX_EPOCH)
}

fn group() -> Group {
    Group::new("g", ["t"])
}

/// The row count once it is what was expected, or after ten seconds whatever it is.
async fn eventually(expected: i64, mut count: impl FnMut() -> i64) -> i64 {
    for _ in 0..1000 {
        if count() == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    count()
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder);
    let second = SqliteEvents::open(folder.path(), &config(), clock());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    drop(first);
    open(&folder).ping().await.unwrap();
}

/// The thread that writes is reading the next events, two megabytes of them, when all else goes:
/// in one of the rounds at least, each of which lets it read a little longer.
#[tokio::test]
async fn whoever_closes_the_queue_has_what_it_acknowledged_written() {
    const ROUNDS: u64 = 12;
    const TAKEN: u64 = 17;
    let folder = TempDir::new().unwrap();
    let config = SqliteEventsConfig {
        max_memory_events: 20,
        max_memory_bytes: 4 << 20,
        ..config()
    };
    let open = || SqliteEvents::open(folder.path(), &config, clock()).unwrap();
    let events = open();
    events.declare_group(&group()).await.unwrap();
    let large = |n: u64| event(&n.to_string()).with_data("x".repeat(100_000).into());
    events
        .publish_all((0..(ROUNDS + 1) * TAKEN).map(large).collect())
        .await
        .unwrap();
    drop(events);
    for round in 0..ROUNDS {
        let events = open();
        let mut member = events
            .subscribe(Subscription::Group(group()))
            .await
            .unwrap();
        for n in 1..=TAKEN {
            let delivery = member.next().await.unwrap();
            if n == TAKEN {
                std::thread::sleep(Duration::from_millis(round));
            }
            delivery.ack().await.unwrap();
        }
        drop((member, events));
        let stored: i64 = beside(&folder)
            .query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0))
            .unwrap();
        assert_eq!(
            stored.cast_unsigned(),
            (ROUNDS - round) * TAKEN,
            "round {round}"
        );
    }
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    beside(&folder)
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let refused = SqliteEvents::open(folder.path(), &config(), clock());
    assert!(
        matches!(refused, Err(OpenError::TooNew { found: 99, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_policy_that_cannot_work_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut config = config();
    config.retry.max_attempts = 0;
    let refused = SqliteEvents::open(folder.path(), &config, clock());
    assert!(matches!(refused, Err(OpenError::Config(_))), "{refused:?}");
}

#[tokio::test]
async fn an_operator_can_read_what_waits() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    events.declare_group(&group()).await.unwrap();
    events.publish(event("7/3")).await.unwrap();
    let row: (String, String, String, String) = beside(&folder)
        .query_row(
            "SELECT group_name, type, event_id, event ->> '$.source' FROM deliveries",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(row, ("g".into(), "t".into(), "7/3".into(), "/s".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishers_share_a_commit() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    events.declare_group(&group()).await.unwrap();
    // SQLite raises this number once for every commit of another connection that wrote.
    let watcher = beside(&folder);
    let version = || -> i64 {
        watcher
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .unwrap()
    };
    version();
    let published = events.publish_all((0..1000).map(|n| event(&n.to_string())).collect());
    tokio::pin!(published);
    let mut commits_seen = 0;
    let mut last = version();
    loop {
        tokio::select! {
            biased;
            done = &mut published => break done.unwrap(),
            () = tokio::task::yield_now() => {
                let now = version();
                commits_seen += i64::from(now != last);
                last = now;
            }
        }
    }
    assert!(
        commits_seen < 100,
        "{commits_seen} commits for 1000 publications"
    );
    let stored: i64 = watcher
        .query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, 1000);
}

#[tokio::test]
async fn an_acknowledgement_survives_trouble_with_the_disk() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    let mut member = events
        .subscribe(Subscription::Group(group()))
        .await
        .unwrap();
    events.publish(event("1")).await.unwrap();
    let trouble = beside(&folder);
    trouble
        .execute_batch("CREATE TRIGGER trouble BEFORE DELETE ON deliveries BEGIN SELECT RAISE(ABORT, 'disk'); END")
        .unwrap();
    member.next().await.unwrap().ack().await.unwrap();
    // The acknowledgement cannot be written, and what shares its commit is told.
    let refused = events.publish(event("2")).await;
    assert!(
        matches!(refused, Err(EventsError::Unavailable(_))),
        "{refused:?}"
    );
    trouble.execute_batch("DROP TRIGGER trouble").unwrap();
    events.publish(event("3")).await.unwrap();
    drop((member, events));
    let left: String = beside(&folder)
        .query_row("SELECT group_concat(event_id) FROM deliveries", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, "3");
}

#[tokio::test]
async fn a_delivery_that_takes_long_is_counted_before_it_ends() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    let mut member = events
        .subscribe(Subscription::Group(group()))
        .await
        .unwrap();
    events.publish(event("poison")).await.unwrap();
    let held = member.next().await.unwrap();
    let watcher = beside(&folder);
    let attempt = || {
        watcher
            .query_row("SELECT attempt FROM deliveries", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(eventually(1, attempt).await, 1);
    drop(held);
}

#[tokio::test]
async fn an_event_that_was_in_hand_at_every_crash_is_a_dead_letter() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    events.declare_group(&group()).await.unwrap();
    events.publish(event("poison")).await.unwrap();
    drop(events);
    // What the file looks like after a crash during the last attempt.
    beside(&folder)
        .execute("UPDATE deliveries SET attempt = 2", [])
        .unwrap();
    let events = open(&folder);
    let letters = events.dead_letters("g", None, 10).await.unwrap().items;
    assert_eq!(letters[0].reason, "delivered 2 times without an answer");
    let depth = events.depths().await.unwrap().remove(0);
    assert_eq!((depth.ready, depth.dead), (0, 1));
}

#[tokio::test]
async fn calls_after_an_unreadable_row_do_not_hang_the_others() {
    let folder = TempDir::new().unwrap();
    let events = open(&folder);
    events
        .declare_group(&Group::new("g", ["t", "u"]))
        .await
        .unwrap();
    events.publish(event("1")).await.unwrap();
    drop(events);
    beside(&folder)
        .execute("UPDATE deliveries SET event = '{}'", [])
        .unwrap();
    let events = open(&folder);
    let mut member = events
        .subscribe(Subscription::group("g", ["t", "u"]))
        .await
        .unwrap();
    let mut other = event("2");
    other.kind = "u".to_owned();
    events.publish(other).await.unwrap();
    let delivery = tokio::time::timeout(Duration::from_secs(10), member.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivery.event.id, "2");
}
