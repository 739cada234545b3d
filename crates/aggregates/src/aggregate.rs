//! What a service declares: an aggregate, its versions and who changed it.

use chrono::{DateTime, Utc};
use riwaq_records::{RecordsError, TableSchema, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{AggregateId, ViewRows, new_op_id};

/// Something that has a history: a course, an enrolment, a file.
///
/// The implementing type is its *state*; it is kept whole with every version, as JSON. Declare the
/// table with [`version_table!`](crate::version_table).
pub trait Aggregate:
    Clone + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What names one.
    type Id: AggregateId;

    /// One word (`a-z`, `_`), unique within the service, for example `course`. It stands in
    /// pointers and event ids, so it never changes.
    const KIND: &'static str;

    /// The type of the event that every version causes, for example
    /// `riwaq.courses.course.changed`; none where nobody listens.
    const EVENT: Option<&'static str>;

    /// The number of today's form of the state's JSON, from 1. Raise it when an older JSON would
    /// not be read, and teach [`Aggregate::upcast`] the step.
    const SCHEMA: u32 = 1;

    /// The table of the versions.
    fn table() -> &'static TableSchema;

    /// The values of the table's own columns, in their order: keys and what an operator reads.
    fn columns(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Rewrites a state of form `schema` as one of form `schema + 1`. Called step by step.
    ///
    /// # Errors
    /// Why it cannot.
    fn upcast(schema: u32, _state: serde_json::Value) -> Result<serde_json::Value, String> {
        Err(format!("form {schema} of the state is not known"))
    }

    /// Every row that this version wants in the tables-per-query; none where it is deleted. Pure.
    /// The journal writes them, deletes those of the previous version that are gone, and does so
    /// again after a crash. A row has one source: no other aggregate may write the same key.
    ///
    /// # Errors
    /// A value that cannot be stored.
    fn views(_version: &Version<Self>, _rows: &mut ViewRows) -> Result<(), RecordsError> {
        Ok(())
    }

    /// The event's data: ids and the version, never personal data.
    fn event_data(version: &Version<Self>) -> serde_json::Value {
        serde_json::json!({ "id": version.id.to_text(), "version": version.version })
    }
}

/// One version of an aggregate. Immutable once written.
#[derive(Debug, Clone, PartialEq)]
pub struct Version<A: Aggregate> {
    /// The aggregate.
    pub id: A::Id,
    /// Counts from 1, without gaps.
    pub version: i64,
    /// When it was made, in whole milliseconds; later than the version before whatever the clocks say.
    pub at: DateTime<Utc>,
    /// Who made it; none for the system itself.
    pub actor: Option<Uuid>,
    /// What was done, in one word: `created`, `published`.
    pub change: String,
    /// The operation that wrote it.
    pub op_id: Uuid,
    /// The state from then on.
    pub state: A,
}

impl<A: Aggregate> Version<A> {
    /// The timestamp of this version's writes to the tables-per-query, in microseconds since
    /// 1970: grows with every version of one aggregate.
    #[must_use]
    pub const fn timestamp_micros(&self) -> i64 {
        self.at.timestamp_micros()
    }

    /// The id of the event that tells of it: the same however often it is published.
    #[must_use]
    pub fn event_id(&self) -> String {
        format!("{}/{}/{}", A::KIND, self.id.to_text(), self.version)
    }
}

/// Who changes something, in which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// The person; none for the system itself.
    pub actor: Option<Uuid>,
    /// The operation. A retry of the same operation uses the same one, anything else a new one.
    pub op_id: Uuid,
}

impl Act {
    /// A new operation of a person.
    #[must_use]
    pub fn by(actor: Uuid) -> Self {
        Self {
            actor: Some(actor),
            op_id: new_op_id(),
        }
    }

    /// A new operation of the system itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            actor: None,
            op_id: new_op_id(),
        }
    }

    /// The same with the id of an operation that may have been begun before, such as the one that
    /// an idempotency key remembers.
    #[must_use]
    pub const fn with_op_id(mut self, op_id: Uuid) -> Self {
        self.op_id = op_id;
        self
    }
}

/// The next state, and what is done in one word.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft<A> {
    /// For the history: `created`, `renamed`, `published`. Not empty, at most 64 bytes.
    pub change: &'static str,
    /// The state from then on.
    pub state: A,
}

impl<A> Draft<A> {
    /// A draft.
    #[must_use]
    pub const fn new(change: &'static str, state: A) -> Self {
        Self { change, state }
    }
}
