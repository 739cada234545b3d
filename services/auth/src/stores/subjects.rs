//! From when on what was given to a person counts.

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Expect, ReadLevel, Store};
use uuid::Uuid;

use super::{ATTEMPTS, contended, operation_id};
use crate::records::SubjectRow;

/// The dates of every person.
#[derive(Clone)]
pub(crate) struct Subjects {
    store: Store,
    clock: SharedClock,
    /// How far the clock of another replica may be ahead of ours: what it gave out a moment ago may
    /// bear a time that has not come here.
    skew: TimeDelta,
}

/// What is to be refused from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Invalidate {
    /// Access tokens that are out.
    pub(crate) tokens: bool,
    /// Sessions, and with them refresh tokens.
    pub(crate) sessions: bool,
    /// Mailed tokens.
    pub(crate) links: bool,
}

impl Subjects {
    pub(crate) fn new(store: Store, clock: SharedClock, skew: TimeDelta) -> Self {
        Self { store, clock, skew }
    }

    /// The dates of a person; long ago where nothing was ever invalidated.
    pub(crate) async fn get(&self, subject: Uuid) -> ApiResult<SubjectRow> {
        let row = self.store.get::<SubjectRow>((subject,)).await?;
        Ok(row.unwrap_or_else(|| untouched(subject)))
    }

    /// Moves dates. What is given out afterwards bears at least the date, so it counts.
    pub(crate) async fn invalidate(
        &self,
        subject: Uuid,
        what: Invalidate,
    ) -> ApiResult<SubjectRow> {
        for _ in 0..ATTEMPTS {
            let stored = self
                .store
                .get_stored::<SubjectRow>((subject,), ReadLevel::Quorum)
                .await?;
            let before = stored
                .as_ref()
                .map_or_else(|| untouched(subject), |stored| stored.row.clone());
            let date = |chosen: bool, earlier: DateTime<Utc>| {
                if chosen {
                    self.later_than(earlier)
                } else {
                    earlier
                }
            };
            let row = SubjectRow {
                subject,
                tokens_not_before: date(what.tokens, before.tokens_not_before),
                sessions_not_before: date(what.sessions, before.sessions_not_before),
                links_not_before: date(what.links, before.links_not_before),
            };
            let decision = match stored {
                None => self.store.insert_if_absent(&row, operation_id()).await?,
                Some(stored) => {
                    self.store
                        .compare_and_set(&row, Expect::op_id(stored.op_id), operation_id())
                        .await?
                }
            };
            if decision.is_applied() {
                return Ok(row);
            }
        }
        Err(contended("account"))
    }

    fn later_than(&self, earlier: DateTime<Utc>) -> DateTime<Utc> {
        let tick = TimeDelta::milliseconds(1);
        let now = whole_milliseconds(self.clock.now());
        (now + self.skew + tick).max(earlier + tick)
    }
}

/// Records keep milliseconds.
pub(crate) fn whole_milliseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

fn untouched(subject: Uuid) -> SubjectRow {
    let long_ago = DateTime::UNIX_EPOCH;
    SubjectRow {
        subject,
        tokens_not_before: long_ago,
        sessions_not_before: long_ago,
        links_not_before: long_ago,
    }
}
