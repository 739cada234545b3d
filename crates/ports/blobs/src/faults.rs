//! Faults on purpose: a decorator that fails calls by a seed.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use url::Url;

use crate::{
    BlobInfo, BlobKey, Blobs, BlobsError, ByteRange, ByteStream, Content, Expected, Fence,
    NewUpload, Presign, Upload, UploadId,
};

/// How often what goes wrong; probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct FaultPlan {
    /// Where the sequence of faults starts; the same seed and calls give the same faults.
    pub seed: u64,
    /// The call fails before anything happens.
    pub fail_before: f64,
    /// The call succeeds, but its answer is lost.
    pub fail_after: f64,
    /// The body of an append breaks off somewhere.
    pub cut_body: f64,
    /// The call lets other tasks run first, so that calls change their order.
    pub delay: f64,
}

/// Fails calls of the store beneath as its plan says, always with [`BlobsError::Unavailable`].
#[derive(Debug)]
pub struct FaultyBlobs<B> {
    inner: B,
    plan: FaultPlan,
    random: Mutex<StdRng>,
}

/// What happens to the answer of a call that is made.
enum Fault {
    None,
    After,
}

impl<B: Blobs> FaultyBlobs<B> {
    /// Puts faults in front of `inner`.
    #[must_use]
    pub fn new(inner: B, plan: FaultPlan) -> Self {
        let random = Mutex::new(StdRng::seed_from_u64(plan.seed));
        Self {
            inner,
            plan,
            random,
        }
    }

    fn happens(&self, probability: f64) -> bool {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.random_bool(probability.clamp(0.0, 1.0))
    }

    async fn before(&self) -> Result<Fault, BlobsError> {
        while self.happens(self.plan.delay.min(0.9)) {
            tokio::task::yield_now().await;
        }
        if self.happens(self.plan.fail_before) {
            return Err(lost("before"));
        }
        Ok(if self.happens(self.plan.fail_after) {
            Fault::After
        } else {
            Fault::None
        })
    }

    /// Cuts the body after a few pieces where the plan says so.
    fn maybe_cut<'a>(&self, body: ByteStream<'a>) -> ByteStream<'a> {
        if !self.happens(self.plan.cut_body) {
            return body;
        }
        let pieces = self
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random_range(0..4);
        let broken = BlobsError::Body("the connection was cut".into());
        body.take(pieces)
            .chain(futures::stream::iter([Err(broken)]))
            .boxed()
    }
}

fn lost(when: &str) -> BlobsError {
    BlobsError::Unavailable(format!("injected fault {when} the call"))
}

impl Fault {
    fn answer<T>(self, result: Result<T, BlobsError>) -> Result<T, BlobsError> {
        match self {
            Self::After => result.and_then(|_| Err(lost("after"))),
            Self::None => result,
        }
    }
}

#[async_trait]
impl<B: Blobs> Blobs for FaultyBlobs<B> {
    async fn begin(&self, upload: NewUpload) -> Result<Upload, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.begin(upload).await)
    }

    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.claim(id).await)
    }

    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        let fault = self.before().await?;
        let body = self.maybe_cut(body);
        fault.answer(self.inner.append(id, fence, offset, body).await)
    }

    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.complete(id, fence, expected).await)
    }

    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.abort(id).await)
    }

    async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.expire_uploads().await)
    }

    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.open(key, range).await)
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.stat(key).await)
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.list(after, limit).await)
    }

    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.mark(key).await)
    }

    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.unmark(key).await)
    }

    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.delete(key).await)
    }

    async fn presign(&self, key: &BlobKey, request: &Presign) -> Result<Option<Url>, BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.presign(key, request).await)
    }

    async fn ping(&self) -> Result<(), BlobsError> {
        let fault = self.before().await?;
        fault.answer(self.inner.ping().await)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::DateTime;
    use riwaq_clock::ManualClock;

    use super::*;
    use crate::MemoryBlobs;

    fn memory() -> MemoryBlobs {
        MemoryBlobs::new(ManualClock::at(DateTime::UNIX_EPOCH))
    }

    fn plan(seed: u64) -> FaultPlan {
        FaultPlan {
            seed,
            fail_before: 0.2,
            fail_after: 0.2,
            cut_body: 0.3,
            delay: 0.1,
        }
    }

    fn pieces() -> Vec<Bytes> {
        (0..6_u8).map(|n| Bytes::from(vec![n; 100])).collect()
    }

    /// The way a careful writer works: after any failure claim, and go on from the durable offset.
    async fn upload_with_retries(blobs: &dyn Blobs) -> (BlobInfo, u32) {
        let new = NewUpload {
            max_bytes: 1_000,
            expires_after: Duration::from_secs(60),
        };
        let whole = Bytes::from(pieces().concat());
        let mut failures = 0;
        let mut upload = loop {
            match blobs.begin(new).await {
                Ok(upload) => break upload,
                Err(_) => failures += 1,
            }
        };
        loop {
            let from = usize::try_from(upload.offset).unwrap();
            let rest = whole.slice(from..);
            let split: Vec<_> = rest
                .chunks(100)
                .map(|c| Ok(Bytes::copy_from_slice(c)))
                .collect();
            let body = futures::stream::iter(split).boxed();
            let appended = blobs
                .append(&upload.id, upload.fence, upload.offset, body)
                .await;
            if appended.is_ok()
                && let Ok(info) = blobs
                    .complete(&upload.id, upload.fence, Expected::default())
                    .await
            {
                return (info, failures);
            }
            failures += 1;
            upload = loop {
                match blobs.claim(&upload.id).await {
                    Ok(claimed) => break claimed,
                    Err(_) => failures += 1,
                }
            };
            if let Some(info) = upload.completed {
                return (info, failures);
            }
        }
    }

    #[tokio::test]
    async fn a_writer_that_retries_gets_its_bytes_through_every_fault() {
        let mut failures = 0;
        for seed in 0..200 {
            let memory = memory();
            let blobs = FaultyBlobs::new(memory.clone(), plan(seed));
            let (info, failed) = upload_with_retries(&blobs).await;
            failures += failed;
            let stored = memory.open(&info.key, ByteRange::Full).await.unwrap();
            assert_eq!(
                stored.read_to_end(1_000).await.unwrap(),
                pieces().concat(),
                "seed {seed}"
            );
            assert_eq!(memory.list(None, 10).await.unwrap().len(), 1, "seed {seed}");
        }
        assert!(failures > 100, "the plan injected only {failures} faults");
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_faults() {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let blobs = FaultyBlobs::new(memory(), plan(7));
            let mut outcomes = Vec::new();
            for _ in 0..100 {
                outcomes.push(blobs.ping().await.is_ok());
            }
            runs.push(outcomes);
        }
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].contains(&true) && runs[0].contains(&false));
    }
}
