//! Leases: one among many does a piece of work, and a fence tells whose effects still count.
//!
//! A lease is a row without time to live. Its holder changes the `beat` now and then. It is taken over
//! only by one who has watched the same fence and beat for a whole lease on its own monotonic
//! clock, so that no wall clock matters. The holder counts its lease from before it sent the beat and
//! stops a tenth early: it knows that it may have lost the lease before anybody can have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_records::{Decision, Expect, ReadLevel, RecordsError, Store, Stored, Table};
use uuid::Uuid;

use crate::{Error, Result, new_op_id};

/// How often a sign of life is written when an earlier one stands in its way.
const WRITES: usize = 2;

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(name = "leases", write = "conditional", partition(name))]
pub struct LeaseRow {
    /// What is leased, for example `outbox/courses/3`.
    pub name: String,
    /// Who has it; empty when it was given back.
    pub owner: String,
    /// Grows with every new holder, and goes along with every effect.
    pub fence: i64,
    /// Grows with every sign of life.
    pub beat: i64,
    /// How far the work has come, in the work's own unit.
    pub progress: i64,
    /// When the row was written, by the writer's clock. For operators only: nothing is decided by it.
    pub beat_at: DateTime<Utc>,
}

/// Takes leases for one owner.
#[derive(Debug, Clone)]
pub struct Leases {
    store: Store,
    clock: SharedClock,
    owner: String,
    duration: Duration,
    watched: Arc<Mutex<HashMap<String, Watched>>>,
}

/// A sign of life of another, and since when nothing newer was seen, on our monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Watched {
    fence: i64,
    beat: i64,
    since: Duration,
}

/// A lease that we hold, until [`Lease::is_held`] says no.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    clock: SharedClock,
    duration: Duration,
    row: LeaseRow,
    op_id: Uuid,
    /// Our monotonic time from before the last beat was sent.
    beaten: Duration,
}

impl Leases {
    /// Leases for `owner`, a name that no other replica has, of the given duration.
    #[must_use]
    pub fn new(
        store: Store,
        clock: SharedClock,
        owner: impl Into<String>,
        duration: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            owner: owner.into(),
            duration,
            watched: Arc::default(),
        }
    }

    /// The name under which leases are held.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Makes sure that the row of the lease is there, without taking it.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn prepare(&self, name: &str, progress: i64) -> Result<()> {
        if self.read(name, ReadLevel::Quorum).await?.is_some() {
            return Ok(());
        }
        let row = self.first_row(name, "", progress);
        let _either_way_it_is_there = self.store.insert_if_absent(&row, new_op_id()).await?;
        Ok(())
    }

    /// Takes the lease if it is free, was never taken (then with `progress`), or its holder has shown
    /// no sign of life for as long as we have watched. To be called again and again: watching is
    /// what the calls do.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn try_acquire(&self, name: &str, progress: i64) -> Result<Option<Lease>> {
        let started = self.clock.monotonic();
        let op_id = new_op_id();
        let Some(current) = self.read(name, ReadLevel::Quorum).await? else {
            let row = self.first_row(name, &self.owner, progress);
            let decision = self.store.insert_if_absent(&row, op_id).await?;
            return Ok(self.decided(&decision, row, op_id, started));
        };
        if !self.may_take(&current.row) {
            return Ok(None);
        }
        let row = LeaseRow {
            owner: self.owner.clone(),
            fence: current.row.fence + 1,
            beat: current.row.beat + 1,
            beat_at: self.clock.now(),
            ..current.row
        };
        let decision = self
            .store
            .compare_and_set(&row, Expect::op_id(current.op_id), op_id)
            .await?;
        Ok(self.decided(&decision, row, op_id, started))
    }

    fn first_row(&self, name: &str, owner: &str, progress: i64) -> LeaseRow {
        LeaseRow {
            name: name.to_owned(),
            owner: owner.to_owned(),
            fence: 1,
            beat: 1,
            progress,
            beat_at: self.clock.now(),
        }
    }

    /// Free, or silent for a whole lease. Notes what was seen.
    fn may_take(&self, row: &LeaseRow) -> bool {
        let now = self.clock.monotonic();
        let seen = Watched {
            fence: row.fence,
            beat: row.beat,
            since: now,
        };
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if row.owner.is_empty() {
            watched.remove(&row.name);
            return true;
        }
        let known = watched.entry(row.name.clone()).or_insert(seen);
        if (known.fence, known.beat) != (seen.fence, seen.beat) {
            *known = seen;
        }
        now.saturating_sub(known.since) >= self.duration
    }

    fn decided(
        &self,
        decision: &Decision<LeaseRow>,
        row: LeaseRow,
        op_id: Uuid,
        started: Duration,
    ) -> Option<Lease> {
        decision.is_applied().then(|| {
            self.watched
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&row.name);
            Lease {
                store: self.store.clone(),
                clock: Arc::clone(&self.clock),
                duration: self.duration,
                row,
                op_id,
                beaten: started,
            }
        })
    }

    async fn read(
        &self,
        name: &str,
        level: ReadLevel,
    ) -> Result<Option<Stored<LeaseRow>>, RecordsError> {
        self.store
            .get_stored::<LeaseRow>((name.to_owned(),), level)
            .await
    }
}

impl Lease {
    /// Whether the lease is surely ours at this moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.clock.monotonic().saturating_sub(self.beaten) < self.duration / 10 * 9
    }

    /// Whether a third of the lease has passed since the last beat.
    #[must_use]
    pub fn is_beat_due(&self) -> bool {
        self.clock.monotonic().saturating_sub(self.beaten) >= self.duration / 3
    }

    /// What must go along with every effect: a newer holder has a larger one.
    #[must_use]
    pub const fn fence(&self) -> i64 {
        self.row.fence
    }

    /// How far the work had come when this was last written.
    #[must_use]
    pub const fn progress(&self) -> i64 {
        self.row.progress
    }

    /// Shows a sign of life and writes down how far the work has come.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it is another's; [`Error::Records`]: unknown, try again while
    /// [`Lease::is_held`].
    pub async fn beat(&mut self, progress: i64) -> Result<()> {
        let owner = self.row.owner.clone();
        self.write(owner, progress).await
    }

    /// Gives the lease back, so that another need not wait for it.
    ///
    /// # Errors
    /// As for [`Lease::beat`].
    pub async fn release(mut self, progress: i64) -> Result<()> {
        self.write(String::new(), progress).await
    }

    async fn write(&mut self, owner: String, progress: i64) -> Result<()> {
        for _ in 0..WRITES {
            let refused_by = match self.write_once(&owner, progress).await? {
                Decision::Applied => return Ok(()),
                Decision::Refused { current } => current,
            };
            let lost = || Error::LeaseLost {
                name: self.row.name.clone(),
            };
            // An earlier beat of which nothing was heard had been written: the lease is still ours.
            let own = refused_by.filter(|current| self.is_own(&current.row));
            let own = own.ok_or_else(lost)?;
            (self.row, self.op_id) = (own.row, own.op_id);
        }
        Err(Error::Records(RecordsError::unknown(
            "an earlier beat arrived late; beat again",
        )))
    }

    fn is_own(&self, row: &LeaseRow) -> bool {
        row.owner == self.row.owner && row.fence == self.row.fence
    }

    async fn write_once(
        &mut self,
        owner: &str,
        progress: i64,
    ) -> Result<Decision<LeaseRow>, RecordsError> {
        let started = self.clock.monotonic();
        let row = LeaseRow {
            owner: owner.to_owned(),
            beat: self.row.beat + 1,
            progress,
            beat_at: self.clock.now(),
            ..self.row.clone()
        };
        let op_id = new_op_id();
        let decision = match self
            .store
            .compare_and_set(&row, Expect::op_id(self.op_id), op_id)
            .await
        {
            // It may have been written: a second try with the same op_id tells.
            Err(RecordsError::Unknown { .. }) => {
                self.store
                    .compare_and_set(&row, Expect::op_id(self.op_id), op_id)
                    .await?
            }
            other => other?,
        };
        if decision.is_applied() {
            (self.row, self.op_id, self.beaten) = (row, op_id, started);
        }
        Ok(decision)
    }
}
