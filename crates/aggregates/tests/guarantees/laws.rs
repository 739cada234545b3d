//! Laws of versions, histories and views, over many random runs.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use riwaq_aggregates::records::{Memory, RecordsError, Store, StoredRow, TableSchema, Value};
use riwaq_aggregates::{Act, Aggregate, Draft, Error, Intent, Version, ViewRows, new_op_id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::lab::{Lab, room_of};
use crate::world::{Change, Note, NoteByOwner, World, change, note, note_versions, tables, wanted};

fn changes() -> impl Strategy<Value = Vec<(u8, Change, i64)>> {
    let one = prop_oneof![
        any::<u32>().prop_map(Change::Mark),
        prop::sample::select(vec!["sara", "omar", "leila"]).prop_map(Change::Move),
        Just(Change::Delete),
    ];
    prop::collection::vec((0..3_u8, one, 0..3_i64), 1..12)
}

fn order() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..40)
}

fn in_memory(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(case);
}

/// Some runs of a law on an engine where hundreds would take too long: the same ones every time.
fn samples<S: Strategy>(lab: &Lab, strategy: &S) -> Vec<S::Value> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let sample = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..lab.rounds(8)).map(sample).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn histories_hold_over_many_runs_in_memory(changes in changes()) {
        in_memory(the_history_is_kept(Lab::Memory, changes));
    }

    #[test]
    fn views_converge_over_many_runs_in_memory(changes in changes(), order in order()) {
        in_memory(the_views_converge(Lab::Memory, changes, order));
    }
}

pub async fn the_history_is_what_happened_and_times_grow_whatever_the_clock_does(lab: Lab) {
    for changes in samples(&lab, &changes()) {
        the_history_is_kept(lab.clone(), changes).await;
    }
}

pub async fn views_converge_in_whatever_order_and_however_often_the_relay_repeats_them(lab: Lab) {
    for (changes, order) in samples(&lab, &(changes(), order())) {
        the_views_converge(lab.clone(), changes, order).await;
    }
}

async fn the_history_is_kept(lab: Lab, changes: Vec<(u8, Change, i64)>) {
    let world = World::new(lab.engine().await).await;
    let mut model: Vec<Vec<Version<Note>>> = Vec::new();
    for number in 0..3 {
        let draft = Draft::new("created", note("sara"));
        let created = world
            .notes
            .create(&world.id(number), Act::system(), draft)
            .await;
        model.push(vec![created.unwrap()]);
    }
    for (number, step, millis) in changes {
        // Often not at all: versions of the same millisecond must still differ in time.
        world
            .clock
            .advance(Duration::from_millis(millis.cast_unsigned()));
        let id = world.id(number.into());
        let version = change(&world.notes, id, new_op_id(), &step).await.unwrap();
        let history = &mut model[usize::from(number)];
        let before = history.last().unwrap();
        assert_eq!(version.version, before.version + 1);
        assert!(version.at > before.at);
        assert_eq!(version.state, step.apply(&before.state));
        history.push(version);
    }
    for (number, history) in model.iter().enumerate() {
        let id = world.id(number as u128);
        assert_eq!(&whole_history(&world, id).await, history);
        for version in history {
            let found = world.notes.at_version(&id, version.version).await.unwrap();
            assert_eq!(found.as_ref(), Some(version));
        }
        assert_eq!(
            world.notes.load(&id).await.unwrap().as_ref(),
            history.last()
        );
    }
    world.settle().await;
    world
        .assert_converged(&[world.id(0), world.id(1), world.id(2)])
        .await;
}

/// From the first version on, read two at a time.
async fn whole_history(world: &World, id: Uuid) -> Vec<Version<Note>> {
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = world.notes.history(&id, before, 2).await.unwrap();
        paged.extend(page.iter().cloned());
        if page.len() < 2 {
            paged.reverse();
            return paged;
        }
        before = page.last().map(|last| last.version);
    }
}

async fn the_views_converge(
    lab: Lab,
    changes: Vec<(u8, Change, i64)>,
    order: Vec<prop::sample::Index>,
) {
    let world = World::new(lab.engine().await).await;
    let id = world.id(1);
    let draft = Draft::new("created", note("sara"));
    world.notes.create(&id, Act::system(), draft).await.unwrap();
    for (_, step, _) in changes {
        change(&world.notes, id, new_op_id(), &step).await.unwrap();
    }
    // Pointers of versions that were told of long ago come again, in any order.
    let pointers = world.pointers().await;
    world.settle().await;
    for at in order {
        let intent_id = Uuid::new_v4();
        let again = Intent {
            intent_id,
            ..at.get(&pointers).clone()
        };
        world.truth().put_at(&again, 1).await.unwrap();
        world.clock.advance(Duration::from_secs(10));
        world.outbox.relay().walk().await;
    }
    let newest = world.notes.load(&id).await.unwrap().unwrap();
    let rows = (!newest.state.deleted).then(|| wanted(&newest));
    assert_eq!(world.shown(&[]).await, rows.into_iter().collect::<Vec<_>>());
}

pub async fn lost_views_are_rebuilt_from_the_versions(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    for number in 1..=5 {
        world
            .notes
            .create(
                &world.id(number),
                Act::system(),
                Draft::new("created", note("sara")),
            )
            .await
            .unwrap();
        change(
            &world.notes,
            world.id(number),
            new_op_id(),
            &Change::Mark(1),
        )
        .await
        .unwrap();
    }
    change(&world.notes, world.id(5), new_op_id(), &Change::Delete)
        .await
        .unwrap();
    world.settle().await;
    // As after a restore: the versions are there, and the views are not.
    let restored = Arc::new(Memory::with_tables(tables()).unwrap());
    let store = Store::new(restored);
    for stored in stored_versions(&world).await {
        let insert = riwaq_aggregates::records::Conditional {
            schema: note_versions(),
            changes: vec![riwaq_aggregates::records::RowChange::InsertIfAbsent(
                stored.row,
            )],
            op_id: stored.op_id.unwrap(),
        };
        store.records().apply(insert).await.unwrap();
    }
    let (_, notes) = world.process(store.clone(), Arc::new(world.events.clone()));
    assert_eq!(notes.rebuild_views().await.unwrap(), 5);
    let rebuilt = store
        .scan::<NoteByOwner>((world.engine.room, "sara".to_owned()))
        .all()
        .await
        .unwrap();
    let original = world
        .truth()
        .scan::<NoteByOwner>((world.engine.room, "sara".to_owned()))
        .all()
        .await
        .unwrap();
    assert_eq!(rebuilt.len(), 4);
    assert_eq!(rebuilt, original);
}

/// The rows of every version of this world's notes.
async fn stored_versions(world: &World) -> Vec<StoredRow> {
    let truth = world.truth();
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = truth
            .records()
            .scan_table(note_versions(), after.as_ref(), 200)
            .await
            .unwrap();
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    rows.retain(|stored| matches!(stored.row.values()[0], Value::Uuid(id) if room_of(id) == world.engine.room));
    rows
}

pub async fn no_change_writes_no_version_and_an_own_error_comes_back(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let missing = change(&world.notes, world.id(1), new_op_id(), &Change::Delete).await;
    assert_eq!(missing.unwrap_err(), Error::NotFound { kind: "note" });
    world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap();
    let same = world
        .notes
        .update(&world.id(1), None, Act::system(), |_| Ok::<_, Error>(None))
        .await
        .unwrap();
    assert_eq!(same.version, 1);
    let refused = world
        .notes
        .update(&world.id(1), None, Act::system(), |_| {
            Err::<Option<_>, _>(Error::StillRunning)
        })
        .await;
    assert_eq!(refused.unwrap_err(), Error::StillRunning);
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

pub async fn what_cannot_be_stored_is_refused_before_anything_is_written(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let huge = "x".repeat(300 * 1024);
    let refused = world
        .notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note(&huge)),
        )
        .await;
    assert!(matches!(refused, Err(Error::Records(_))), "{refused:?}");
    assert_eq!(world.faulty.writes(), 0);
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
                room: room_of(version.id),
                owner: reader.clone(),
                id: version.id,
                version: version.version,
                marks: 0,
            })
        })
    }
}

pub async fn more_views_than_one_batch_takes_are_written_and_deleted(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let journal = world.outbox.journal::<Shared>().unwrap();
    let readers: Vec<String> = (0..250)
        .map(|at| format!("{at}{}", "x".repeat(1000)))
        .collect();
    let shared = Shared { readers };
    journal
        .create(&world.id(1), Act::system(), Draft::new("created", shared))
        .await
        .unwrap();
    assert_eq!(world.shown(&[]).await.len(), 250);
    journal
        .update(&world.id(1), None, Act::system(), |current| {
            let readers = current.state.readers[..10].to_vec();
            Ok::<_, Error>(Some(Draft::new("narrowed", Shared { readers })))
        })
        .await
        .unwrap();
    let left = world.shown(&[]).await;
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|row| row.version == 2));
}
