//! The records port: tables, operations, guarantees, a memory version and the conformance suite.
#![warn(missing_docs)]

extern crate self as riwaq_records;

mod change;
mod error;
mod field;
pub mod limits;
mod migration;
mod operations;
mod port;
mod row;
mod scan_request;
mod schema;
pub mod slices;
mod store;
mod table;
pub mod validate;
mod value;

pub use change::{Change, ChangeOutcome, WriteBatch};
pub use error::RecordsError;
pub use field::{Field, KeyPart};
pub use migration::{MigrationPlan, MigrationReport, Step};
pub use operations::{
    Conditional, Direction, Expect, Outcome, ReadLevel, RowChange, Scan, TableCursor, TablePage,
    Write,
};
pub use port::Records;
pub use riwaq_records_derive::Table;
pub use row::{Key, Row, StoredRow};
pub use scan_request::{ScanPage, ScanRequest};
pub use schema::{
    Column, OP_ID, Order, TTL_GRACE_SECONDS, TTL_MAX_SECONDS, TableSchema, WriteMode,
};
pub use store::{Decision, Store, TypedTablePage};
pub use table::{Stored, Table};
pub use value::{ColumnType, TIMESTAMP_LIMIT_MS, Value, uuid_order_key};

#[doc(hidden)]
pub mod derive_support;
