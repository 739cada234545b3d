//! The store: opening, closing, and the port.

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_records::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records, RecordsError,
    Scan, StoredRow, TableCursor, TablePage, TableSchema, Write, validate,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::lock::ProcessLock;
use crate::pool::{ReaderPool, STATEMENTS, keep_plans};
use crate::read::{self, Budget, Scanned};
use crate::sql::Statements;
use crate::writer::{Command, Writer};
use crate::{SqliteConfig, migrate};

/// Marks a database file as ours ("RIWQ").
const APPLICATION_ID: i32 = 0x5249_5751;

/// Records in one SQLite file. Clones share it; the last one to be dropped waits for the writes that
/// are queued and closes it.
#[derive(Clone, Debug)]
pub struct SqliteRecords {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<ReaderPool>,
    statements: Arc<Statements>,
    // Last, so that it is released when everything else is closed.
    _lock: ProcessLock,
}

impl SqliteRecords {
    /// Opens the database, or makes an empty one. Blocks for some milliseconds.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration out of range; `Unavailable` if another process has it open or
    /// the file cannot be used; `Corrupt` if it is not a database of this program.
    pub fn open(config: SqliteConfig, clock: SharedClock) -> Result<Self, RecordsError> {
        config.check()?;
        let name = config.path.display().to_string();
        let cannot = |error: rusqlite::Error| crate::error::not_done(&name, &error);
        if let Some(folder) = config.path.parent() {
            make_folder(folder).map_err(|error| {
                RecordsError::unavailable(format!("{}: {error}", folder.display()))
            })?;
        }
        let lock = ProcessLock::take(&config.path)?;
        let connection = connect(&config).map_err(cannot)?;
        claim(&connection, &name)?;
        let readers = ReaderPool::open(&config).map_err(cannot)?;
        let statements = Arc::new(Statements::default());
        let (sender, queue) = mpsc::channel(config.queue_writes);
        let writer = Writer {
            connection,
            statements: Arc::clone(&statements),
            queue,
            clock,
            config,
        };
        let writer = std::thread::Builder::new()
            .name("records-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| RecordsError::unavailable(format!("no writer thread: {error}")))?;
        let inner = Inner {
            queue: Some(sender),
            writer: Some(writer),
            readers,
            statements,
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Hands a command to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, RecordsError>>) -> Command,
    ) -> Result<T, RecordsError> {
        let (sender, answer) = oneshot::channel();
        let stopped = || RecordsError::unavailable("the writer has stopped");
        let queue = self.inner.queue.as_ref().ok_or_else(stopped)?;
        queue.send(command(sender)).await.map_err(|_| stopped())?;
        // It was taken, so nobody knows how far it came.
        answer
            .await
            .map_err(|_| RecordsError::unknown("the writer has stopped"))?
    }

    /// Runs a read on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, RecordsError> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let reader = self.inner.readers.reader().await?;
        let task = tokio::task::spawn_blocking(move || work(reader.connection()?));
        task.await
            .map_err(|error| RecordsError::unavailable(format!("the read was cut off: {error}")))?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer thread had ended with a panic");
        }
    }
}

/// A folder that is made here is for this user only: the records hold personal data.
fn make_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn connect(config: &SqliteConfig) -> rusqlite::Result<Connection> {
    let connection = Connection::open(&config.path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -i64::from(config.cache_kib))?;
    // After a burst of writes the log shrinks again at the next checkpoint.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    keep_plans(&connection)?;
    Ok(connection)
}

/// Marks a new database as ours, and refuses a foreign one.
fn claim(connection: &Connection, name: &str) -> Result<(), RecordsError> {
    let cannot = |error: rusqlite::Error| crate::error::not_done(name, &error);
    let id: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(cannot)?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(cannot)?;
    if id != 0 || tables > 0 {
        return Err(RecordsError::corrupt(
            name,
            "is the database of another program",
        ));
    }
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(cannot)
}

#[async_trait]
impl Records for SqliteRecords {
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        _level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        validate::key(schema, key)?;
        let reader = self.inner.readers.reader().await?;
        let sql = self.inner.statements.of(schema);
        read::get(reader.connection()?, schema, &sql, key)
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        validate::scan(scan)?;
        let Scanned { mut rows, finished } = {
            let reader = self.inner.readers.reader().await?;
            let sql = self.inner.statements.of(scan.schema);
            read::scan(reader.connection()?, &sql, scan, Budget::SHORT)?
        };
        let Some(last) = rows.last().filter(|_| !finished) else {
            return Ok(rows);
        };
        let after = last.row.key(scan.schema).clustering(scan.schema).to_vec();
        let rest = Scan {
            after: Some(after),
            limit: scan.limit - rows.len(),
            ..scan.clone()
        };
        let sql = self.inner.statements.of(scan.schema);
        let more = self
            .blocking(move |connection| read::scan(connection, &sql, &rest, Budget::NONE))
            .await?;
        rows.extend(more.rows);
        Ok(rows)
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        validate::writes(&writes)?;
        if writes.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Command::Write(writes, answer)).await
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        validate::conditional(&conditional)?;
        self.ask(|answer| Command::Apply(conditional, answer)).await
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        validate::limit(limit)?;
        let after = after
            .map(|cursor| read::read_cursor(schema, cursor))
            .transpose()?;
        let sql = self.inner.statements.of(schema);
        self.blocking(move |connection| {
            read::scan_table(connection, schema, &sql, after.as_ref(), limit)
        })
        .await
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        let reader = self.inner.readers.reader().await?;
        migrate::number(reader.connection()?)
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        let plan = plan.clone();
        self.ask(|answer| Command::Migrate(plan, answer)).await
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        let writing = self
            .inner
            .queue
            .as_ref()
            .is_some_and(|queue| !queue.is_closed());
        if !writing {
            return Err(RecordsError::unavailable("the writer has stopped"));
        }
        self.schema_number().await.map(|_| ())
    }
}
