//! The tables, by number. A published step is never changed.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction};

/// The number that this program writes.
pub(crate) const VERSION: i64 = 1;

/// Step n brings a file from n to n + 1.
const STEPS: &[&str] = &["
CREATE TABLE event_groups (
    group_name TEXT NOT NULL,
    type       TEXT NOT NULL,
    PRIMARY KEY (group_name, type)
) STRICT, WITHOUT ROWID;

-- One row for each group that still owes an acknowledgement of the event.
CREATE TABLE deliveries (
    seq        INTEGER PRIMARY KEY, -- microseconds since 1970 at publication, made unique
    group_name TEXT NOT NULL,
    type       TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    attempt    INTEGER NOT NULL,    -- deliveries so far
    due_at     INTEGER NOT NULL,    -- microseconds since 1970; 0: has never failed
    event      TEXT NOT NULL        -- CloudEvents 1.0, structured JSON
) STRICT;
CREATE INDEX deliveries_by_type ON deliveries (group_name, type, due_at, seq);

CREATE TABLE dead_letters (
    seq        INTEGER PRIMARY KEY,
    group_name TEXT NOT NULL,
    type       TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    died_at    INTEGER NOT NULL,    -- microseconds since 1970
    event      TEXT NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_group ON dead_letters (group_name, seq);
"];

/// The number of a file; 0 when it is new.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a file from its number to ours.
pub(crate) fn upgrade(transaction: &Transaction<'_>, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}

/// Durable when committed; a reader with `sqlite3` does not disturb.
pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA busy_timeout = 5000;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise a statement is planned anew for every value that is bound to its limit.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}
