//! Removing what nobody needs any more: old tombstones and expired rows.

use std::time::Duration;

use riwaq_clock::Clock;
use riwaq_records::TTL_GRACE_SECONDS;
use rusqlite::Connection;

use crate::SqliteConfig;
use crate::sql::{DEAD_SINCE, TABLES, quoted};

/// How many rows of one table one run removes, so that no write waits long.
const ROWS: u32 = 1000;

/// Runs on the writer's thread, between two groups of writes.
pub(crate) struct Sweep {
    interval: Duration,
    tombstone_seconds: i64,
    next: Option<Duration>,
}

/// A table as the sweep sees it.
struct Table {
    name: String,
    key: String,
    ttl_column: Option<String>,
    timestamped: bool,
}

impl Sweep {
    pub(crate) fn new(config: &SqliteConfig) -> Self {
        Self {
            interval: Duration::from_secs(config.sweep_seconds.into()),
            tombstone_seconds: config.tombstone_seconds.into(),
            next: None,
        }
    }

    /// Sweeps, unless the last time is less than the interval ago. Failing is harmless.
    pub(crate) fn run_if_due(&mut self, connection: &Connection, clock: &dyn Clock) {
        let monotonic = clock.monotonic();
        if self.next.is_some_and(|next| monotonic < next) {
            return;
        }
        match self.sweep(connection, clock.now().timestamp()) {
            // There is more where a full portion came from: go on after the next group.
            Ok(full) => self.next = (!full).then_some(monotonic + self.interval),
            Err(error) => {
                tracing::warn!(%error, "old records could not be swept");
                self.next = Some(monotonic + self.interval);
            }
        }
    }

    /// Whether some table had a full portion.
    fn sweep(&self, connection: &Connection, now_seconds: i64) -> rusqlite::Result<bool> {
        let mut full = false;
        for table in tables(connection)? {
            if table.timestamped {
                let before = now_seconds - self.tombstone_seconds;
                full |= remove(connection, &table, DEAD_SINCE, before)?;
            }
            if let Some(column) = &table.ttl_column {
                // A timestamped row goes only when no older put of it can still arrive.
                let kept = if table.timestamped {
                    self.tombstone_seconds
                } else {
                    0
                };
                let before = now_seconds - i64::from(TTL_GRACE_SECONDS) - kept;
                full |= remove(connection, &table, column, before.saturating_mul(1000))?;
            }
        }
        Ok(full)
    }
}

fn remove(
    connection: &Connection,
    table: &Table,
    column: &str,
    before: i64,
) -> rusqlite::Result<bool> {
    let (name, key, column) = (quoted(&table.name), &table.key, quoted(column));
    let sql = format!(
        "DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE {column} < ?1 LIMIT {ROWS})"
    );
    let removed = connection.prepare_cached(&sql)?.execute([before])?;
    Ok(removed >= ROWS as usize)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let known: bool = connection.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?1",
        [TABLES],
        |row| row.get(0),
    )?;
    if !known {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached(&format!("SELECT name, ttl_column FROM {TABLES}"))?;
    let named: Vec<(String, Option<String>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    named
        .into_iter()
        .map(|(name, ttl_column)| describe(connection, name, ttl_column))
        .collect()
}

fn describe(
    connection: &Connection,
    name: String,
    ttl_column: Option<String>,
) -> rusqlite::Result<Table> {
    let mut statement =
        connection.prepare_cached("SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk")?;
    let columns: Vec<(String, u32)> = statement
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let timestamped = columns.iter().any(|(column, _)| column == DEAD_SINCE);
    let keys = columns
        .into_iter()
        .filter(|(_, place)| *place > 0)
        .map(|(column, _)| quoted(&column));
    Ok(Table {
        name,
        key: keys.collect::<Vec<_>>().join(", "),
        ttl_column,
        timestamped,
    })
}
