//! The records port: how services declare tables and keep rows in them.
//!
//! Owns the modelling language (Cassandra's: partition key, clustering columns, typed columns), the
//! operations and what they promise, the checks that all engines share, the numbered migrations, a
//! memory version, fault injection, and the conformance suite. Must not know any engine,
//! nor any service's tables.
//!
//! ```
//! use riwaq_records::{Decision, Memory, Store, Table};
//! use std::sync::Arc;
//! use uuid::Uuid;
//!
//! #[derive(Table, Clone, Debug, PartialEq)]
//! #[table(name = "notes", write = "conditional", partition(owner), clustering(version desc))]
//! struct Note {
//!     owner: Uuid,
//!     version: i64,
//!     text: String,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = Store::new(Arc::new(Memory::with_tables([Note::schema()])?));
//! let owner = Uuid::from_u128(1);
//! let first = Note { owner, version: 1, text: "Draft".into() };
//! let decision = store.insert_if_absent(&first, Uuid::new_v4()).await?;
//! assert_eq!(decision, Decision::Applied);
//! let newest = store.scan::<Note>((owner,)).first().await?;
//! assert_eq!(newest, Some(first));
//! # Ok(()) })
//! # }
//! ```
//!
//! # Guarantees
//!
//! Every engine keeps these, and the conformance suite holds it to them. There is no filter, join or
//! secondary sort: tables are made per query.
//!
//! | operation | guarantee |
//! |---|---|
//! | `get`, `scan` | sees every acknowledged write, through whichever handle it was made |
//! | `write`: put, delete | the newest timestamp stays, whatever the order of arrival; a delete wins a tie; every put writes every column; durable when acknowledged; repeating it is harmless |
//! | `write` of several | all or nothing, over partitions and tables; not isolated; never conditional |
//! | `apply` | linearizable within one partition of one table; several rows of it all or nothing; each written row carries the `op_id`; durable when acknowledged |
//! | `scan_table` | each row that stays is seen exactly once; order is the engine's; for operators only |
//! | sizes | [`limits`]: refused by [`validate`], so alike everywhere |
//! | time to live | for tidiness: a row is there at least until its `ttl` column plus [`TTL_GRACE_SECONDS`], and at some time after that it may be gone; whoever needs it right compares the column with the injected clock |
//!
//! ## Order
//! Text and blobs sort by their bytes, unsigned. UUIDs sort as in Cassandra's `uuid`: by version first
//! ([`uuid_order_key`]); so a clustering column that should mean time is a timestamp or a number, never a
//! UUID from outside. False sorts before true. Partitions have no order.
//!
//! ## Values
//! Text may contain NUL and any other Unicode scalar value, and is neither normalised nor trimmed. Empty text
//! and empty blobs differ from null, and are refused only in a partition key. Times have millisecond precision;
//! [`Field`] for `DateTime<Utc>` cuts off the rest. Doubles are finite and have no minus zero. A
//! row whose other columns are all null exists.
//!
//! ## Timestamps and ties
//! A timestamp is any positive number that grows with what the table's writers want to win:
//! microseconds, or a version. Two puts of one key with one timestamp are merged column by column: null
//! wins over a value, otherwise the larger serialised bytes ([`Value::wins_tie_against`]). It is deterministic,
//! and rarely what was meant: never use one timestamp for different contents. A tombstone is kept for
//! at least ten days (Cassandra's default gc_grace); a put older than a deletion that arrives later than that may come back.
//!
//! ## Unknown outcomes
//! [`RecordsError::Unknown`] means that the write may have happened or may still happen. `write` may simply be
//! repeated. After `apply`, a read at [`ReadLevel::Serial`] that shows our `op_id` says that it did; [`Store`] makes that
//! read itself. Otherwise repeat it with the same `op_id`. Only for a pure deletion can nobody tell whose it was.
//! A row that somebody else has overwritten since shows their `op_id`: where that must be told apart, append rows
//! (versions) and do not overwrite.
//!
//! ## Partition size
//! A partition should hold at most [`limits::PARTITION_ROWS`] rows. No engine can refuse the insert that passes it without
//! reading before every write, so the insert is not refused: collecting a larger one is ([`ScanRequest::all`]).
#![warn(missing_docs)]

extern crate self as riwaq_records;

mod change;
pub mod conformance;
mod error;
pub mod faults;
mod field;
pub mod limits;
mod memory;
mod migration;
mod operations;
mod port;
mod risk;
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
pub use memory::Memory;
pub use migration::{MigrationPlan, MigrationReport, Step};
pub use operations::{
    Conditional, Direction, Expect, Outcome, ReadLevel, RowChange, Scan, TableCursor, TablePage,
    Write,
};
pub use port::Records;
pub use risk::Risk;
pub use riwaq_records_derive::Table;
pub use row::{Key, Row, StoredRow};
pub use scan_request::{ScanPage, ScanRequest};
pub use schema::{
    Column, OP_ID, Order, TTL_END_SECONDS, TTL_GRACE_SECONDS, TTL_MAX_SECONDS, TableSchema,
    WriteMode,
};
pub use store::{Decision, Store, TypedTablePage};
pub use table::{Stored, Table};
pub use value::{ColumnType, TIMESTAMP_LIMIT_MS, Value, uuid_order_key};

#[doc(hidden)]
pub mod derive_support;
