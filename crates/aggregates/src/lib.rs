//! Versioned aggregates, outbox and relay, leases, claims, idempotency keys, inbox and signed cursors.
//!
//! Owns how services write over the records and events ports, so that nothing acknowledged is lost
//! and no retry doubles an effect, on every engine. Must not know any service's rules, HTTP, or
//! which engine is beneath.
//!
//! # An aggregate and its journal
//!
//! ```
//! use std::sync::Arc;
//!
//! use riwaq_aggregates::records::{RecordsError, Store, Table, TableSchema, Value};
//! use riwaq_aggregates::{Act, Aggregate, Draft, Error, Outbox, OutboxOptions, Version, ViewRows};
//! use serde::{Deserialize, Serialize};
//! use uuid::Uuid;
//!
//! /// The state: whole in every version.
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! struct Course { owner: Uuid, title: String, deleted: bool }
//!
//! riwaq_aggregates::version_table! {
//!     /// Every version of every course.
//!     fn course_versions() = "course_versions", since 1;
//!     key { id: Uuid }
//!     columns { title: String }        // typed, for who reads the table
//! }
//!
//! /// A table per query: the courses of an owner.
//! #[derive(Debug, Table)]
//! #[table(name = "courses_by_owner", write = "timestamped", partition(owner), clustering(course_id desc))]
//! struct CourseByOwner { owner: Uuid, course_id: Uuid, title: String, version: i64 }
//!
//! impl Aggregate for Course {
//!     type Id = Uuid;
//!     const KIND: &'static str = "course";
//!     const EVENT: Option<&'static str> = Some("riwaq.courses.course.changed");
//!     fn table() -> &'static TableSchema { course_versions() }
//!     fn columns(&self) -> Vec<Value> { vec![Value::from(self.title.as_str())] }
//!     fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
//!         let course = &version.state;
//!         if course.deleted {
//!             return Ok(());
//!         }
//!         rows.put(&CourseByOwner {
//!             owner: course.owner, course_id: version.id, title: course.title.clone(), version: version.version,
//!         })
//!     }
//! }
//!
//! # async fn example(store: Store, events: Arc<dyn riwaq_events::Events>, clock: riwaq_clock::SharedClock, owner: Uuid, id: Uuid)
//! # -> Result<(), Error> {
//! let outbox = Outbox::new("courses", store, events, clock.clone(), OutboxOptions::default(), Arc::new(|| None))?;
//! let courses = outbox.journal::<Course>()?;
//! let relay = outbox.relay();          // task group: relay.run(shutdown)
//!
//! let state = Course { owner, title: "Algèbre".into(), deleted: false };
//! let created = courses.create(&id, Act::by(owner), Draft::new("created", state)).await?;
//!
//! // Last write wins without an expected version; with one (If-Match) another version is `Error::Stale`.
//! let renamed = courses
//!     .update(&id, Some(created.version), Act::by(owner), |current| -> Result<_, Error> {
//!         Ok(Some(Draft::new("renamed", Course { title: "الجبر".into(), ..current.state.clone() })))
//!     })
//!     .await?;
//! assert_eq!(renamed.version, 2);
//! # Ok(()) }
//! ```
//!
//! # What holds
//!
//! | | |
//! |---|---|
//! | a change that was acknowledged | is in the history, in the tables-per-query, and its event is published at least once, wherever a crash comes |
//! | two writers of one version | one wins; the other sees [`Error::Stale`], or is asked again |
//! | an unknown outcome | is settled by reading the version serially: it is ours if its `op_id` is |
//! | tables-per-query | are written when the caller returns; after a crash they converge, in whatever order |
//! | an event | has the id `kind/aggregate/version` however often it is published |
#![warn(missing_docs)]

mod aggregate;
mod append;
mod claims;
mod cursor;
mod error;
mod id;
mod idempotency;
mod inbox;
mod journal;
mod lease;
mod options;
mod outbox;
mod read;
mod relay;
mod version_table;
mod views;
mod walk;

pub use aggregate::{Act, Aggregate, Draft, Version};
pub use claims::{CLAIM_GRACE, Claim, Claims};
pub use cursor::{CursorKey, CursorScope, MAX_CURSOR_CHARS, MIN_SECRET_BYTES};
pub use error::{Error, Result};
pub use id::{AggregateId, MAX_ID_BYTES, new_op_id};
pub use idempotency::{
    Begun, Idempotency, IdempotencyOptions, MAX_IDEMPOTENCY_KEY_CHARS, Recorded, Ticket,
    request_hash,
};
pub use inbox::{Handled, INBOX_KEEP, Inbox};
pub use journal::Journal;
pub use lease::{Lease, LeaseRow, Leases};
pub use options::OutboxOptions;
pub use outbox::{Intent, Outbox, TraceSource};
pub use relay::{Relay, Walked};
pub use views::ViewRows;
// For `version_table!`, and so that a service names one crate in its declarations.
pub use riwaq_records as records;

/// The tables of this crate; a program that has any service with journals migrates them too.
#[must_use]
pub fn tables() -> Vec<&'static records::TableSchema> {
    use records::Table as _;
    vec![
        Intent::schema(),
        LeaseRow::schema(),
        claims::ClaimRow::schema(),
        idempotency::KeyRow::schema(),
        inbox::InboxRow::schema(),
    ]
}
