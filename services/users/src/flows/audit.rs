//! The audit journal: a line for every administrative act.
//!
//! The act's version is the source. Its line is written right after it, and again by whoever follows the
//! version's event, which the outbox delivers until it is handled: so no act is without its line. A
//! line has one key, made from the act, so writing it twice changes nothing.

use chrono::{DateTime, Utc};
use riwaq_aggregates::{Aggregate, AggregateId as _, Version, new_op_id};
use riwaq_clock::SharedClock;
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::{Decision, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::AuditNote;
use crate::records::{AUDIT, AuditDay, AuditReceived, AuditRow};

/// Days that one page of the journal looks into at most.
const DAYS_AT_ONCE: usize = 400;

/// The key of the last line of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditPosition {
    day: String,
    at: DateTime<Utc>,
    event_id: String,
}

/// A line that another service sends.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedLine {
    pub event_id: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub target_kind: String,
    pub target_id: String,
    pub detail: serde_json::Value,
}

/// The journal.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    store: Store,
    clock: SharedClock,
}

impl Audit {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Writes the line of a version, if it is an administrative act.
    pub(crate) async fn note<A: Aggregate>(
        &self,
        version: &Version<A>,
        note: Option<&AuditNote>,
    ) -> ApiResult<()> {
        let Some(note) = note else { return Ok(()) };
        self.write(AuditRow {
            day: day(version.at),
            at: version.at,
            event_id: version.event_id(),
            actor_id: version.actor,
            action: note.action.clone(),
            target_kind: A::KIND.to_owned(),
            target_id: version.id.to_text(),
            detail: note.detail.clone(),
        })
        .await
    }

    /// Writes a line of another service, once for each event id.
    pub(crate) async fn receive(&self, line: ReceivedLine) -> ApiResult<()> {
        let first = AuditReceived {
            event_id: line.event_id.clone(),
            at: self.clock.now(),
        };
        let at = match self.store.insert_if_absent(&first, new_op_id()).await? {
            Decision::Applied => first.at,
            Decision::Refused {
                current: Some(current),
            } => current.row.at,
            // Rows of this table are never deleted.
            Decision::Refused { current: None } => {
                return Err(Problem::internal("an audit line vanished"));
            }
        };
        // As it is stored, so that sending it again writes the same key.
        let at = chrono::SubsecRound::trunc_subsecs(at, 3);
        self.write(AuditRow {
            day: day(at),
            at,
            event_id: line.event_id,
            actor_id: line.actor_id,
            action: line.action,
            target_kind: line.target_kind,
            target_id: line.target_id,
            detail: line.detail,
        })
        .await
    }

    async fn write(&self, row: AuditRow) -> ApiResult<()> {
        let timestamp = row.at.timestamp_micros();
        let day = AuditDay {
            journal: AUDIT.to_owned(),
            day: row.day.clone(),
            noted: true,
        };
        // The day's own timestamp is always the same: it says nothing but that there is a partition.
        self.store
            .batch()
            .put_at(&row, timestamp)?
            .put_at(&day, 1)?
            .write()
            .await?;
        Ok(())
    }

    /// Up to `limit` lines, newest first, after `position`.
    pub(crate) async fn page(
        &self,
        position: Option<&AuditPosition>,
        limit: usize,
    ) -> ApiResult<Vec<AuditRow>> {
        let mut days = self
            .store
            .scan::<AuditDay>((AUDIT.to_owned(),))
            .limit(DAYS_AT_ONCE);
        if let Some(position) = position {
            days = days.at_most(position.day.clone());
        }
        let mut lines = Vec::with_capacity(limit);
        for day in days.page().await?.rows {
            let mut scan = self
                .store
                .scan::<AuditRow>((day.day.clone(),))
                .limit(limit - lines.len());
            if let Some(position) = position.filter(|position| position.day == day.day) {
                scan = scan.after((position.at, position.event_id.clone()));
            }
            lines.extend(scan.page().await?.rows);
            if lines.len() >= limit {
                break;
            }
        }
        Ok(lines)
    }
}

impl From<&AuditRow> for AuditPosition {
    fn from(row: &AuditRow) -> Self {
        Self {
            day: row.day.clone(),
            at: row.at,
            event_id: row.event_id.clone(),
        }
    }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}
