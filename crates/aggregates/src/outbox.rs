//! The outbox: a pointer to every version whose views and event may still be outstanding.
//!
//! A pointer (an *intent*) is written before the version, in the partition (service, bucket, minute),
//! and deleted when the event is published. So whatever version exists and was not told of
//! has its pointer, however the program died.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_events::{CloudEvent, Events};
use riwaq_records::{RecordsError, Store, Table};
use tokio::sync::{OnceCell, mpsc};
use uuid::Uuid;

use crate::relay::{Relay, Replays};
use crate::{Aggregate, Error, Journal, Leases, OutboxOptions, Result, version_table};

/// How many committed changes may wait in memory for the relay; those beyond are found by its walk.
const HINTS: usize = 4096;

/// A pointer to a version that was, or was going to be, written.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(
    name = "outbox",
    write = "timestamped",
    partition(service, bucket, minute),
    clustering(intent_id)
)]
pub struct Intent {
    /// The service whose pointer it is.
    pub service: String,
    /// The bucket, by the aggregate's id.
    pub bucket: i64,
    /// Minutes since 1970 by the writer's clock.
    pub minute: i64,
    /// Names this pointer; never used again.
    pub intent_id: Uuid,
    /// [`Aggregate::KIND`].
    pub kind: String,
    /// The aggregate's id as text.
    pub aggregate_id: String,
    /// The version that was going to be written.
    pub version: i64,
    /// The `op_id` of the version row. Another's at the same version means that this write lost.
    pub operation_id: Uuid,
    /// When, by the writer's clock; also the pointer's own timestamp (a delete wins the tie).
    pub intended_at: DateTime<Utc>,
    /// The W3C trace context of the change.
    pub traceparent: Option<String>,
}

impl Intent {
    pub(crate) const fn timestamp_micros(&self) -> i64 {
        // The stored time has whole milliseconds; the pointer is written with what can be read back.
        self.intended_at.timestamp_millis() * 1000
    }

    pub(crate) fn key(&self) -> <Self as Table>::Key {
        (
            self.service.clone(),
            self.bucket,
            self.minute,
            self.intent_id,
        )
    }
}

/// What a commit hands to the relay in the same process, so that nobody waits for the walk.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) intent: Intent,
    /// The event to publish; none where the aggregate has none.
    pub(crate) event: Option<CloudEvent>,
    /// False: the views must be written first, which the walk does.
    pub(crate) views_written: bool,
}

/// Gives the trace context of the request that is being handled, if there is one.
pub type TraceSource = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// One service's outbox; makes its journals and its relay. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
    hints: mpsc::Sender<Hint>,
}

pub(crate) struct Shared {
    pub(crate) service: String,
    pub(crate) store: Store,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) clock: SharedClock,
    pub(crate) options: OutboxOptions,
    pub(crate) leases: Leases,
    pub(crate) replays: Replays,
    pub(crate) waiting: tokio::sync::Mutex<mpsc::Receiver<Hint>>,
    prepared: Vec<OnceCell<()>>,
    trace: TraceSource,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("service", &self.shared.service)
            .finish_non_exhaustive()
    }
}

impl Outbox {
    /// The outbox of `service` (its name in events: the source is `/riwaq/<service>`).
    ///
    /// `trace` gives the trace context of the request at hand; pass `Arc::new(|| None)` for none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a name or figures that cannot work.
    pub fn new(
        service: &str,
        store: Store,
        events: Arc<dyn Events>,
        clock: SharedClock,
        options: OutboxOptions,
        trace: TraceSource,
    ) -> Result<Self> {
        options.validate()?;
        if service.is_empty()
            || service.len() > 32
            || !service.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            return Err(Error::invalid(
                "service",
                format!("`{service}` is not one word of a-z"),
            ));
        }
        let (hints, waiting) = mpsc::channel(HINTS);
        let owner = format!("{service}/{}", Uuid::new_v4());
        let duration = Duration::from_secs(options.lease_seconds);
        let leases = Leases::new(store.clone(), Arc::clone(&clock), owner, duration);
        let prepared = (0..options.buckets).map(|_| OnceCell::new()).collect();
        let shared = Shared {
            service: service.to_owned(),
            store,
            events,
            clock,
            options,
            leases,
            replays: Replays::default(),
            waiting: tokio::sync::Mutex::new(waiting),
            prepared,
            trace,
        };
        Ok(Self {
            shared: Arc::new(shared),
            hints,
        })
    }

    /// The journal of one kind of aggregate. Every kind that the service has must be asked for
    /// before the relay runs: the relay replays only what it knows.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a table that was not declared by `version_table!`, or a second
    /// aggregate of the same kind.
    pub fn journal<A: Aggregate>(&self) -> Result<Journal<A>> {
        version_table::check::<A>()?;
        let journal = Journal::new(self.clone());
        self.shared.replays.register::<A>(&journal)?;
        Ok(journal)
    }

    /// The relay of this process.
    #[must_use]
    pub fn relay(&self) -> Relay {
        Relay::new(Arc::clone(&self.shared))
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    pub(crate) fn options(&self) -> &OutboxOptions {
        &self.shared.options
    }

    pub(crate) fn source(&self) -> String {
        self.shared.source()
    }

    /// Writes the pointer to a version that is about to be written. Its failure is never an unknown outcome:
    /// without a pointer the version is not written.
    pub(crate) async fn intend(
        &self,
        kind: &str,
        aggregate_id: &str,
        version: i64,
        op_id: Uuid,
    ) -> Result<Intent> {
        let bucket = bucket_of(aggregate_id, self.shared.options.buckets);
        self.shared
            .prepare(bucket)
            .await
            .map_err(without_a_pointer)?;
        let intended_at = self.shared.clock.now();
        let intent = Intent {
            service: self.shared.service.clone(),
            bucket,
            minute: minute_of(intended_at),
            intent_id: Uuid::new_v4(),
            kind: kind.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            version,
            operation_id: op_id,
            intended_at,
            traceparent: (self.shared.trace)(),
        };
        let written = self
            .shared
            .store
            .put_at(&intent, intent.timestamp_micros())
            .await;
        // The pointer may be there, and what it points to will not be: the relay drops it.
        written.map_err(|error| without_a_pointer(error.into()))?;
        Ok(intent)
    }

    /// Deletes the pointer of a write that surely did not happen. What stays is dropped by the relay.
    pub(crate) async fn withdraw(&self, intent: &Intent) {
        if let Err(error) = self.shared.forget(std::slice::from_ref(intent)).await {
            tracing::debug!(%error, "a pointer was left for the relay to drop");
        }
    }

    /// Tells the relay of this process; when it does not listen or is behind, its walk will see.
    pub(crate) fn hint(&self, hint: Hint) {
        if self.hints.try_send(hint).is_err() {
            tracing::debug!("the relay is busy; its walk will publish this change");
        }
    }
}

impl Shared {
    pub(crate) fn source(&self) -> String {
        format!("/riwaq/{}", self.service)
    }

    pub(crate) fn lease_name(&self, bucket: i64) -> String {
        format!("outbox/{}/{bucket}", self.service)
    }

    /// The minute where walking begins in a bucket that nobody has walked: no pointer can be in an
    /// earlier one, since none is written before the bucket's row is there.
    pub(crate) fn first_minute(&self) -> i64 {
        let earliest = self.clock.now() - chrono::TimeDelta::seconds(self.options.settle_seconds());
        minute_of(earliest)
    }

    /// Makes sure that the bucket's watermark is there, so that no downtime hides a pointer from it.
    async fn prepare(&self, bucket: i64) -> Result<()> {
        let cell = usize::try_from(bucket)
            .ok()
            .and_then(|at| self.prepared.get(at));
        let Some(cell) = cell else { return Ok(()) };
        let name = self.lease_name(bucket);
        cell.get_or_try_init(|| self.leases.prepare(&name, self.first_minute()))
            .await?;
        Ok(())
    }

    /// Deletes pointers.
    pub(crate) async fn forget(&self, intents: &[Intent]) -> Result<()> {
        // Keys have some hundred bytes: fifty of them stay far below a batch's limit.
        for chunk in intents.chunks(50) {
            let mut batch = self.store.batch();
            for intent in chunk {
                batch = batch.delete_at::<Intent>(intent.key(), intent.timestamp_micros())?;
            }
            batch.write().await?;
        }
        Ok(())
    }
}

/// Whatever became of a pointer, the version was not written: that is known.
fn without_a_pointer(error: Error) -> Error {
    match error {
        Error::Records(RecordsError::Unknown { reason }) => {
            RecordsError::Unavailable { reason }.into()
        }
        error => error,
    }
}

/// Minutes since 1970.
pub(crate) fn minute_of(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}

/// The same bucket for the same aggregate on every replica and in every release.
fn bucket_of(aggregate_id: &str, buckets: u32) -> i64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, aggregate_id.as_bytes());
    let first = digest
        .as_ref()
        .iter()
        .take(4)
        .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    i64::from(first % buckets.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_stays_in_its_bucket_and_buckets_are_used_evenly() {
        let mut used = [0; 4];
        for at in 0..1000 {
            let bucket = bucket_of(&format!("course-{at}"), 4);
            used[usize::try_from(bucket).unwrap()] += 1;
        }
        assert!(used.iter().all(|count| *count > 180), "{used:?}");
        // A release that changed this would leave pointers in buckets where it does not look.
        assert_eq!(bucket_of("course-1", 256), bucket_of("course-1", 256));
        assert_eq!(bucket_of("", 256), 0xe3_b0_c4_42 % 256);
    }

    #[test]
    fn minutes_count_down_before_1970_too() {
        assert_eq!(minute_of(DateTime::UNIX_EPOCH), 0);
        assert_eq!(
            minute_of(DateTime::UNIX_EPOCH - chrono::TimeDelta::seconds(1)),
            -1
        );
    }
}
