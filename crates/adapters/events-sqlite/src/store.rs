//! The statements.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use riwaq_events::dispatch::Entry;
use riwaq_events::{CloudEvent, DeadLetter, DeadLetterPage, EventsError, Group};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(crate) type SqlResult<T> = rusqlite::Result<T>;

/// A row that waits for its time: known to memory by its number only.
pub(crate) struct Delayed {
    pub(crate) group: Arc<str>,
    pub(crate) entry: Entry,
    pub(crate) due_at: i64,
}

pub(crate) fn groups(db: &Connection) -> SqlResult<Vec<Group>> {
    let mut statement =
        db.prepare("SELECT group_name, type FROM event_groups ORDER BY group_name")?;
    let mut groups: Vec<Group> = Vec::new();
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    for row in rows {
        let (name, kind) = row?;
        match groups.last_mut() {
            Some(group) if group.name == name => group.types.push(kind),
            _ => groups.push(Group::new(name, [kind])),
        }
    }
    Ok(groups)
}

pub(crate) fn declare(db: &Connection, group: &Group) -> SqlResult<()> {
    let mut statement = db.prepare_cached("INSERT OR IGNORE INTO event_groups VALUES (?1, ?2)")?;
    group
        .types
        .iter()
        .try_for_each(|kind| statement.execute(params![group.name, kind]).map(drop))
}

/// Returns how many dead letters went.
pub(crate) fn retire(db: &Connection, group: &Group) -> SqlResult<u64> {
    let mut dead = 0;
    for kind in &group.types {
        let key = params![group.name, kind];
        db.execute(
            "DELETE FROM event_groups WHERE group_name = ?1 AND type = ?2",
            key,
        )?;
        db.execute(
            "DELETE FROM deliveries WHERE group_name = ?1 AND type = ?2",
            key,
        )?;
        dead += db.execute(
            "DELETE FROM dead_letters WHERE group_name = ?1 AND type = ?2",
            key,
        )?;
    }
    Ok(wide(dead))
}

pub(crate) fn last_seq(db: &Connection) -> SqlResult<i64> {
    db.query_row(
        "SELECT max(coalesce((SELECT max(seq) FROM deliveries), 0), coalesce((SELECT max(seq) FROM dead_letters), 0))",
        [],
        |row| row.get(0),
    )
}

pub(crate) fn insert(
    db: &Connection,
    seq: u64,
    group: &str,
    event: &CloudEvent,
    encoded: &str,
) -> SqlResult<()> {
    let mut statement =
        db.prepare_cached("INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, 0, 0, ?5)")?;
    statement
        .execute(params![narrow(seq), group, event.kind, event.id, encoded])
        .map(drop)
}

pub(crate) fn delete(db: &Connection, seq: u64) -> SqlResult<()> {
    db.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?
        .execute([narrow(seq)])
        .map(drop)
}

pub(crate) fn set_attempt(db: &Connection, seq: u64, attempt: u32) -> SqlResult<()> {
    let mut statement = db.prepare_cached("UPDATE deliveries SET attempt = ?2 WHERE seq = ?1")?;
    statement.execute(params![narrow(seq), attempt]).map(drop)
}

pub(crate) fn set_due(db: &Connection, seq: u64, attempt: u32, due_at: i64) -> SqlResult<()> {
    let mut statement =
        db.prepare_cached("UPDATE deliveries SET attempt = ?2, due_at = ?3 WHERE seq = ?1")?;
    statement
        .execute(params![narrow(seq), attempt, due_at])
        .map(drop)
}

pub(crate) fn bury(
    db: &Connection,
    seq: u64,
    attempts: u32,
    reason: &str,
    died_at: i64,
) -> SqlResult<()> {
    let mut statement = db.prepare_cached(
        "INSERT OR REPLACE INTO dead_letters
         SELECT seq, group_name, type, event_id, ?2, ?3, ?4, event FROM deliveries WHERE seq = ?1",
    )?;
    statement.execute(params![narrow(seq), attempts, reason, died_at])?;
    delete(db, seq)
}

/// Events that a crashed process had in hand for the last time. Returns how many.
pub(crate) fn bury_spent(db: &Connection, max_attempts: u32, died_at: i64) -> SqlResult<u64> {
    let buried = db.execute(
        "INSERT OR REPLACE INTO dead_letters
         SELECT seq, group_name, type, event_id, attempt,
                'delivered ' || attempt || ' times without an answer', ?2, event
         FROM deliveries WHERE attempt >= ?1",
        params![max_attempts, died_at],
    )?;
    db.execute("DELETE FROM deliveries WHERE attempt >= ?1", [max_attempts])?;
    Ok(wide(buried))
}

pub(crate) fn load(db: &Connection, seq: u64) -> SqlResult<Option<Arc<CloudEvent>>> {
    let mut statement = db.prepare_cached("SELECT event FROM deliveries WHERE seq = ?1")?;
    statement
        .query_row([narrow(seq)], |row| event(row, 0))
        .optional()
        .map(|event| event.map(Arc::new))
}

/// The next events of a lane that have never failed, at most so many bytes of them; and whether
/// there are no more.
pub(crate) fn ready(
    db: &Connection,
    group: &str,
    kind: &Arc<str>,
    after: u64,
    limit: usize,
    max_bytes: usize,
) -> SqlResult<(Vec<Entry>, bool)> {
    let mut statement = db.prepare_cached(
        "SELECT seq, attempt, event, length(event) FROM deliveries
         WHERE group_name = ?1 AND type = ?2 AND due_at = 0 AND seq > ?3 ORDER BY seq LIMIT ?4",
    )?;
    let mut rows = statement.query(params![
        group,
        &**kind,
        narrow(after),
        i64::try_from(limit).unwrap_or(i64::MAX)
    ])?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let size_bytes = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        bytes += size_bytes;
        entries.push(Entry {
            seq: seq(row, 0)?,
            kind: Arc::clone(kind),
            attempt: row.get(1)?,
            event: Some(Arc::new(event(row, 2)?)),
            size_bytes,
        });
        if bytes >= max_bytes {
            return Ok((entries, false));
        }
    }
    let exhausted = entries.len() < limit;
    Ok((entries, exhausted))
}

/// How many have never failed, by group and type.
pub(crate) fn backlogs(db: &Connection) -> SqlResult<Vec<(String, Arc<str>, u64)>> {
    let mut statement =
        db.prepare("SELECT group_name, type, count(*) FROM deliveries WHERE due_at = 0 GROUP BY group_name, type")?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?.into(), seq(row, 2)?));
    statement.query_map([], row)?.collect()
}

pub(crate) fn dead_counts(db: &Connection) -> SqlResult<Vec<(String, u64)>> {
    let mut statement =
        db.prepare("SELECT group_name, count(*) FROM dead_letters GROUP BY group_name")?;
    statement
        .query_map([], |row| Ok((row.get(0)?, seq(row, 1)?)))?
        .collect()
}

pub(crate) fn delayed(db: &Connection) -> SqlResult<Vec<Delayed>> {
    let mut statement =
        db.prepare("SELECT seq, group_name, type, attempt, length(event), due_at FROM deliveries WHERE due_at > 0")?;
    let row = |row: &Row<'_>| {
        Ok(Delayed {
            group: row.get::<_, String>(1)?.into(),
            entry: Entry {
                seq: seq(row, 0)?,
                kind: row.get::<_, String>(2)?.into(),
                attempt: row.get(3)?,
                event: None,
                size_bytes: usize::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            },
            due_at: row.get(5)?,
        })
    };
    statement.query_map([], row)?.collect()
}

pub(crate) fn dead_letters(
    db: &Connection,
    group: &str,
    after: u64,
    limit: usize,
) -> SqlResult<DeadLetterPage> {
    let mut statement = db.prepare_cached(
        "SELECT seq, attempts, reason, died_at, event FROM dead_letters
         WHERE group_name = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    )?;
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let letter = |row: &Row<'_>| {
        Ok(DeadLetter {
            id: seq(row, 0)?.to_string(),
            group: group.to_owned(),
            event: event(row, 4)?,
            attempts: row.get(1)?,
            reason: row.get(2)?,
            died_at: time(row, 3)?,
        })
    };
    let rows = statement.query_map(params![group, narrow(after), one_more], letter)?;
    let mut items = rows.collect::<SqlResult<Vec<_>>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(DeadLetterPage { items, next })
}

/// Moves one dead letter, or all, back to the queue; due at once.
pub(crate) fn replay(
    db: &Connection,
    group: &str,
    only: Option<u64>,
    now: i64,
) -> SqlResult<Vec<Entry>> {
    let only = only.map(narrow);
    let mut statement = db.prepare_cached(
        "INSERT INTO deliveries SELECT seq, group_name, type, event_id, 0, ?3, event FROM dead_letters
         WHERE group_name = ?1 AND (?2 IS NULL OR seq = ?2) RETURNING seq, type, length(event)",
    )?;
    let entry = |row: &Row<'_>| {
        Ok(Entry {
            seq: seq(row, 0)?,
            kind: row.get::<_, String>(1)?.into(),
            attempt: 0,
            event: None,
            size_bytes: usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
        })
    };
    let entries = statement
        .query_map(params![group, only, now], entry)?
        .collect::<SqlResult<Vec<_>>>()?;
    forget_dead(db, group, only)?;
    Ok(entries)
}

pub(crate) fn discard(db: &Connection, group: &str, seq: u64) -> SqlResult<u64> {
    forget_dead(db, group, Some(narrow(seq)))
}

fn forget_dead(db: &Connection, group: &str, only: Option<i64>) -> SqlResult<u64> {
    let mut statement = db.prepare_cached(
        "DELETE FROM dead_letters WHERE group_name = ?1 AND (?2 IS NULL OR seq = ?2)",
    )?;
    statement.execute(params![group, only]).map(wide)
}

fn event(row: &Row<'_>, column: usize) -> SqlResult<CloudEvent> {
    let encoded: String = row.get(column)?;
    CloudEvent::decode(encoded.as_bytes()).map_err(|error| unreadable(column, Type::Text, error))
}

fn time(row: &Row<'_>, column: usize) -> SqlResult<DateTime<Utc>> {
    let micros: i64 = row.get(column)?;
    let damaged = || {
        unreadable(
            column,
            Type::Integer,
            EventsError::Corrupt(format!("{micros} is no time")),
        )
    };
    DateTime::from_timestamp_micros(micros).ok_or_else(damaged)
}

fn unreadable(column: usize, kind: Type, error: EventsError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

fn seq(row: &Row<'_>, column: usize) -> SqlResult<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// Numbers begin at microseconds since 1970 and stay far below the limit of SQLite's integers.
fn narrow(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
