//! Writes that take too long, and writes of which nothing is heard.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use riwaq_aggregates::records::faults::{CrashPoint, Faulty};
use riwaq_aggregates::records::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records, RecordsError,
    Scan, Store, StoredRow, TableCursor, TablePage, TableSchema, Write,
};
use riwaq_aggregates::{Act, Draft, Error, Leases};
use riwaq_clock::ManualClock;
use riwaq_events::MemoryEvents;

use crate::lab::Lab;
use crate::world::{World, note};

/// A store on which time passes with every version that is written.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Records>,
    clock: Arc<ManualClock>,
    /// How long the pointer takes, and how long the version takes.
    pointer: Duration,
    version: Duration,
    /// Whether versions are written, and no answer about them ever comes back.
    mute: bool,
}

#[async_trait]
impl Records for Slow {
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        if self.mute && schema.name == "note_versions" {
            return Err(RecordsError::unavailable("mute"));
        }
        self.inner.get(schema, key, level).await
    }
    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        self.inner.scan(scan).await
    }
    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        if writes.iter().any(|write| write.schema().name == "outbox") {
            self.clock.advance(self.pointer);
        }
        self.inner.write(writes).await
    }
    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        if conditional.schema.name == "note_versions" {
            self.clock.advance(self.version);
            if self.mute {
                let _unheard = self.inner.apply(conditional).await;
                return Err(RecordsError::unknown("mute"));
            }
        }
        self.inner.apply(conditional).await
    }
    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        self.inner.scan_table(schema, after, limit).await
    }
    async fn schema_number(&self) -> Result<u32, RecordsError> {
        self.inner.schema_number().await
    }
    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.inner.migrate(plan).await
    }
    async fn ping(&self) -> Result<(), RecordsError> {
        self.inner.ping().await
    }
}

fn slow(world: &World, pointer: u64, version: u64) -> Store {
    Store::new(Arc::new(troubled(world, pointer, version, false)))
}

fn troubled(world: &World, pointer: u64, version: u64, mute: bool) -> Slow {
    Slow {
        inner: world.engine.records.clone(),
        clock: world.clock.clone(),
        pointer: Duration::from_secs(pointer),
        version: Duration::from_secs(version),
        mute,
    }
}

pub async fn a_write_of_which_nothing_is_heard_keeps_its_pointer(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let store = Store::new(Arc::new(troubled(&world, 0, 0, true)));
    let (_outbox, notes) = world.process(store, Arc::new(world.events.clone()));
    let unheard = notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await;
    assert!(
        matches!(unheard, Err(Error::Records(RecordsError::Unknown { .. }))),
        "{unheard:?}"
    );
    assert_eq!(
        world
            .notes
            .load(&world.id(1))
            .await
            .unwrap()
            .unwrap()
            .version,
        1,
        "it was written all the same"
    );
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

pub async fn a_write_whose_pointer_took_too_long_gives_up_and_changes_nothing(lab: Lab) {
    let engine = lab.engine().await;
    let world = World::new(engine).await;
    let events: Arc<MemoryEvents> = Arc::new(world.events.clone());
    let (_outbox, notes) = world.process(slow(&world, 31, 0), events);
    let late = notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await;
    assert_eq!(late.unwrap_err(), Error::TooSlow { kind: "note" });
    assert_eq!(world.notes.load(&world.id(1)).await.unwrap(), None);
    world.settle().await;
    world.assert_converged(&[]).await;
}

pub async fn a_version_that_took_longer_than_any_pointer_lives_is_told_of_all_the_same(lab: Lab) {
    let engine = lab.engine().await;
    let mut world = World::new(engine).await;
    let events: Arc<MemoryEvents> = Arc::new(world.events.clone());
    let (outbox, notes) = world.process(slow(&world, 0, 0), events.clone());
    notes
        .create(
            &world.id(1),
            Act::system(),
            Draft::new("created", note("sara")),
        )
        .await
        .unwrap();
    outbox.relay().drain().await;
    // The version is on its way for an hour: a relay has dropped its pointer long since.
    let (_outbox, notes) = world.process(slow(&world, 0, 3600), events);
    crate::world::change(
        &notes,
        world.id(1),
        world.id(77),
        &crate::world::Change::Mark(1),
    )
    .await
    .unwrap();
    assert_eq!(world.pointers().await.len(), 2, "it gets a second pointer");
    world.heal();
    world.settle().await;
    world.assert_converged(&[world.id(1)]).await;
}

pub async fn a_lease_of_whose_beat_nothing_was_heard_is_beaten_and_given_back(lab: Lab) {
    for gives_back in [false, true] {
        let engine = lab.engine().await;
        let (clock, work) = (engine.clock(), engine.own("work"));
        let lease = Duration::from_secs(30);
        let faulty = Arc::new(Faulty::reliable(engine.records.clone()));
        let ours = Leases::new(Store::new(faulty.clone()), clock.clone(), "ours", lease);
        let theirs = Store::new(engine.records.clone());
        let theirs = Leases::new(theirs, clock.clone(), "theirs", lease);
        let mut held = ours.try_acquire(&work, 1).await.unwrap().unwrap();
        faulty.crash_at(2, CrashPoint::After);
        held.beat(2).await.unwrap_err();
        faulty.revive();
        if gives_back {
            held.release(3).await.unwrap();
            let taken = theirs.try_acquire(&work, 0).await.unwrap().unwrap();
            assert_eq!((taken.fence(), taken.progress()), (2, 3));
        } else {
            clock.advance(lease / 2);
            held.beat(3).await.unwrap();
            clock.advance(lease / 2);
            assert!(held.is_held(), "it counts from the beat that was confirmed");
            assert_eq!((held.fence(), held.progress()), (1, 3));
        }
    }
}
