//! The connections for reading.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use riwaq_records::RecordsError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SqliteConfig;

/// How many prepared statements each connection keeps.
pub(crate) const STATEMENTS: usize = 256;

/// Read-only connections, lent one at a time.
#[derive(Debug)]
pub(crate) struct ReaderPool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A connection until it is dropped.
pub(crate) struct Reader {
    pool: Arc<ReaderPool>,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl ReaderPool {
    pub(crate) fn open(config: &SqliteConfig) -> rusqlite::Result<Arc<Self>> {
        let idle = (0..config.readers)
            .map(|_| connect(&config.path, config.cache_kib))
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            idle: Mutex::new(idle),
            permits: Arc::new(Semaphore::new(config.readers)),
        }))
    }

    /// Waits for a connection.
    pub(crate) async fn reader(self: &Arc<Self>) -> Result<Reader, RecordsError> {
        let closed = || RecordsError::unavailable("the records are closed");
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let connection = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .ok_or_else(closed)?;
        Ok(Reader {
            pool: Arc::clone(self),
            connection: Some(connection),
            _permit: permit,
        })
    }
}

impl Reader {
    pub(crate) fn connection(&self) -> Result<&Connection, RecordsError> {
        self.connection
            .as_ref()
            .ok_or_else(|| RecordsError::unavailable("the connection is given back"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}

/// Without this guarantee SQLite plans a statement with `LIMIT ?` anew at every execution, to look at the
/// number: the cached statement would save nothing, and planning costs more than the reading.
pub(crate) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn connect(path: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    keep_plans(&connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}
