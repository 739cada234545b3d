//! Prepared statements, made once for each table and shape.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use riwaq_records::{RecordsError, TableSchema, Value};
use scylla::client::session::Session;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::prepared::PreparedStatement;

use crate::{cql, errors};

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
}

/// By the declaration itself and not by its name: versions of a program that know different columns
/// of one table may share a process.
type Prepared = HashMap<(usize, Shape), PreparedStatement>;

#[derive(Debug)]
pub(crate) struct Statements {
    session: Arc<Session>,
    prepared: RwLock<Prepared>,
}

impl Statements {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self {
            session,
            prepared: RwLock::new(HashMap::new()),
        }
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
        let text = cql::statement(schema, &key.1);
        let mut statement = self
            .session
            .prepare(text)
            .await
            .map_err(errors::of_prepare)?;
        statement.set_page_size(PAGE_ROWS);
        if key.1.is_conditional() {
            statement.set_is_idempotent(false);
            statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
        } else {
            statement.set_is_idempotent(true);
        }
        self.prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, statement.clone());
        Ok(statement)
    }
}
