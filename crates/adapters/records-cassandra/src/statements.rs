//! Prepared statements, made once for each table and shape.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use riwaq_records::{RecordsError, TableSchema, Value};
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::prepared::PreparedStatement;

use crate::{Config, cql, errors};

/// Rows that the driver fetches at once.
pub(crate) const PAGE_ROWS: i32 = 200;

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Unbounded,
    Included,
    Excluded,
}

impl Side {
    pub(crate) const fn of(bound: &Bound<Value>) -> Self {
        match bound {
            Bound::Unbounded => Self::Unbounded,
            Bound::Included(_) => Self::Included,
            Bound::Excluded(_) => Self::Excluded,
        }
    }
}

/// What a statement does to its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Get,
    Table,
    Scan {
        prefix: usize,
        lower: Side,
        upper: Side,
        reversed: bool,
    },
    Put,
    Delete,
    InsertIfAbsent,
    CompareAndSet(Vec<&'static str>),
    DeleteIf(Vec<&'static str>),
}

impl Shape {
    /// A conditional change is never sent twice by the driver: the second would see the first.
    const fn is_conditional(&self) -> bool {
        matches!(
            self,
            Self::InsertIfAbsent | Self::CompareAndSet(_) | Self::DeleteIf(_)
        )
    }

    /// A read that somebody waits for.
    const fn is_read(&self) -> bool {
        matches!(self, Self::Get | Self::Scan { .. })
    }
}

/// By the declaration itself and not by its name: versions of a program that know different columns
/// of one table may share a process.
type Prepared = HashMap<(usize, Shape), PreparedStatement>;

#[derive(Debug)]
pub(crate) struct Statements {
    session: Arc<Session>,
    keyspace: String,
    timeout: Duration,
    /// As the default, and a second node is asked when the first is slow.
    reads: Option<ExecutionProfileHandle>,
    prepared: RwLock<Prepared>,
}

impl Statements {
    pub(crate) fn new(session: Arc<Session>, config: &Config) -> Self {
        let reads = (config.second_read_after_ms > 0).then(|| {
            let second = SimpleSpeculativeExecutionPolicy {
                max_retry_count: 1,
                retry_interval: Duration::from_millis(config.second_read_after_ms),
            };
            session
                .get_default_execution_profile_handle()
                .pointee_to_builder()
                .speculative_execution_policy(Some(Arc::new(second)))
                .build()
                .into_handle()
        });
        Self {
            session,
            keyspace: config.keyspace.clone(),
            timeout: Duration::from_millis(config.request_timeout_ms),
            reads,
            prepared: RwLock::new(HashMap::new()),
        }
    }

    /// How reads are carried out that somebody waits for; none: like everything else.
    pub(crate) fn reads(&self) -> Option<ExecutionProfileHandle> {
        self.reads.clone()
    }

    /// The prepared statement; cloning it is cheap.
    pub(crate) async fn get(
        &self,
        schema: &'static TableSchema,
        shape: Shape,
    ) -> Result<PreparedStatement, RecordsError> {
        let key = (std::ptr::from_ref(schema).addr(), shape);
        if let Some(statement) = self
            .prepared
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(statement.clone());
        }
        let mut statement = self
            .prepare(cql::statement(&self.keyspace, schema, &key.1))
            .await?;
        if key.1.is_conditional() {
            statement.set_is_idempotent(false);
            statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        } else {
            statement.set_is_idempotent(true);
        }
        if key.1.is_read() {
            statement.set_execution_profile_handle(self.reads());
        }
        self.prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, statement.clone());
        Ok(statement)
    }

    /// The driver prepares on every connected node, and would wait for a mute one without end.
    async fn prepare(&self, cql: String) -> Result<PreparedStatement, RecordsError> {
        let prepared = tokio::time::timeout(self.timeout, self.session.prepare(cql)).await;
        let mut statement = prepared
            .map_err(|_| RecordsError::unavailable("a node does not answer: not prepared in time"))?
            .map_err(errors::of_prepare)?;
        statement.set_page_size(PAGE_ROWS);
        Ok(statement)
    }
}
