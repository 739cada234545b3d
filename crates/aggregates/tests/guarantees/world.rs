//! A world to test in: notes, their views, a store that fails on demand, and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_aggregates::records::faults::{FaultRates, Faulty};
use riwaq_aggregates::records::{
    Memory, MigrationPlan, Records, RecordsError, Store, Table, TableSchema, Value,
};
use riwaq_aggregates::{
    Act, Aggregate, Draft, Error, Intent, Journal, Outbox, OutboxOptions, Version, ViewRows, Walked,
};
use riwaq_clock::ManualClock;
use riwaq_events::{CloudEvent, Events, MemoryEvents, RetryPolicy, Subscription};
use riwaq_records_sqlite::{SqliteConfig, SqliteRecords};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub const CHANGED: &str = "riwaq.notes.note.changed";
pub const GROUP: &str = "tests.notes";

/// A note: who has it, what it says, and which operations changed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub owner: String,
    pub marks: Vec<u32>,
    pub deleted: bool,
}

riwaq_aggregates::version_table! {
    /// Versions of notes.
    pub fn note_versions() = "note_versions", since 1;
    key { id: Uuid }
    columns { owner: String, marks: i64 }
}

/// The notes of an owner.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "notes_by_owner", write = "timestamped", partition(owner), clustering(id desc))]
pub struct NoteByOwner {
    pub owner: String,
    pub id: Uuid,
    pub version: i64,
    pub marks: i64,
}

impl Aggregate for Note {
    type Id = Uuid;
    const KIND: &'static str = "note";
    const EVENT: Option<&'static str> = Some(CHANGED);

    fn table() -> &'static TableSchema {
        note_versions()
    }

    fn columns(&self) -> Vec<Value> {
        vec![
            Value::from(self.owner.as_str()),
            Value::from(i64::try_from(self.marks.len()).unwrap()),
        ]
    }

    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        if version.state.deleted {
            return Ok(());
        }
        rows.put(&wanted(version))
    }
}

pub fn wanted(version: &Version<Note>) -> NoteByOwner {
    NoteByOwner {
        owner: version.state.owner.clone(),
        id: version.id,
        version: version.version,
        marks: i64::try_from(version.state.marks.len()).unwrap(),
    }
}

pub fn note(owner: &str) -> Note {
    Note {
        owner: owner.to_owned(),
        marks: Vec::new(),
        deleted: false,
    }
}

/// One thing that happens to a note.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Mark(u32),
    Move(&'static str),
    Delete,
}

impl Change {
    pub fn apply(&self, note: &Note) -> Note {
        let mut next = note.clone();
        match self {
            Self::Mark(mark) => next.marks.push(*mark),
            Self::Move(owner) => {
                next.owner = (*owner).to_owned();
                next.deleted = false;
            }
            Self::Delete => next.deleted = true,
        }
        next
    }
}

pub fn tables() -> Vec<&'static TableSchema> {
    let mut tables = riwaq_aggregates::tables();
    tables.extend([
        note_versions(),
        crate::laws::shared_versions(),
        NoteByOwner::schema(),
        Effect::schema(),
    ]);
    tables
}

/// The effect of an event, keyed by the event, that counts how often it was made.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(name = "effects", write = "conditional", partition(event_id))]
pub struct Effect {
    pub event_id: String,
    pub note: String,
}

/// An engine, and what must outlive it.
pub struct Engine {
    pub name: &'static str,
    pub records: Arc<dyn Records>,
    _folder: Option<tempfile::TempDir>,
}

/// How many engines need no server.
pub const ENGINES: usize = 2;

/// Every engine that needs no server, fresh and with the tables.
pub async fn engines() -> Vec<Engine> {
    let mut engines = Vec::with_capacity(ENGINES);
    for at in 0..ENGINES {
        engines.push(engine(at).await);
    }
    engines
}

/// One of [`engines`].
pub async fn engine(at: usize) -> Engine {
    let engine = match at {
        0 => Engine {
            name: "memory",
            records: Arc::new(Memory::new()),
            _folder: None,
        },
        _ => {
            let folder = tempfile::tempdir().unwrap();
            let config = SqliteConfig::at(folder.path().join("records.db"));
            let clock = ManualClock::at(start_of_time());
            Engine {
                name: "sqlite",
                records: Arc::new(SqliteRecords::open(config, clock).unwrap()),
                _folder: Some(folder),
            }
        }
    };
    let plan = MigrationPlan::new(tables()).unwrap();
    engine.records.migrate(&plan).await.unwrap();
    engine
}

pub fn start_of_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// One life of a process over a store that outlives it.
pub struct World {
    pub engine: Engine,
    pub faulty: Arc<Faulty>,
    pub events: MemoryEvents,
    pub clock: Arc<ManualClock>,
    pub outbox: Outbox,
    pub notes: Journal<Note>,
}

impl World {
    pub async fn new(engine: Engine) -> Self {
        Self::with_faults(engine, FaultRates::default(), 0).await
    }

    pub async fn with_faults(engine: Engine, rates: FaultRates, seed: u64) -> Self {
        let clock = ManualClock::at(start_of_time());
        let events = MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap();
        let group = riwaq_events::Group::new(GROUP, [CHANGED]);
        events.declare_group(&group).await.unwrap();
        let faulty = Arc::new(Faulty::new(engine.records.clone(), rates, seed));
        let store = Store::new(faulty.clone());
        let (outbox, notes) = process(store, Arc::new(events.clone()), &clock);
        Self {
            engine,
            faulty,
            events,
            clock,
            outbox,
            notes,
        }
    }

    /// What is really stored, past every fault.
    pub fn truth(&self) -> Store {
        Store::new(self.engine.records.clone())
    }

    /// The process dies and starts anew, on a store that works.
    pub fn restart(&mut self) {
        self.faulty.revive();
        let store = Store::new(self.faulty.clone());
        (self.outbox, self.notes) = process(store, Arc::new(self.events.clone()), &self.clock);
    }

    /// A new process over the bare store, without faults.
    pub fn heal(&mut self) {
        (self.outbox, self.notes) =
            process(self.truth(), Arc::new(self.events.clone()), &self.clock);
    }

    /// Lets a relay of this process walk until nothing remains, as time passes.
    pub async fn settle(&self) -> Walked {
        let mut relay = self.outbox.relay();
        relay.drain().await;
        let mut total = Walked::default();
        for _ in 0..40 {
            let walked = relay.walk().await;
            total.completed += walked.completed;
            total.dropped += walked.dropped;
            total.remaining = walked.remaining;
            if walked.buckets == 2 && walked.remaining == 0 {
                return total;
            }
            self.clock.advance(Duration::from_secs(20));
        }
        panic!(
            "[{}] the relay does not come to an end: {total:?}",
            self.engine.name
        );
    }

    pub async fn pointers(&self) -> Vec<Intent> {
        let page = self.truth().scan_table::<Intent>(None, 1000).await.unwrap();
        page.rows.into_iter().map(|stored| stored.row).collect()
    }

    /// Every event published so far, by id, with how often it came.
    pub async fn published(&self) -> BTreeMap<String, (CloudEvent, usize)> {
        let mut consumer = self
            .events
            .subscribe(Subscription::group(GROUP, [CHANGED]))
            .await
            .unwrap();
        let mut events = BTreeMap::new();
        while self
            .events
            .depths()
            .await
            .unwrap()
            .iter()
            .any(|depth| depth.ready > 0)
        {
            let delivery = consumer.next().await.unwrap();
            let event = (*delivery.event).clone();
            delivery.ack().await.unwrap();
            events.entry(event.id.clone()).or_insert((event, 0)).1 += 1;
        }
        events
    }

    /// Everything that must be true once the relay has come to rest: every version of these notes was
    /// told of and no other, the views are those of the newest versions, and no pointer is left.
    pub async fn assert_converged(&self, ids: &[Uuid]) {
        let (engine, truth) = (self.engine.name, self.truth());
        let published = self.published().await;
        let (mut expected, mut rows) = (Vec::new(), Vec::new());
        let (_, notes) = process(truth.clone(), Arc::new(self.events.clone()), &self.clock);
        for id in ids {
            let history = notes.history(id, None, 1000).await.unwrap();
            for (at, version) in history.iter().rev().enumerate() {
                assert_eq!(
                    version.version,
                    i64::try_from(at).unwrap() + 1,
                    "[{engine}] a gap in the history"
                );
                expected.push(version.event_id());
            }
            rows.extend(
                history
                    .first()
                    .filter(|newest| !newest.state.deleted)
                    .map(wanted),
            );
        }
        expected.sort();
        let told: Vec<String> = published.keys().cloned().collect();
        assert_eq!(
            told, expected,
            "[{engine}] published events and versions differ"
        );
        let stored = truth.scan_table::<NoteByOwner>(None, 1000).await.unwrap();
        let mut stored: Vec<NoteByOwner> =
            stored.rows.into_iter().map(|stored| stored.row).collect();
        stored.sort_by_key(|row| row.id);
        rows.sort_by_key(|row| row.id);
        assert_eq!(
            stored, rows,
            "[{engine}] views differ from the newest versions"
        );
        assert_eq!(self.pointers().await, [], "[{engine}] pointers are left");
    }
}

pub fn process(
    store: Store,
    events: Arc<dyn Events>,
    clock: &Arc<ManualClock>,
) -> (Outbox, Journal<Note>) {
    let options = OutboxOptions::default();
    let outbox = Outbox::new(
        "notes",
        store,
        events,
        clock.clone(),
        options,
        Arc::new(|| None),
    )
    .unwrap();
    let notes = outbox.journal::<Note>().unwrap();
    (outbox, notes)
}

/// Creates a note or changes it, with an operation that may be repeated.
pub async fn change(
    notes: &Journal<Note>,
    id: Uuid,
    op_id: Uuid,
    change: &Change,
) -> Result<Version<Note>, Error> {
    let act = Act::system().with_op_id(op_id);
    notes
        .update(&id, None, act, |current| {
            Ok::<_, Error>(Some(Draft::new("changed", change.apply(&current.state))))
        })
        .await
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
