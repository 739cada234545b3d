//! Mark and sweep: how blobs that nobody refers to go away.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::{BlobInfo, BlobKey, Blobs, BlobsError};

/// The owner's answer to "which of these are still referred to".
#[async_trait]
pub trait Liveness: Send + Sync {
    /// The keys among `keys` that something refers to. When in doubt a key is live.
    ///
    /// # Errors
    /// Any error ends the sweep before anything of this page is changed.
    async fn live(&self, keys: &[BlobKey]) -> Result<HashSet<BlobKey>, BlobsError>;
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs that were looked at.
    pub seen: u64,
    /// Blobs that were marked for the first time.
    pub marked: u64,
    /// Blobs whose mark was taken away because something refers to them again.
    pub unmarked: u64,
    /// Blobs that were deleted.
    pub deleted: u64,
}

/// Looks at every blob once: marks what nobody refers to, unmarks what is referred to again, and deletes what was
/// marked a grace ago and still is not referred to.
///
/// An owner writes its reference within [`crate::DELETE_GRACE`] of completing a blob, and never refers to
/// a blob anew that was unreferenced for so long; then no blob that is referred to is ever deleted.
///
/// # Errors
/// What the store or the owner gives; what was done before stays done, and running again goes on.
pub async fn mark_and_sweep(
    blobs: &dyn Blobs,
    owner: &dyn Liveness,
    page: usize,
) -> Result<SweepReport, BlobsError> {
    let mut report = SweepReport::default();
    let mut after = None;
    loop {
        let found = blobs.list(after, page).await?;
        let keys: Vec<BlobKey> = found.iter().map(|info| info.key).collect();
        let live = if keys.is_empty() {
            HashSet::new()
        } else {
            owner.live(&keys).await?
        };
        for info in &found {
            sweep_one(blobs, info, live.contains(&info.key), &mut report).await?;
        }
        report.seen += found.len() as u64;
        after = keys.last().copied();
        if found.len() < page {
            return Ok(report);
        }
    }
}

async fn sweep_one(
    blobs: &dyn Blobs,
    info: &BlobInfo,
    live: bool,
    report: &mut SweepReport,
) -> Result<(), BlobsError> {
    let outcome = match (live, info.marked_at) {
        (true, None) => return Ok(()),
        (true, Some(_)) => blobs.unmark(&info.key).await.map(|()| report.unmarked += 1),
        (false, None) => blobs.mark(&info.key).await.map(|()| report.marked += 1),
        (false, Some(_)) => blobs
            .delete(&info.key)
            .await
            .map(|was| report.deleted += u64::from(was)),
    };
    match outcome {
        // Another replica was faster, or the grace is not over.
        Err(BlobsError::BlobNotFound | BlobsError::InGrace { .. }) => Ok(()),
        other => other,
    }
}
