//! The write protocol: pointer, version row, tables-per-query, and then the caller returns.
//!
//! Wherever this stops, the relay can tell what happened: a pointer whose version row carries the
//! same `op_id` is completed, one whose version is another's has lost, and one without a row is dropped
//! once no write can still be under way.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use riwaq_events::CloudEvent;
use riwaq_records::{
    Conditional, Outcome, ReadLevel, RecordsError, Row, RowChange, StoredRow, Write,
};

use crate::outbox::{Hint, Intent};
use crate::{
    Act, Aggregate, AggregateId as _, Draft, Error, Journal, Result, Version, read, version_table,
    views,
};

/// How often an unknown outcome is asked about before the caller has to.
const SETTLE_ATTEMPTS: usize = 3;
/// And for how long: whoever waits for the answer can ask again as well.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);
/// How often the tables-per-query are tried before they are left to the relay.
const VIEW_ATTEMPTS: usize = 3;

/// What became of an attempt to write the next version.
#[derive(Debug)]
pub(crate) enum Appended<A: Aggregate> {
    /// It is written (and durable).
    Written(Version<A>),
    /// Another operation has written that version.
    Lost,
}

/// What became of the version row.
enum Settled {
    /// Written as it was given.
    Now,
    /// This operation had written it before, perhaps with another time and state: this is what counts.
    Before(StoredRow),
    /// Another operation has written that version.
    Anothers,
}

impl<A: Aggregate> Journal<A> {
    pub(crate) async fn append(
        &self,
        id: &A::Id,
        previous: Option<&Version<A>>,
        act: Act,
        draft: Draft<A>,
    ) -> Result<Appended<A>> {
        let version = Version {
            id: id.clone(),
            version: previous.map_or(1, |previous| previous.version + 1),
            at: next_time(
                self.outbox.clock().now(),
                previous.map(|previous| previous.at),
            ),
            actor: act.actor,
            change: draft.change.to_owned(),
            op_id: act.op_id,
            state: draft.state,
        };
        // Whatever can be refused is refused here, before anything is written.
        let row = version_table::row(&version)?;
        let views = views::writes(previous, &version)?;
        if views.is_empty() && A::EVENT.is_none() {
            return self.append_silently(version, row).await;
        }
        let started = self.outbox.clock().monotonic();
        let intent = self
            .outbox
            .intend(A::KIND, &id.to_text(), version.version, act.op_id)
            .await?;
        let (version, views) = match self.settle(&version, row, started).await {
            Ok(Settled::Now) => (version, Ok(views)),
            Ok(Settled::Before(stored)) => {
                let version = version_table::read::<A>(stored)?;
                let views = self.views_again(previous, &version).await;
                (version, views)
            }
            Ok(Settled::Anothers) => {
                self.outbox.withdraw(&intent).await;
                return Ok(Appended::Lost);
            }
            Err(error) => {
                // Only what surely did not happen: an unknown row may still appear.
                if !matches!(error, Error::Records(RecordsError::Unknown { .. })) {
                    self.outbox.withdraw(&intent).await;
                }
                return Err(error);
            }
        };
        let intent = self.renewed(intent, started).await;
        self.finish(&version, intent, views).await;
        Ok(Appended::Written(version))
    }

    /// The writes for a version that may be an old one by now.
    async fn views_again(
        &self,
        previous: Option<&Version<A>>,
        version: &Version<A>,
    ) -> Result<Vec<Write>> {
        let newest = read::latest::<A>(self.outbox.store(), &version.id).await?;
        views::replay(previous, version, newest.as_ref().unwrap_or(version))
    }

    /// Writes the tables-per-query once more for an operation that is repeated: its first attempt may
    /// have died before it did, and the caller is about to read them.
    pub(crate) async fn write_views_again(&self, newest: &Version<A>) {
        let written = async {
            let store = self.outbox.store();
            let previous = match newest.version {
                1 => None,
                later => read::at::<A>(store, &newest.id, later - 1, ReadLevel::Quorum).await?,
            };
            let views = views::writes(previous.as_ref(), newest)?;
            views::write(store, views).await.map_err(Error::from)
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, kind = A::KIND, "tables-per-query are left to the relay");
        }
    }

    /// Nobody has to be told and no table follows: the row is all there is.
    async fn append_silently(&self, version: Version<A>, row: Row) -> Result<Appended<A>> {
        let started = self.outbox.clock().monotonic();
        match self.settle(&version, row, started).await? {
            Settled::Now => Ok(Appended::Written(version)),
            Settled::Before(stored) => Ok(Appended::Written(version_table::read(stored)?)),
            Settled::Anothers => Ok(Appended::Lost),
        }
    }

    /// Writes the version row, and finds out what became of it.
    async fn settle(&self, version: &Version<A>, row: Row, started: Duration) -> Result<Settled> {
        let records = self.outbox.store().records();
        let key = version_table::key::<A>(&version.id, version.version);
        let mut unknown = None;
        let clock = self.outbox.clock();
        let began = clock.monotonic();
        for _ in 0..SETTLE_ATTEMPTS {
            let asked_enough =
                unknown.is_some() && clock.monotonic().saturating_sub(began) > SETTLE_WITHIN;
            if asked_enough || self.is_late(started) {
                break;
            }
            let change = Conditional {
                schema: A::table(),
                changes: vec![RowChange::InsertIfAbsent(row.clone())],
                op_id: version.op_id,
            };
            let present = match records.apply(change).await {
                Ok(Outcome::Applied) => return Ok(Settled::Now),
                Ok(Outcome::Refused { current }) => current.into_iter().flatten().next(),
                Err(RecordsError::Unknown { reason }) => {
                    unknown = Some(reason);
                    match records.get(A::table(), &key, ReadLevel::Serial).await {
                        Ok(present) => present,
                        Err(_) => continue,
                    }
                }
                // An earlier attempt may have been made all the same.
                Err(error) if unknown.is_none() => return Err(error.into()),
                Err(_) => continue,
            };
            match present {
                Some(present) if present.op_id == Some(version.op_id) => {
                    return Ok(Settled::Before(present));
                }
                Some(_) => return Ok(Settled::Anothers),
                // Not there: the same operation may be tried again.
                None => {}
            }
        }
        Err(match unknown {
            Some(reason) => RecordsError::Unknown { reason }.into(),
            None => Error::TooSlow { kind: A::KIND },
        })
    }

    fn is_late(&self, started: Duration) -> bool {
        self.outbox.clock().monotonic().saturating_sub(started)
            > self.outbox.options().write_budget()
    }

    /// A write that was held up for longer than its budget may find its pointer dropped already:
    /// it gets a second one.
    async fn renewed(&self, intent: Intent, started: Duration) -> Intent {
        if !self.is_late(started) {
            return intent;
        }
        match self
            .outbox
            .intend(
                &intent.kind,
                &intent.aggregate_id,
                intent.version,
                intent.operation_id,
            )
            .await
        {
            Ok(second) => second,
            Err(error) => {
                tracing::error!(%error, kind = A::KIND, version = intent.version, "a slow write has no new pointer");
                intent
            }
        }
    }

    /// The change is durable now: what fails from here on is made good by the relay.
    async fn finish(&self, version: &Version<A>, intent: Intent, views: Result<Vec<Write>>) {
        let written = match views {
            Ok(views) => self.write_views(views).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &written {
            let number = version.version;
            tracing::warn!(%error, kind = A::KIND, number, "tables-per-query are left to the relay");
        }
        let views_written = written.is_ok();
        let event = event(version, &self.outbox.source(), intent.traceparent.clone());
        self.outbox.hint(Hint {
            intent,
            event,
            views_written,
        });
    }

    async fn write_views(&self, views: Vec<Write>) -> Result<()> {
        let mut last = Ok(());
        let clock = self.outbox.clock();
        let began = clock.monotonic();
        for attempt in 0..VIEW_ATTEMPTS {
            if attempt > 0 && clock.monotonic().saturating_sub(began) > SETTLE_WITHIN {
                break;
            }
            match views::write(self.outbox.store(), views.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() => last = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        last
    }
}

/// The event that tells of a version.
pub(crate) fn event<A: Aggregate>(
    version: &Version<A>,
    source: &str,
    traceparent: Option<String>,
) -> Option<CloudEvent> {
    let event = CloudEvent::new(version.event_id(), source, A::EVENT?, version.at)
        .with_subject(version.id.to_text())
        .with_data(A::event_data(version))
        .with_traceparent(traceparent);
    Some(event)
}

/// Now in whole milliseconds, as the store keeps it, but later than the version before.
fn next_time(now: DateTime<Utc>, previous: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let now = now.trunc_subsecs(3);
    match previous {
        Some(previous) => now.max(previous + TimeDelta::milliseconds(1)),
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_time_is_always_later_and_never_behind_the_clock(now in 0_i64..1 << 45, before in 0_i64..1 << 45) {
            let time = |micros| DateTime::from_timestamp_micros(micros).unwrap();
            let previous = time(before).trunc_subsecs(3);
            let next = next_time(time(now), Some(previous));
            prop_assert!(next > previous);
            prop_assert!(next >= time(now).trunc_subsecs(3));
            prop_assert_eq!(next, next.trunc_subsecs(3));
        }
    }
}
