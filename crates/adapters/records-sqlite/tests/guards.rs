//! What belongs to this engine alone: the lock, foreign files, readable tables, the sweep.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::{ManualClock, SharedClock, SystemClock};
use riwaq_records::{MigrationPlan, Records, RecordsError, Store, TTL_GRACE_SECONDS, Table};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "members", write = "timestamped", partition(course), clustering(since desc, user))]
struct Member {
    course: Uuid,
    since: DateTime<Utc>,
    user: Uuid,
    active: bool,
    share: Option<f64>,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "sessions", write = "conditional", partition(id), ttl = expires_at)]
struct Session {
    id: i64,
    expires_at: DateTime<Utc>,
}

#[derive(Table, Clone, Debug, PartialEq)]
#[table(name = "seen", write = "timestamped", partition(id), ttl = expires_at)]
struct Seen {
    id: i64,
    expires_at: DateTime<Utc>,
}

async fn store(path: &Path, clock: SharedClock) -> Store {
    let config = SqliteConfig {
        sweep_seconds: 60,
        ..SqliteConfig::at(path)
    };
    let records = SqliteRecords::open(config, clock).unwrap();
    let tables = [Member::schema(), Session::schema(), Seen::schema()];
    records
        .migrate(&MigrationPlan::new(tables).unwrap())
        .await
        .unwrap();
    Store::new(Arc::new(records))
}

fn open(path: &Path) -> Result<SqliteRecords, RecordsError> {
    SqliteRecords::open(SqliteConfig::at(path), SystemClock::shared())
}

const LOCKED: &str = "RIWAQ_LOCK_TEST_DATABASE";

/// The second process: succeeds if it is refused.
#[test]
fn a_second_process() {
    let Some(path) = std::env::var_os(LOCKED) else {
        return;
    };
    let error = open(Path::new(&path)).unwrap_err().to_string();
    assert!(
        error.contains("another process has these records open"),
        "{error}"
    );
}

#[test]
fn a_second_process_is_refused_until_the_first_has_closed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new folder").join("records.db");
    let first = open(&path).unwrap();
    let mode = std::fs::metadata(path.parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "the folder is for its owner only");
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_second_process"])
        .env(LOCKED, &path)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&second.stdout);
    assert!(
        second.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    assert!(open(&path).is_err(), "a second open in the same process");
    let clone = first.clone();
    drop(first);
    assert!(open(&path).is_err(), "a clone is still there");
    drop(clone);
    open(&path).unwrap();
}

#[test]
fn files_of_others_are_refused() {
    let folder = TempDir::new().unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a)")
        .unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "not a database at all, but long enough to look like a header".repeat(100),
    )
    .unwrap();
    for path in [foreign, text] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, RecordsError::Corrupt { .. }), "{error:?}");
    }
    let error = open(&folder.path().join("text.db").join("below.db")).unwrap_err();
    assert!(
        matches!(error, RecordsError::Unavailable { .. }),
        "{error:?}"
    );
}

#[test]
fn a_configuration_out_of_range_is_named() {
    let folder = TempDir::new().unwrap();
    let config = SqliteConfig {
        readers: 0,
        ..SqliteConfig::at(folder.path().join("records.db"))
    };
    let error = SqliteRecords::open(config, SystemClock::shared()).unwrap_err();
    assert!(
        matches!(&error, RecordsError::InvalidInput { field, .. } if field == "readers"),
        "{error}"
    );
    assert!(
        serde_json::from_str::<SqliteConfig>(r#"{"reader":1}"#).is_err(),
        "an unknown key"
    );
}

#[tokio::test]
async fn tables_are_typed_and_readable_with_sqlite_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.db");
    let store = store(&path, SystemClock::shared()).await;
    let member = Member {
        course: Uuid::from_u128(1),
        since: DateTime::from_timestamp_millis(1_785_000_000_123).unwrap(),
        user: Uuid::parse_str("5f3a2b1c-0000-4000-8000-00000000000a").unwrap(),
        active: true,
        share: Some(0.5),
    };
    store.put_at(&member, 1).await.unwrap();
    let sqlite = Connection::open(&path).unwrap();
    let row: (String, i64, String, i64, f64) = sqlite
        .query_row(
            "SELECT course, since, user, active, share FROM members WHERE _dead_since IS NULL",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .unwrap();
    let expected = (
        "00000000-0000-0000-0000-000000000001".to_owned(),
        1_785_000_000_123,
        "4/5f3a2b1c-0000-4000-8000-00000000000a".to_owned(),
        1,
        0.5,
    );
    assert_eq!(row, expected);
    let (strict, rowless): (i64, i64) = sqlite
        .query_row(
            "SELECT strict, wr FROM pragma_table_list WHERE name = 'members'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((strict, rowless), (1, 1));
    let journal: String = sqlite
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(journal, "wal");
    let plan: String = sqlite
        .query_row(
            "EXPLAIN QUERY PLAN SELECT * FROM members WHERE course = 'x' AND since < 5 \
             AND _dead_since IS NULL ORDER BY since ASC, user DESC LIMIT 3",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(
        plan.contains("USING PRIMARY KEY") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

/// How many rows the file has, dead ones included.
fn count(path: &Path, table: &str) -> i64 {
    let sqlite = Connection::open(path).unwrap();
    sqlite
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
}

fn member(n: u128) -> Member {
    let since = DateTime::UNIX_EPOCH;
    Member {
        course: Uuid::from_u128(n),
        since,
        user: Uuid::from_u128(n),
        active: false,
        share: None,
    }
}

/// A sweep follows the answer to a write on the same thread, so the next answer comes after it.
async fn let_the_sweep_run(store: &Store) {
    for at in [1, 2] {
        store.put_at(&member(0), at).await.unwrap();
    }
}

#[tokio::test]
async fn tombstones_stay_for_their_time_and_then_go() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.db");
    let clock = ManualClock::at(DateTime::from_timestamp(1_785_000_000, 0).unwrap());
    let store = store(&path, clock.clone()).await;
    // Deleted after what the timestamps say: the wall clock counts, as in Cassandra.
    let key = |n: u128| (member(n).course, member(n).since, member(n).user);
    for n in 1..=3 {
        store.put_at(&member(n), 1).await.unwrap();
        store.delete_at::<Member>(key(n), 2).await.unwrap();
    }
    store.put_at(&member(4), 1).await.unwrap();
    clock.advance(Duration::from_secs(863_990));
    let_the_sweep_run(&store).await;
    assert_eq!(count(&path, "members"), 5, "three tombstones, two rows");
    store.put_at(&member(1), 1).await.unwrap();
    assert_eq!(
        store.get::<Member>(key(1)).await.unwrap(),
        None,
        "the tombstone still holds"
    );
    clock.advance(Duration::from_secs(120));
    let_the_sweep_run(&store).await;
    assert_eq!(count(&path, "members"), 2, "only the rows that live");
    assert_eq!(store.get::<Member>(key(4)).await.unwrap(), Some(member(4)));
}

#[tokio::test]
async fn expired_rows_stay_for_a_day_and_then_go() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.db");
    let start = DateTime::from_timestamp(1_785_000_000, 0).unwrap();
    let clock = ManualClock::at(start);
    let store = store(&path, clock.clone()).await;
    let expires_at = start + TimeDelta::seconds(1000);
    for (id, expires_at) in [(1, expires_at), (2, expires_at + TimeDelta::days(365))] {
        let session = Session { id, expires_at };
        assert!(
            store
                .insert_if_absent(&session, Uuid::new_v4())
                .await
                .unwrap()
                .is_applied()
        );
        store.put_at(&Seen { id, expires_at }, 1).await.unwrap();
    }
    let grace = u64::from(TTL_GRACE_SECONDS);
    clock.advance(Duration::from_secs(1000 + grace - 1));
    let_the_sweep_run(&store).await;
    assert_eq!((count(&path, "sessions"), count(&path, "seen")), (2, 2));
    clock.advance(Duration::from_secs(120));
    let_the_sweep_run(&store).await;
    // The timestamped one waits until no older put of it can arrive any more.
    assert_eq!((count(&path, "sessions"), count(&path, "seen")), (1, 2));
    clock.advance(Duration::from_secs(864_000));
    let_the_sweep_run(&store).await;
    assert_eq!((count(&path, "sessions"), count(&path, "seen")), (1, 1));
}

/// How many commits the write-ahead log holds: frames that say how large the database is now
/// (SQLite's file format, section 4.1).
fn commits(path: &Path) -> usize {
    let log = std::fs::read(path.with_extension("db-wal")).unwrap();
    let page_size = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    log[32..]
        .chunks_exact(24 + page_size)
        .filter(|frame| frame[4..8] != [0; 4])
        .count()
}

#[tokio::test]
async fn writes_that_wait_share_commits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.db");
    let store = store(&path, SystemClock::shared()).await;
    let before = commits(&path);
    let sqlite = Connection::open(&path).unwrap();
    // Holds the write lock, so that everything that comes meanwhile waits in one queue.
    sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for n in 1..=200 {
        let store = store.clone();
        writes.spawn(async move { store.put_at(&member(n), 1).await });
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(
        writes.try_join_next().is_none(),
        "a write was acknowledged without a commit"
    );
    sqlite.execute_batch("ROLLBACK").unwrap();
    while let Some(written) = writes.join_next().await {
        written.unwrap().unwrap();
    }
    assert_eq!(count(&path, "members"), 200);
    let made = commits(&path) - before;
    assert!((1..=3).contains(&made), "{made} commits for 200 writes");
}

#[tokio::test]
async fn a_failing_command_leaves_the_others_of_its_group_alone() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder.path().join("records.db"), SystemClock::shared()).await;
    #[derive(Table)]
    #[table(name = "absent", write = "timestamped", partition(id))]
    struct Absent {
        id: i64,
    }
    let (first, third) = (member(1), member(3));
    let good = store.put_at(&first, 1);
    let half = store
        .batch()
        .put_at(&member(2), 1)
        .unwrap()
        .put_at(&Absent { id: 1 }, 1)
        .unwrap()
        .write();
    let also_good = store.put_at(&third, 1);
    let (good, half, also_good) = tokio::join!(good, half, also_good);
    assert!(good.is_ok() && also_good.is_ok());
    assert!(matches!(half, Err(RecordsError::Schema { .. })), "{half:?}");
    let key = |n: u128| (member(n).course, member(n).since, member(n).user);
    assert_eq!(store.get::<Member>(key(2)).await.unwrap(), None);
    assert_eq!(store.get::<Member>(key(3)).await.unwrap(), Some(member(3)));
}
