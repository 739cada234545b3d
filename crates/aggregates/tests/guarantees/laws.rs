//! Laws of versions, histories and views, over many random runs.

use std::sync::Arc;

use proptest::prelude::*;
use riwaq_aggregates::records::{Memory, RecordsError, Store, TableSchema};
use riwaq_aggregates::{Act, Aggregate, Draft, Error, OutboxOptions, Version, ViewRows, new_op_id};
use riwaq_clock::ManualClock;
use riwaq_events::{MemoryEvents, RetryPolicy};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::world::{
    Change, Engine, NoteByOwner, World, change, engine, engines, id, note, note_versions,
    start_of_time, tables,
};

fn changes() -> impl Strategy<Value = Vec<(u8, Change, i64)>> {
    let one = prop_oneof![
        any::<u32>().prop_map(Change::Mark),
        prop::sample::select(vec!["sara", "omar", "leila"]).prop_map(Change::Move),
        Just(Change::Delete),
    ];
    prop::collection::vec((0..3_u8, one, 0..3_i64), 1..12)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

async fn memory() -> Engine {
    engine(0).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_history_is_what_happened_and_times_grow_whatever_the_clock_does(changes in changes()) {
        runtime().block_on(async {
            let world = World::new(memory().await).await;
            let mut model: Vec<Vec<Version<crate::world::Note>>> = Vec::new();
            for number in 0..3 {
                let created = world.notes.create(&id(number), Act::system(), Draft::new("created", note("sara"))).await;
                model.push(vec![created.unwrap()]);
            }
            for (number, step, millis) in changes {
                // Often not at all: versions of the same millisecond must still differ in time.
                world.clock.advance(std::time::Duration::from_millis(millis.cast_unsigned()));
                let version = change(&world.notes, id(number.into()), new_op_id(), &step).await.unwrap();
                let history = &mut model[usize::from(number)];
                let before = history.last().unwrap();
                assert_eq!(version.version, before.version + 1);
                assert!(version.at > before.at);
                assert_eq!(version.state, step.apply(&before.state));
                history.push(version);
            }
            for (number, history) in model.iter().enumerate() {
                let id = id(number as u128);
                let mut paged = Vec::new();
                let mut before = None;
                loop {
                    let page = world.notes.history(&id, before, 2).await.unwrap();
                    paged.extend(page.iter().cloned());
                    if page.len() < 2 {
                        break;
                    }
                    before = page.last().map(|last| last.version);
                }
                paged.reverse();
                assert_eq!(&paged, history);
                for version in history {
                    let found = world.notes.at_version(&id, version.version).await.unwrap();
                    assert_eq!(found.as_ref(), Some(version));
                }
                assert_eq!(world.notes.load(&id).await.unwrap().as_ref(), history.last());
            }
            world.settle().await;
            world.assert_converged(&[id(0), id(1), id(2)]).await;
        });
    }

    #[test]
    fn views_converge_in_whatever_order_and_however_often_the_relay_repeats_them(
        changes in changes(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        runtime().block_on(async {
            let world = World::new(memory().await).await;
            world.notes.create(&id(1), Act::system(), Draft::new("created", note("sara"))).await.unwrap();
            for (_, step, _) in changes {
                change(&world.notes, id(1), new_op_id(), &step).await.unwrap();
            }
            // Pointers of versions that were told of long ago come again, in any order.
            let pointers = world.pointers().await;
            let store = world.truth();
            world.settle().await;
            for at in order {
                let pointer = at.get(&pointers);
                let again = riwaq_aggregates::Intent { intent_id: Uuid::new_v4(), ..pointer.clone() };
                store.put_at(&again, 1).await.unwrap();
                world.clock.advance(std::time::Duration::from_secs(10));
                let mut relay = world.outbox.relay();
                relay.walk().await;
            }
            let rows = store.scan_table::<NoteByOwner>(None, 100).await.unwrap().rows;
            let newest = world.notes.load(&id(1)).await.unwrap().unwrap();
            let wanted: Vec<_> = (!newest.state.deleted).then(|| crate::world::wanted(&newest)).into_iter().collect();
            let rows: Vec<_> = rows.into_iter().map(|stored| stored.row).collect();
            assert_eq!(rows, wanted);
        });
    }
}

#[tokio::test]
async fn lost_views_are_rebuilt_from_the_versions() {
    for engine in engines().await {
        let world = World::new(engine).await;
        for number in 1..=5 {
            world
                .notes
                .create(
                    &id(number),
                    Act::system(),
                    Draft::new("created", note("sara")),
                )
                .await
                .unwrap();
            change(&world.notes, id(number), new_op_id(), &Change::Mark(1))
                .await
                .unwrap();
        }
        change(&world.notes, id(5), new_op_id(), &Change::Delete)
            .await
            .unwrap();
        world.settle().await;
        // As after a restore: the versions are there, and the views are not.
        let restored = Arc::new(Memory::with_tables(tables()).unwrap());
        let store = Store::new(restored);
        for stored in world
            .truth()
            .records()
            .scan_table(note_versions(), None, 1000)
            .await
            .unwrap()
            .rows
        {
            let insert = riwaq_aggregates::records::Conditional {
                schema: note_versions(),
                changes: vec![riwaq_aggregates::records::RowChange::InsertIfAbsent(
                    stored.row,
                )],
                op_id: stored.op_id.unwrap(),
            };
            store.records().apply(insert).await.unwrap();
        }
        let (_, notes) =
            crate::world::process(store.clone(), Arc::new(world.events.clone()), &world.clock);
        assert_eq!(notes.rebuild_views().await.unwrap(), 5);
        let rebuilt = store
            .scan::<NoteByOwner>(("sara".to_owned(),))
            .all()
            .await
            .unwrap();
        let original = world
            .truth()
            .scan::<NoteByOwner>(("sara".to_owned(),))
            .all()
            .await
            .unwrap();
        assert_eq!(rebuilt.len(), 4);
        assert_eq!(rebuilt, original);
    }
}

#[tokio::test]
async fn no_change_writes_no_version_and_an_own_error_comes_back() {
    for engine in engines().await {
        let world = World::new(engine).await;
        let missing = change(&world.notes, id(1), new_op_id(), &Change::Delete).await;
        assert_eq!(missing.unwrap_err(), Error::NotFound { kind: "note" });
        world
            .notes
            .create(&id(1), Act::system(), Draft::new("created", note("sara")))
            .await
            .unwrap();
        let same = world
            .notes
            .update(&id(1), None, Act::system(), |_| Ok::<_, Error>(None))
            .await
            .unwrap();
        assert_eq!(same.version, 1);
        let refused = world
            .notes
            .update(&id(1), None, Act::system(), |_| {
                Err::<Option<_>, _>(Error::StillRunning)
            })
            .await;
        assert_eq!(refused.unwrap_err(), Error::StillRunning);
        world.settle().await;
        world.assert_converged(&[id(1)]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_anything_is_written() {
    for engine in engines().await {
        let world = World::new(engine).await;
        let huge = "x".repeat(300 * 1024);
        let refused = world
            .notes
            .create(&id(1), Act::system(), Draft::new("created", note(&huge)))
            .await;
        assert!(matches!(refused, Err(Error::Records(_))), "{refused:?}");
        assert_eq!(world.faulty.writes(), 0);
    }
}

/// A note that many see, with a row of a kilobyte for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shared {
    readers: Vec<String>,
}

riwaq_aggregates::version_table! {
    /// Versions of shared notes.
    pub fn shared_versions() = "shared_versions", since 1;
    key { id: Uuid }
    columns {}
}

impl Aggregate for Shared {
    type Id = Uuid;
    const KIND: &'static str = "shared";
    const EVENT: Option<&'static str> = None;
    fn table() -> &'static TableSchema {
        shared_versions()
    }
    fn views(version: &Version<Self>, rows: &mut ViewRows) -> Result<(), RecordsError> {
        version.state.readers.iter().try_for_each(|reader| {
            rows.put(&NoteByOwner {
                owner: reader.clone(),
                id: version.id,
                version: version.version,
                marks: 0,
            })
        })
    }
}

#[tokio::test]
async fn more_views_than_one_batch_takes_are_written_and_deleted() {
    for engine in engines().await {
        let world = World::new(engine).await;
        let journal = world.outbox.journal::<Shared>().unwrap();
        let readers: Vec<String> = (0..250)
            .map(|at| format!("{at}{}", "x".repeat(1000)))
            .collect();
        let shared = Shared { readers };
        journal
            .create(&id(1), Act::system(), Draft::new("created", shared))
            .await
            .unwrap();
        let rows = async || {
            world
                .truth()
                .scan_table::<NoteByOwner>(None, 1000)
                .await
                .unwrap()
                .rows
        };
        assert_eq!(rows().await.len(), 250);
        journal
            .update(&id(1), None, Act::system(), |current| {
                let readers = current.state.readers[..10].to_vec();
                Ok::<_, Error>(Some(Draft::new("narrowed", Shared { readers })))
            })
            .await
            .unwrap();
        let left = rows().await;
        assert_eq!(left.len(), 10);
        assert!(left.iter().all(|stored| stored.row.version == 2));
    }
}

/// The same notes as an earlier release wrote them: without `deleted`, and the owner under another name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OldNote {
    author: String,
}

impl Aggregate for OldNote {
    type Id = Uuid;
    const KIND: &'static str = "note";
    const EVENT: Option<&'static str> = None;
    fn table() -> &'static TableSchema {
        note_versions()
    }
    fn columns(&self) -> Vec<riwaq_aggregates::records::Value> {
        vec![self.author.as_str().into(), 0.into()]
    }
}

/// The notes of a later release, that reads all three forms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NewNote {
    owner: String,
    marks: Vec<u32>,
    archived: bool,
}

impl Aggregate for NewNote {
    const SCHEMA: u32 = 3;
    type Id = Uuid;
    const KIND: &'static str = "note";
    const EVENT: Option<&'static str> = None;
    fn table() -> &'static TableSchema {
        note_versions()
    }
    fn columns(&self) -> Vec<riwaq_aggregates::records::Value> {
        vec![self.owner.as_str().into(), 0.into()]
    }
    fn upcast(schema: u32, mut state: serde_json::Value) -> Result<serde_json::Value, String> {
        let fields = state.as_object_mut().ok_or("not an object")?;
        match schema {
            1 => {
                let author = fields.remove("author").ok_or("no author")?;
                fields.insert("owner".into(), author);
                fields.insert("marks".into(), serde_json::json!([]));
            }
            2 => {
                fields.insert("archived".into(), false.into());
            }
            other => return Err(format!("form {other}")),
        }
        Ok(state)
    }
}

#[tokio::test]
async fn old_forms_are_read_step_by_step_and_newer_ones_are_refused() {
    for engine in engines().await {
        let store = Store::new(engine.records.clone());
        let clock = ManualClock::at(start_of_time());
        let events = Arc::new(MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap());
        let outbox = || {
            let options = OutboxOptions::default();
            riwaq_aggregates::Outbox::new(
                "notes",
                store.clone(),
                events.clone(),
                clock.clone(),
                options,
                Arc::new(|| None),
            )
            .unwrap()
        };
        let old = outbox().journal::<OldNote>().unwrap();
        let new = outbox().journal::<NewNote>().unwrap();
        old.create(
            &id(1),
            Act::system(),
            Draft::new(
                "created",
                OldNote {
                    author: "sara".into(),
                },
            ),
        )
        .await
        .unwrap();
        let read = new.load(&id(1)).await.unwrap().unwrap().state;
        assert_eq!(
            read,
            NewNote {
                owner: "sara".into(),
                marks: vec![],
                archived: false
            }
        );
        new.create(&id(2), Act::system(), Draft::new("created", read))
            .await
            .unwrap();
        let refused = old.load(&id(2)).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Corrupt { reason, .. } if reason.contains("newer")),
            "{refused}"
        );
        let twice = outbox();
        twice.journal::<OldNote>().unwrap();
        assert!(matches!(
            twice.journal::<NewNote>(),
            Err(Error::InvalidInput { field: "kind", .. })
        ));
    }
}
