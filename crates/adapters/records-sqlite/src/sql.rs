//! The statements of a table.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use riwaq_records::{Column, ColumnType, OP_ID, Order, TableSchema, WriteMode};

/// The time of the newest write of a row, in a timestamped table.
pub(crate) const AT: &str = "_at";
/// When a deleted row was deleted, in a timestamped table.
pub(crate) const DEAD_SINCE: &str = "_dead_since";
/// Which tables there are, for the sweep.
pub(crate) const TABLES: &str = "riwaq_tables";

/// The statements for single rows. Parameters are the columns in the schema's order, key first, and
/// then what each statement names.
#[derive(Debug)]
pub(crate) struct TableSql {
    /// Key: the other columns and, in a conditional table, `op_id`.
    pub(crate) get: String,
    /// Row, `op_id`: inserts unless there is one.
    pub(crate) insert: String,
    /// Row, `op_id`: replaces the other columns.
    pub(crate) update: String,
    /// Key.
    pub(crate) delete: String,
    /// Row, time: puts unless what is there is as new.
    pub(crate) put: String,
    /// Key, time, wall time: puts a tombstone unless what is there is newer.
    pub(crate) bury: String,
    /// Key: time, whether it lives, the other columns.
    pub(crate) state: String,
    /// Row, time: replaces the other columns of a row that has this time.
    pub(crate) merge: String,
    /// Ranges, each written when it is first read.
    ranges: RwLock<HashMap<RangeKind, Arc<str>>>,
}

/// What tells the statements of a table's ranges apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RangeKind {
    equal: usize,
    lower: Bound<()>,
    upper: Bound<()>,
    backward: bool,
}

/// The statements of every table that was used, made once.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    // By address: two programs' declarations of one table may differ in their columns.
    known: RwLock<HashMap<usize, Arc<TableSql>>>,
}

impl Statements {
    pub(crate) fn of(&self, schema: &'static TableSchema) -> Arc<TableSql> {
        let address = std::ptr::from_ref(schema) as usize;
        if let Some(known) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&address)
        {
            return Arc::clone(known);
        }
        let made = Arc::new(TableSql::new(schema));
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address, Arc::clone(&made));
        made
    }
}

impl TableSql {
    fn new(schema: &TableSchema) -> Self {
        let (table, keys, all) = (
            quoted(schema.name),
            schema.key_columns(),
            schema.columns.len(),
        );
        let key = equals(schema.key(), 1, " AND ");
        let others = comma(schema.others().iter().map(|column| quoted(column.name)));
        let columns = comma(schema.columns.iter().map(|column| quoted(column.name)));
        let parameters = comma((1..=all).map(|n| format!("?{n}")));
        let primary = comma(schema.key().iter().map(|column| quoted(column.name)));
        let set = |last: &str| {
            let mut set = equals(schema.others(), keys + 1, ", ");
            let _ = write!(
                set,
                "{}{} = ?{}",
                if set.is_empty() { "" } else { ", " },
                quoted(last),
                all + 1
            );
            set
        };
        let excluded: String = schema
            .others()
            .iter()
            .map(|c| format!("{0} = excluded.{0}, ", quoted(c.name)))
            .collect();
        let selected = selection(schema, others.clone());
        let living = if schema.has_op_id() {
            String::new()
        } else {
            format!(" AND {DEAD_SINCE} IS NULL")
        };
        let state = comma(
            [AT.to_owned(), format!("{DEAD_SINCE} IS NULL")]
                .into_iter()
                .chain(schema.others().iter().map(|c| quoted(c.name))),
        );
        Self {
            get: format!("SELECT {selected} FROM {table} WHERE {key}{living}"),
            insert: format!(
                "INSERT INTO {table} ({columns}, {OP_ID}) VALUES ({parameters}, ?{}) ON CONFLICT ({primary}) DO NOTHING",
                all + 1
            ),
            update: format!("UPDATE {table} SET {} WHERE {key}", set(OP_ID)),
            delete: format!("DELETE FROM {table} WHERE {key}"),
            put: format!(
                "INSERT INTO {table} ({columns}, {AT}) VALUES ({parameters}, ?{}) ON CONFLICT ({primary}) \
                 DO UPDATE SET {excluded}{AT} = excluded.{AT}, {DEAD_SINCE} = NULL WHERE excluded.{AT} > {AT}",
                all + 1
            ),
            // Replaces the whole row, and with it columns that this program does not know.
            bury: format!(
                "INSERT OR REPLACE INTO {table} ({primary}, {AT}, {DEAD_SINCE}) SELECT {}, ?{}, ?{} \
                 WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {key} AND {AT} > ?{})",
                comma((1..=keys).map(|n| format!("?{n}"))),
                keys + 1,
                keys + 2,
                keys + 1
            ),
            state: format!("SELECT {state} FROM {table} WHERE {key}"),
            merge: format!("UPDATE {table} SET {} WHERE {key}", set(AT)),
            ranges: RwLock::default(),
        }
    }

    /// The statement of a range. Writing it takes longer than finding a row.
    pub(crate) fn range<T>(&self, shape: &RangeShape<'_, T>) -> Arc<str> {
        let kind = shape.kind();
        let known = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&kind) {
            return Arc::clone(known);
        }
        drop(known);
        let made: Arc<str> = shape.select().into();
        self.ranges
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kind, Arc::clone(&made));
        made
    }
}

/// What is read of a row: the given columns, and `op_id` where the table has it. Never empty.
fn selection(schema: &TableSchema, columns: String) -> String {
    match (columns.is_empty(), schema.has_op_id()) {
        (false, false) => columns,
        (false, true) => format!("{columns}, {OP_ID}"),
        (true, true) => OP_ID.to_owned(),
        (true, false) => "1".to_owned(),
    }
}

/// A range of a table in the order of its primary key: equal on the first key columns, within bounds on the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeShape<'a, T> {
    pub(crate) schema: &'a TableSchema,
    /// How many of the key columns are fixed.
    pub(crate) equal: usize,
    pub(crate) lower: &'a Bound<T>,
    pub(crate) upper: &'a Bound<T>,
    /// Against the declared order.
    pub(crate) backward: bool,
}

impl<T> RangeShape<'_, T> {
    fn kind(&self) -> RangeKind {
        RangeKind {
            equal: self.equal,
            lower: self.lower.as_ref().map(|_| ()),
            upper: self.upper.as_ref().map(|_| ()),
            backward: self.backward,
        }
    }

    /// The statement: its parameters are the fixed columns, the bounds that there are, and the limit.
    fn select(&self) -> String {
        let schema = self.schema;
        let columns = comma(schema.columns.iter().map(|column| quoted(column.name)));
        let mut sql = format!(
            "SELECT {} FROM {}",
            selection(schema, columns),
            quoted(schema.name)
        );
        let mut terms: Vec<String> = schema.key()[..self.equal]
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{} = ?{}", quoted(column.name), at + 1))
            .collect();
        let mut parameter = self.equal;
        let signs = [(self.lower, ">=", ">"), (self.upper, "<=", "<")];
        for (bound, included, excluded) in signs {
            let sign = match bound {
                Bound::Unbounded => continue,
                Bound::Included(_) => included,
                Bound::Excluded(_) => excluded,
            };
            if let Some(column) = schema.key().get(self.equal) {
                parameter += 1;
                terms.push(format!("{} {sign} ?{parameter}", quoted(column.name)));
            }
        }
        if !schema.has_op_id() {
            terms.push(format!("{DEAD_SINCE} IS NULL"));
        }
        if !terms.is_empty() {
            let _ = write!(sql, " WHERE {}", terms.join(" AND "));
        }
        let order = comma((self.equal..schema.key_columns()).map(|at| self.ordered(at)));
        if !order.is_empty() {
            let _ = write!(sql, " ORDER BY {order}");
        }
        let _ = write!(sql, " LIMIT ?{}", parameter + 1);
        sql
    }

    fn ordered(&self, position: usize) -> String {
        let ascending = (order(self.schema, position) == Order::Ascending) != self.backward;
        format!(
            "{} {}",
            quoted(self.schema.columns[position].name),
            if ascending { "ASC" } else { "DESC" }
        )
    }
}

/// The order of a key column; partition columns ascend.
pub(crate) fn order(schema: &TableSchema, position: usize) -> Order {
    let clustering = position.checked_sub(schema.partition_columns);
    clustering
        .and_then(|at| schema.clustering.get(at))
        .copied()
        .unwrap_or(Order::Ascending)
}

/// Makes a table with the columns that are no younger than it.
pub(crate) fn create_table(schema: &TableSchema) -> String {
    let conditional = schema.write_mode == WriteMode::Conditional;
    let young = schema
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.since <= schema.since);
    let mut columns: Vec<String> = young
        .map(|(at, column)| {
            // A tombstone has no values, so only keys and conditional rows can be held to it.
            let required = at < schema.key_columns() || (conditional && !column.nullable);
            format!(
                "{} {}{}",
                quoted(column.name),
                type_name(column.kind),
                if required { " NOT NULL" } else { "" }
            )
        })
        .collect();
    if conditional {
        columns.push(format!("{OP_ID} TEXT NOT NULL"));
    } else {
        columns.push(format!("{AT} INTEGER NOT NULL"));
        columns.push(format!("{DEAD_SINCE} INTEGER"));
    }
    let key = comma((0..schema.key_columns()).map(|at| {
        let order = if order(schema, at) == Order::Descending {
            " DESC"
        } else {
            ""
        };
        format!("{}{order}", quoted(schema.columns[at].name))
    }));
    let table = quoted(schema.name);
    format!(
        "CREATE TABLE IF NOT EXISTS {table} ({}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID",
        columns.join(", ")
    )
}

pub(crate) fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool | ColumnType::BigInt | ColumnType::Timestamp => "INTEGER",
        ColumnType::Double => "REAL",
        ColumnType::Text | ColumnType::Json | ColumnType::Uuid => "TEXT",
        ColumnType::Blob => "BLOB",
    }
}

/// Names follow a rule that leaves nothing to escape; quoted because they may be keywords.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn comma(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

fn equals(columns: &[Column], first: usize, between: &str) -> String {
    let terms = columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("{} = ?{}", quoted(column.name), first + at));
    terms.collect::<Vec<_>>().join(between)
}
