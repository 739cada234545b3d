//! From when on what was given to a person counts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Expect, ReadLevel, Store};
use uuid::Uuid;

use super::{ATTEMPTS, contended, operation_id};
use crate::records::SubjectRow;

/// Nobody waits longer for a date to come: it is further away only if a clock was wrong when it was chosen.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The dates of every person.
#[derive(Clone)]
pub(crate) struct Subjects {
    store: Store,
    clock: SharedClock,
    /// How far the clock of another replica, or of an issuer elsewhere, may be from ours: what it gave out a
    /// moment ago may bear a time that has not come here.
    skew: TimeDelta,
    /// Whether the tokens are made here. They then bear at least the date from which on they count. Those of an issuer
    /// elsewhere bear the second in which they were made, by its clock, and it knows nothing of our dates.
    makes_tokens: bool,
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
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        skew: TimeDelta,
        makes_tokens: bool,
    ) -> Self {
        Self {
            store,
            clock,
            skew,
            makes_tokens,
        }
    }

    /// The dates of a person; long ago where nothing was ever invalidated.
    pub(crate) async fn get(&self, subject: Uuid) -> ApiResult<SubjectRow> {
        let row = self.store.get::<SubjectRow>((subject,)).await?;
        Ok(row.unwrap_or_else(|| untouched(subject)))
    }

    /// Moves dates. What is given out here afterwards bears at least the date, so it counts; for tokens of an issuer
    /// elsewhere see [`Subjects::until_new_tokens_count`].
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
                tokens_not_before: if what.tokens {
                    self.tokens_later_than(before.tokens_not_before)
                } else {
                    before.tokens_not_before
                },
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

    /// Returns when tokens that an issuer elsewhere makes from now on bear at least the person's date: so long an
    /// answer that their account was changed is held back, for whoever signs in after it must be let in. Tokens that are
    /// made here do so at once.
    ///
    /// A time in whole seconds does not tell what was made before the change from what was made after it
    /// within the same second. So the date is the second after, all of this one is refused, and nobody is told
    /// that the change is made until it is over.
    pub(crate) async fn until_new_tokens_count(&self, subject: Uuid) {
        if self.makes_tokens {
            return;
        }
        let date = match self.get(subject).await {
            Ok(dates) => dates.tokens_not_before,
            // The change is made, so this is no failure of it: a date that was chosen by now is not later.
            Err(problem) => {
                tracing::warn!(%problem, "whether new tokens count already is not known");
                next_second(self.clock.now() + self.skew)
            }
        };
        // By a clock that is behind ours it comes later.
        if let Ok(left) = (date + self.skew - self.clock.now()).to_std() {
            self.clock.sleep(left.min(LONGEST_WAIT)).await;
        }
    }

    fn tokens_later_than(&self, earlier: DateTime<Utc>) -> DateTime<Utc> {
        if self.makes_tokens {
            return self.later_than(earlier);
        }
        // Whatever was made until now bears an earlier second, even by a clock that is ahead of ours. It is that for the
        // change before this one, too, if they are of the same second.
        next_second(self.clock.now() + self.skew).max(earlier)
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

fn next_second(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(time.timestamp() + 1, 0).unwrap_or(time)
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
