//! Content that another completion is just making, and content that the server has lost.
//!
//! A server should either put parts together or keep them. MinIO (up to its last release, 2026-02) does not: it removes what it
//! knows of the parts and then makes the object, and gives up between the two when whoever asked for it hangs up or when it is
//! killed. Nothing that S3 offers brings such parts back. The upload is then ended, so that whoever sent it is told to begin
//! again and does not ask for ever; nobody was told that it was complete.

use std::time::Duration;

use moka::sync::Cache;
use riwaq_blobs::{BlobsError, UploadId};

use crate::Inner;
use crate::documents::Decision;
use crate::state::UploadState;
use crate::stored::Description;

/// How often, and how far apart, one call looks whether another has put the parts together.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What a completion that was given up may still be doing on a slow disk.
const GRACE: Duration = Duration::from_secs(3);

/// How many uploads, and for how long, are remembered as being without their content.
const MOST: u64 = 1_000;
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Since when (on the monotonic clock) this process finds neither the parts of an upload nor its content.
#[derive(Debug)]
pub(crate) struct Missing(Cache<UploadId, Duration>);

impl Default for Missing {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST)
            .time_to_live(REMEMBERED)
            .build();
        Self(cache)
    }
}

impl Inner {
    /// Waits a little for the content that somebody else is making. Once it has been missing for longer than anybody can be making
    /// it, the upload is ended.
    pub(crate) async fn see_completed(
        &self,
        id: UploadId,
        state: &UploadState,
        object: &str,
    ) -> Result<(), BlobsError> {
        let now = self.clock.monotonic();
        let since = self.missing.0.get_with(id, || now);
        for _ in 0..LOOKS {
            match self.store.size(object).await? {
                Some(size) if size == state.offset => {
                    self.missing.0.invalidate(&id);
                    return Ok(());
                }
                Some(size) => {
                    return Err(BlobsError::Corrupt(format!(
                        "{object} has {size} bytes instead of {}",
                        state.offset
                    )));
                }
                None => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
        }
        let missing_for = self.clock.monotonic().saturating_sub(since);
        if missing_for > self.store.longest_completion(state.offset) + GRACE {
            return self.end_lost(id, state, object).await;
        }
        self.content_is_missing(id, object).await
    }

    /// What is missing may still come, unless its blob was deleted, which takes the upload along.
    pub(crate) async fn content_is_missing(
        &self,
        id: UploadId,
        object: &str,
    ) -> Result<(), BlobsError> {
        self.states.invalidate(&id);
        let name = self.layout.upload(&id);
        match self.store.load::<UploadState>(&name).await? {
            None => Err(BlobsError::UploadNotFound),
            Some(_) => Err(BlobsError::Unavailable(format!(
                "{object} is not there (yet)"
            ))),
        }
    }

    /// Ends an upload whose parts are lost. What is left of it goes with the next sweep.
    async fn end_lost(
        &self,
        id: UploadId,
        state: &UploadState,
        object: &str,
    ) -> Result<(), BlobsError> {
        if self.is_described(state).await? {
            return Ok(());
        }
        let end = |state: &mut UploadState| {
            Ok(if std::mem::replace(&mut state.aborted, true) {
                Decision::Keep(false)
            } else {
                Decision::Write(true)
            })
        };
        if let (_, true) = self.change(id, end).await? {
            tracing::error!(
                object,
                bytes = state.offset,
                "the server lost the parts of an upload while it put them together: the upload was ended and must be sent again"
            );
            metrics::counter!("riwaq_blobs_lost_uploads_total").increment(1);
        }
        Err(BlobsError::UploadNotFound)
    }

    /// Whether the blob of this upload is there for everybody.
    pub(crate) async fn is_described(&self, state: &UploadState) -> Result<bool, BlobsError> {
        let name = self.layout.info(&state.key);
        let found = self.store.load::<Description>(&name).await?;
        Ok(found.is_some_and(|found| found.value.of_upload().is_ok()))
    }
}
