//! The relay: publishes what was committed, and completes what a crash left unfinished.
//!
//! Two halves run side by side. The quick one gets every change that this process commits and
//! publishes it within milliseconds. The other walks the pointers of the buckets that it holds, and
//! finds whatever the quick one missed: that is the guarantee.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use riwaq_events::CloudEvent;
use riwaq_records::{ReadLevel, Store};
use tokio_util::sync::CancellationToken;

use crate::outbox::{Hint, Intent, Shared};
use crate::walk::Walker;
use crate::{Aggregate, AggregateId as _, Error, Journal, Result, append, read, views};

/// How many changes are published at a time.
const PUBLISHED_AT_ONCE: usize = 64;

/// What a pointer turned out to be.
pub(crate) enum Replayed {
    /// Its version is there and its tables-per-query are written; this is to be published.
    Complete(Option<CloudEvent>),
    /// Another operation wrote that version.
    Lost,
    /// There is no such version, yet or ever.
    Absent,
}

/// Completes pointers of one kind of aggregate.
#[async_trait]
pub(crate) trait Replay: Send + Sync {
    async fn replay(&self, store: &Store, source: &str, intent: &Intent) -> Result<Replayed>;
}

struct ReplayOf<A>(std::marker::PhantomData<fn() -> A>);

#[async_trait]
impl<A: Aggregate> Replay for ReplayOf<A> {
    async fn replay(&self, store: &Store, source: &str, intent: &Intent) -> Result<Replayed> {
        let id = A::Id::from_text(&intent.aggregate_id).ok_or_else(|| unreadable(intent))?;
        let Some(version) = read::at::<A>(store, &id, intent.version, ReadLevel::Serial).await?
        else {
            return Ok(Replayed::Absent);
        };
        if version.op_id != intent.operation_id {
            return Ok(Replayed::Lost);
        }
        let previous = match intent.version {
            1 => None,
            later => read::at::<A>(store, &id, later - 1, ReadLevel::Quorum).await?,
        };
        let newest = read::latest::<A>(store, &id).await?;
        let newest = newest.as_ref().unwrap_or(&version);
        views::write(store, views::replay(previous.as_ref(), &version, newest)?).await?;
        Ok(Replayed::Complete(append::event(
            &version,
            source,
            intent.traceparent.clone(),
        )))
    }
}

fn unreadable(intent: &Intent) -> Error {
    Error::Corrupt {
        kind: intent.kind.clone(),
        id: intent.aggregate_id.clone(),
        version: intent.version,
        reason: "the pointer's id cannot be read".to_owned(),
    }
}

/// The kinds of aggregates that a service has.
#[derive(Default)]
pub(crate) struct Replays(Mutex<HashMap<&'static str, Arc<dyn Replay>>>);

impl Replays {
    pub(crate) fn register<A: Aggregate>(&self, _journal: &Journal<A>) -> Result<()> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.contains_key(A::KIND) {
            return Err(Error::invalid(
                "kind",
                format!("`{}` is registered twice", A::KIND),
            ));
        }
        kinds.insert(A::KIND, Arc::new(ReplayOf::<A>(std::marker::PhantomData)));
        Ok(())
    }

    pub(crate) fn of(&self, kind: &str) -> Option<Arc<dyn Replay>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(kind)
            .cloned()
    }
}

/// What a walk saw, for metrics and for an operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walked {
    /// Buckets that this relay holds.
    pub buckets: usize,
    /// Pointers that it completed: their event is published.
    pub completed: u64,
    /// Pointers that it dropped: of writes that lost, or that never happened.
    pub dropped: u64,
    /// Pointers that remain: too young, or they failed and will be tried again.
    pub remaining: u64,
}

/// The relay of one process for one service.
pub struct Relay {
    shared: Arc<Shared>,
    walker: Walker,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("service", &self.shared.service)
            .finish_non_exhaustive()
    }
}

impl Relay {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let walker = Walker::new(Arc::clone(&shared));
        Self { shared, walker }
    }

    /// Works until `shutdown` is ready; then ends what it is at, publishes what was committed by this
    /// process and gives its buckets back. Dropping it at any point loses nothing either: an event may
    /// then come twice, and another relay waits for the leases.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let shared = Arc::clone(&self.shared);
        let stopping = CancellationToken::new();
        let quick = async {
            publish_committed(&shared, shutdown).await;
            stopping.cancel();
        };
        futures::future::join(quick, self.walk_regularly(&stopping)).await;
        self.drain().await;
        self.walker.release().await;
    }

    /// Publishes what this process has committed and not published yet; returns how much that was.
    pub async fn drain(&self) -> usize {
        let mut waiting = self.shared.waiting.lock().await;
        let mut drained = 0;
        loop {
            let hints: Vec<Hint> = std::iter::from_fn(|| waiting.try_recv().ok())
                .take(PUBLISHED_AT_ONCE)
                .collect();
            if hints.is_empty() {
                return drained;
            }
            drained += hints.len();
            publish(&self.shared, hints).await;
        }
    }

    /// Takes the buckets that are free and walks those that this relay holds, once.
    pub async fn walk(&mut self) -> Walked {
        self.walker.walk(&CancellationToken::new()).await
    }

    async fn walk_regularly(&mut self, stopping: &CancellationToken) {
        let pause = Duration::from_secs(self.shared.options.walk_interval_seconds);
        while !stopping.is_cancelled() {
            let walked = self.walker.walk(stopping).await;
            if walked.completed + walked.dropped > 0 {
                tracing::info!(
                    service = self.shared.service,
                    ?walked,
                    "the relay found unfinished changes"
                );
            }
            let pausing = self.shared.clock.sleep(pause);
            stopping.run_until_cancelled(pausing).await;
        }
    }
}

/// The quick half, until `shutdown` is ready: what it has taken it publishes first.
async fn publish_committed(shared: &Shared, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut waiting = shared.waiting.lock().await;
    loop {
        let mut hints = Vec::with_capacity(PUBLISHED_AT_ONCE);
        let taken = tokio::select! {
            () = &mut shutdown => return,
            taken = waiting.recv_many(&mut hints, PUBLISHED_AT_ONCE) => taken,
        };
        if taken == 0 {
            // Every journal is gone, but another process may need its pointers walked.
            return shutdown.await;
        }
        publish(shared, hints).await;
    }
}

/// Publishes and deletes the pointers of what was published; the rest is left to the walk.
async fn publish(shared: &Shared, hints: Vec<Hint>) {
    let published = join_all(hints.into_iter().filter(|hint| hint.views_written).map(|hint| async move {
        if let Some(event) = hint.event
            && let Err(error) = shared.events.publish(event).await
        {
            tracing::warn!(%error, kind = hint.intent.kind, "an event is left to the relay's walk");
            return None;
        }
        Some(hint.intent)
    }))
    .await;
    let done: Vec<Intent> = published.into_iter().flatten().collect();
    if let Err(error) = shared.forget(&done).await {
        tracing::debug!(%error, "pointers of published events are left to the relay's walk");
    }
}
