//! Walking the pointers: minute by minute, from a watermark that only closed and empty minutes pass.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::outbox::{Intent, Shared, minute_of};
use crate::relay::{Replayed, Walked};
use crate::{Lease, Result};

/// Pointers read at a time.
const PAGE: usize = 200;
/// After a long downtime many empty minutes are walked, which an embedded store answers without ever
/// waiting: others get their turn after so many.
const MINUTES_AT_ONCE: i64 = 64;
/// Pointers completed at a time.
const AT_ONCE: usize = 16;

/// Walks the buckets of one service that this process holds.
pub(crate) struct Walker {
    shared: Arc<Shared>,
    held: HashMap<i64, Held>,
}

struct Held {
    lease: Lease,
    /// Every minute before it is closed and empty. Written down with the lease's beat.
    watermark: i64,
}

/// What became of one pointer.
enum Fate {
    Completed,
    Dropped,
    Remains,
}

impl Walker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            held: HashMap::new(),
        }
    }

    /// Walks every bucket that is ours or can be taken; begins no further minute once it is to stop.
    pub(crate) async fn walk(&mut self, stopping: &CancellationToken) -> Walked {
        let mut walked = Walked::default();
        for bucket in 0..i64::from(self.shared.options.buckets) {
            if stopping.is_cancelled() {
                break;
            }
            match self.walk_bucket(bucket, &mut walked, stopping).await {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, bucket, service = self.shared.service, "the relay could not walk");
                }
                Err(error) => {
                    tracing::error!(%error, bucket, service = self.shared.service, "the relay could not walk");
                }
            }
        }
        walked.buckets = self.held.len();
        walked
    }

    /// Gives the buckets back, so that another replica need not wait for a whole lease.
    pub(crate) async fn release(&mut self) {
        for (bucket, held) in self.held.drain() {
            if let Err(error) = held.lease.release(held.watermark).await {
                tracing::debug!(%error, bucket, "a bucket was not given back; its lease will run out");
            }
        }
    }

    async fn walk_bucket(
        &mut self,
        bucket: i64,
        walked: &mut Walked,
        stopping: &CancellationToken,
    ) -> Result<()> {
        let Some(mut held) = self.hold(bucket).await? else {
            return Ok(());
        };
        let outcome = self.walk_minutes(bucket, &mut held, walked, stopping).await;
        // A lease that is surely no longer ours is forgotten, and watched like any other's.
        if held.lease.is_held() {
            self.held.insert(bucket, held);
        }
        outcome
    }

    /// The bucket if it is ours: taken out of the map, so that an error in between forgets it.
    async fn hold(&mut self, bucket: i64) -> Result<Option<Held>> {
        if let Some(held) = self.held.remove(&bucket)
            && held.lease.is_held()
        {
            return Ok(Some(held));
        }
        let name = self.shared.lease_name(bucket);
        let lease = self
            .shared
            .leases
            .try_acquire(&name, self.shared.first_minute())
            .await?;
        Ok(lease.map(|lease| Held {
            watermark: lease.progress(),
            lease,
        }))
    }

    async fn walk_minutes(
        &self,
        bucket: i64,
        held: &mut Held,
        walked: &mut Walked,
        stopping: &CancellationToken,
    ) -> Result<()> {
        let skew = chrono::TimeDelta::seconds(self.shared.options.clock_skew_seconds.cast_signed());
        let last = minute_of(self.shared.clock.now() + skew);
        let mut passing = true;
        let mut minute = held.watermark;
        while minute <= last && !stopping.is_cancelled() {
            if held.lease.is_beat_due() {
                held.lease.beat(held.watermark).await?;
            }
            let seen = self.walk_minute(bucket, minute, walked).await?;
            passing &= seen == 0 && self.is_closed(minute);
            minute += 1;
            if minute % MINUTES_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            if passing {
                held.watermark = minute;
            }
        }
        if held.lease.is_beat_due() {
            held.lease.beat(held.watermark).await?;
        }
        Ok(())
    }

    /// No writer's pointer can still arrive in this minute.
    fn is_closed(&self, minute: i64) -> bool {
        let end = (minute + 1) * 60;
        self.shared.clock.now().timestamp() >= end + self.shared.options.settle_seconds()
    }

    /// Completes or drops the pointers of a minute; returns how many there were.
    async fn walk_minute(&self, bucket: i64, minute: i64, walked: &mut Walked) -> Result<usize> {
        let partition = (self.shared.service.clone(), bucket, minute);
        let (mut after, mut seen) = (None, 0);
        loop {
            let mut scan = self
                .shared
                .store
                .scan::<Intent>(partition.clone())
                .limit(PAGE);
            if let Some(after) = after {
                scan = scan.after(after);
            }
            let page = scan.page().await?;
            seen += page.rows.len();
            let done = self.complete(page.rows, walked).await;
            self.shared.forget(&done).await?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(seen),
            }
        }
    }

    /// Works on pointers side by side; returns those that are done with.
    async fn complete(&self, intents: Vec<Intent>, walked: &mut Walked) -> Vec<Intent> {
        let fates: Vec<(Intent, Fate)> = stream::iter(intents)
            .map(|intent| async move {
                let fate = self.fate(&intent).await;
                (intent, fate)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut done = Vec::with_capacity(fates.len());
        for (intent, fate) in fates {
            match fate {
                Fate::Completed => walked.completed += 1,
                Fate::Dropped => walked.dropped += 1,
                Fate::Remains => {
                    walked.remaining += 1;
                    continue;
                }
            }
            done.push(intent);
        }
        done
    }

    async fn fate(&self, intent: &Intent) -> Fate {
        match self.try_complete(intent).await {
            Ok(fate) => fate,
            Err(error) => {
                tracing::warn!(
                    %error, kind = intent.kind, version = intent.version, service = self.shared.service,
                    "a change could not be completed; it will be tried again"
                );
                Fate::Remains
            }
        }
    }

    async fn try_complete(&self, intent: &Intent) -> Result<Fate> {
        let age_seconds = (self.shared.clock.now() - intent.intended_at).num_seconds();
        if age_seconds < self.shared.options.grace_seconds.cast_signed() {
            return Ok(Fate::Remains);
        }
        let Some(replay) = self.shared.replays.of(&intent.kind) else {
            // Of a newer release in a rolling update: that release's relay completes it.
            tracing::warn!(
                kind = intent.kind,
                service = self.shared.service,
                "a pointer of an unknown kind"
            );
            return Ok(Fate::Remains);
        };
        match replay
            .replay(&self.shared.store, &self.shared.source(), intent)
            .await?
        {
            Replayed::Complete(event) => {
                if let Some(event) = event {
                    self.shared.events.publish(event).await?;
                }
                Ok(Fate::Completed)
            }
            Replayed::Lost => Ok(Fate::Dropped),
            Replayed::Absent if age_seconds > self.shared.options.settle_seconds() => {
                Ok(Fate::Dropped)
            }
            Replayed::Absent => Ok(Fate::Remains),
        }
    }
}
