//! A world to test in: notes, their views, a store that fails on demand, and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use riwaq_aggregates::records::faults::{FaultRates, Faulty};
use riwaq_aggregates::records::{RecordsError, Store, Table, TableSchema, Value};
use riwaq_aggregates::{
    Act, Aggregate, Draft, Error, Intent, Journal, Outbox, OutboxOptions, Version, ViewRows, Walked,
};
use riwaq_clock::ManualClock;
use riwaq_events::{CloudEvent, Events, MemoryEvents, RetryPolicy, Subscription};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lab::{Engine, room_of};

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
#[table(name = "notes_by_owner", write = "timestamped", partition(room, owner), clustering(id desc))]
pub struct NoteByOwner {
    /// The case's room, so that owners of one name are not another case's.
    pub room: Uuid,
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
        room: room_of(version.id),
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
        let clock = engine.clock();
        let events = MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap();
        let group = riwaq_events::Group::new(GROUP, [CHANGED]);
        events.declare_group(&group).await.unwrap();
        let faulty = Arc::new(Faulty::new(engine.records.clone(), rates, seed));
        let store = Store::new(faulty.clone());
        let (outbox, notes) = process(&engine, store, Arc::new(events.clone()), &clock);
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
        (self.outbox, self.notes) = self.process(store, Arc::new(self.events.clone()));
    }

    /// A new process over the bare store, without faults.
    pub fn heal(&mut self) {
        (self.outbox, self.notes) = self.process(self.truth(), Arc::new(self.events.clone()));
    }

    /// Another process of the same service, over a store and events of its own.
    pub fn process(&self, store: Store, events: Arc<dyn Events>) -> (Outbox, Journal<Note>) {
        process(&self.engine, store, events, &self.clock)
    }

    /// An id in this world.
    pub fn id(&self, number: u128) -> Uuid {
        self.engine.id(number)
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
        let mut pointers = whole_table::<Intent>(&self.truth()).await;
        pointers.retain(|pointer| pointer.service == self.engine.service());
        pointers
    }

    /// The notes that are shown, of every owner in this room and in those of `ids`.
    pub async fn shown(&self, ids: &[Uuid]) -> Vec<NoteByOwner> {
        let mut rows = whole_table::<NoteByOwner>(&self.truth()).await;
        let is_shown = |room| room == self.engine.room || ids.iter().any(|id| room == room_of(*id));
        rows.retain(|row| is_shown(row.room));
        rows.sort_by_key(|row| row.id);
        rows
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
        let (_, notes) = self.process(truth.clone(), Arc::new(self.events.clone()));
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
        let stored = self.shown(ids).await;
        rows.sort_by_key(|row| row.id);
        assert_eq!(
            stored, rows,
            "[{engine}] views differ from the newest versions"
        );
        assert_eq!(self.pointers().await, [], "[{engine}] pointers are left");
    }
}

fn process(
    engine: &Engine,
    store: Store,
    events: Arc<dyn Events>,
    clock: &Arc<ManualClock>,
) -> (Outbox, Journal<Note>) {
    let options = OutboxOptions::default();
    let outbox = Outbox::new(
        &engine.service(),
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

/// Every row of a table, page by page.
pub async fn whole_table<T: Table>(store: &Store) -> Vec<T> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan_table::<T>(after.as_ref(), 200).await.unwrap();
        rows.extend(page.rows.into_iter().map(|stored| stored.row));
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}
