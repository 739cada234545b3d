//! Which half-years have courses, so that a list reads no partition in vain.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use riwaq_aggregates::records::{RecordsError, Store};
use riwaq_clock::SharedClock;

use crate::domain::semester_at;
use crate::records::SemesterRow;

/// The half-years with courses. Remembered: old ones never change, and the present one is always looked at.
#[derive(Debug, Clone)]
pub(crate) struct Semesters {
    store: Store,
    clock: SharedClock,
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    /// In which half-year it was read: with the next one, it is read anew.
    read_in: i64,
    /// Newest first.
    semesters: Arc<[i64]>,
}

impl Semesters {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self {
            store,
            clock,
            known: Arc::default(),
        }
    }

    /// Those with courses, and those in which any replica may be making one now, newest first.
    pub(crate) async fn newest_first(&self) -> Result<Arc<[i64]>, RecordsError> {
        let present = semester_at(self.clock.now());
        if let Some(known) = self.known().filter(|known| known.read_in == present) {
            return Ok(known.semesters);
        }
        let rows = self
            .store
            .scan::<SemesterRow>(SemesterRow::partition())
            .all()
            .await?;
        let mut semesters: Vec<i64> = rows.into_iter().map(|row| row.semester).collect();
        // A day on either side: other replicas' clocks, and our own while this is remembered.
        let day = TimeDelta::days(1);
        semesters
            .extend([-day, TimeDelta::zero(), day].map(|off| semester_at(self.clock.now() + off)));
        semesters.sort_unstable_by(|a, b| b.cmp(a));
        semesters.dedup();
        let semesters: Arc<[i64]> = semesters.into();
        self.remember(Known {
            read_in: present,
            semesters: Arc::clone(&semesters),
        });
        Ok(semesters)
    }

    /// To be called before a course is made in a half-year.
    pub(crate) async fn open(&self, semester: i64) -> Result<(), RecordsError> {
        // Written even where it is known: "known" includes the present one before its row is there.
        self.store
            .put_at(&SemesterRow::new(semester), SemesterRow::TIMESTAMP_MICROS)
            .await
    }

    fn known(&self) -> Option<Known> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}
