//! Account changes that have begun.
//!
//! The directory is not ours to write together with anything else: it may be another program. So
//! before a change we write down that it begins, and after it, and after what follows from it
//! (revocation, event), we strike it out. What a crash left standing is completed later.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::Store;
use uuid::Uuid;

use crate::records::IntentRow;

/// Younger ones may still be on their way: longer than any request may take.
const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(30);
/// Older ones are looked for at every sweep but the first.
const SWEPT: TimeDelta = TimeDelta::minutes(10);
/// Older ones are forgotten: every token of then is over.
const KEPT: TimeDelta = TimeDelta::days(1);

/// Every change that has begun.
#[derive(Clone)]
pub(crate) struct Intents {
    store: Store,
    clock: SharedClock,
}

impl Intents {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Writes down that a change of a person's account begins.
    pub(crate) async fn begin(
        &self,
        subject: Uuid,
        revokes: bool,
        ends_sessions: bool,
    ) -> ApiResult<IntentRow> {
        let now = self.clock.now();
        let row = IntentRow {
            minute: minute(now),
            intent_id: riwaq_kit::new_id(&*self.clock),
            subject,
            ends_sessions,
            revokes,
            written_at: now,
            expires_at: now + KEPT,
        };
        self.store.put_at(&row, timestamp(&row)).await?;
        Ok(row)
    }

    /// Strikes a change out: all that follows from it is done, or it did not happen.
    pub(crate) async fn done(&self, row: &IntentRow) -> ApiResult<()> {
        // A delete wins the tie with its own put.
        self.store
            .delete_at::<IntentRow>((row.minute, row.intent_id), timestamp(row))
            .await?;
        Ok(())
    }

    /// What was begun and never struck out. The first sweep of a process looks a day back.
    pub(crate) async fn unfinished(&self, first: bool) -> ApiResult<Vec<IntentRow>> {
        let settled = self.clock.now() - SETTLED_AFTER;
        let since = self.clock.now() - if first { KEPT } else { SWEPT };
        let mut rows = Vec::new();
        let minutes: RangeInclusive<i64> = minute(since)..=minute(settled);
        for minute in minutes {
            rows.extend(self.store.scan::<IntentRow>((minute,)).all().await?);
        }
        rows.retain(|row| row.written_at <= settled);
        Ok(rows)
    }
}

/// Whole milliseconds, so that it can be told from what was read back.
fn timestamp(row: &IntentRow) -> i64 {
    row.written_at.timestamp_millis() * 1000
}

fn minute(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}
