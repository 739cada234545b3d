//! The sweep: blobs that no file refers to go away, and so do uploads that were never finished.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use riwaq_aggregates::{Lease, Leases};
use riwaq_blobs::{BlobKey, BlobsError, Liveness, mark_and_sweep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::records::BlobOwner;

/// The lease of the sweep: one replica at a time does it.
const LEASE: &str = "files/sweep";
/// How long its holder may be silent.
const LEASE_TIME: Duration = Duration::from_secs(60);
/// How often it is asked whether there is something to do.
const TICK: Duration = Duration::from_secs(15);
/// How many blobs are looked at together.
const PAGE: usize = 200;
/// How many references are read at once.
const READS: usize = 16;

/// Sweeps, wherever it holds the lease.
pub(crate) struct Sweeper {
    app: App,
    leases: Leases,
}

impl Sweeper {
    pub(crate) fn new(app: App) -> Self {
        let owner = format!("files/{}", Uuid::new_v4());
        let leases = Leases::new(app.store.clone(), app.clock.clone(), owner, LEASE_TIME);
        Self { app, leases }
    }

    /// Runs until it is told to end.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut lease: Option<Lease> = None;
        loop {
            if closing
                .run_until_cancelled(self.app.clock.sleep(TICK))
                .await
                .is_none()
            {
                break;
            }
            lease = match lease.take() {
                Some(held) => self.beat(held).await,
                None => self
                    .leases
                    .try_acquire(LEASE, 0)
                    .await
                    .unwrap_or_else(|error| {
                        tracing::warn!(%error, "the sweep's lease cannot be asked for");
                        None
                    }),
            };
            if let Some(held) = lease.take() {
                lease = closing
                    .run_until_cancelled(self.sweep_if_due(held))
                    .await
                    .flatten();
            }
        }
        if let Some(lease) = lease {
            let progress = lease.progress();
            // Not given back, another replica takes it over a little later.
            let _ = lease.release(progress).await;
        }
    }

    async fn beat(&self, mut lease: Lease) -> Option<Lease> {
        let progress = lease.progress();
        match lease.beat(progress).await {
            Ok(()) => Some(lease),
            Err(error) => {
                tracing::debug!(%error, "the sweep's lease is gone");
                lease.is_held().then_some(lease)
            }
        }
    }

    /// The lease's progress is when the last sweep ended, in seconds since 1970.
    async fn sweep_if_due(&self, mut lease: Lease) -> Option<Lease> {
        let now = self.app.clock.now().timestamp();
        let interval = i64::try_from(self.app.config.sweep_interval_seconds).unwrap_or(i64::MAX);
        if now < lease.progress().saturating_add(interval) {
            return Some(lease);
        }
        // Deleting is guarded by the grace and by reading the references anew, so a lease lost on the way does no harm.
        match self.sweep().await {
            Ok(()) => lease
                .beat(self.app.clock.now().timestamp())
                .await
                .ok()
                .map(|()| lease),
            Err(error) => {
                tracing::warn!(%error, "the sweep ended early");
                Some(lease)
            }
        }
    }

    pub(crate) async fn sweep(&self) -> Result<(), BlobsError> {
        let expired = self.app.blobs.expire_uploads().await?;
        let report = mark_and_sweep(&*self.app.blobs, &References(&self.app), PAGE).await?;
        if expired + report.marked + report.unmarked + report.deleted > 0 {
            tracing::info!(expired, ?report, "swept blobs");
        }
        metrics::counter!("riwaq_files_blobs_deleted_total").increment(report.deleted);
        Ok(())
    }
}

/// Which blobs the files refer to.
struct References<'a>(&'a App);

impl References<'_> {
    async fn is_live(&self, key: BlobKey) -> Result<bool, BlobsError> {
        let unavailable =
            |error: &dyn std::error::Error| BlobsError::Unavailable(error.to_string());
        let owner = self
            .0
            .store
            .get::<BlobOwner>((key.to_string(),))
            .await
            .map_err(|error| unavailable(&error))?;
        let Some(owner) = owner else { return Ok(false) };
        let file = self
            .0
            .files
            .load(&owner.file_id)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(file.is_some_and(|file| file.state.needs(key)))
    }
}

#[async_trait]
impl Liveness for References<'_> {
    async fn live(&self, keys: &[BlobKey]) -> Result<HashSet<BlobKey>, BlobsError> {
        let asked = keys
            .iter()
            .copied()
            .map(|key| async move { Ok((key, self.is_live(key).await?)) });
        let answers: Vec<(BlobKey, bool)> = futures::stream::iter(asked)
            .buffered(READS)
            .try_collect()
            .await?;
        Ok(answers
            .into_iter()
            .filter(|(_, live)| *live)
            .map(|(key, _)| key)
            .collect())
    }
}
