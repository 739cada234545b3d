//! Blobs in memory: the reference that adapters are compared with, and the store of service tests.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use riwaq_clock::SharedClock;
use url::Url;

use crate::rules::{check_expected, check_grace, check_limit, expiry};
use crate::{
    BlobInfo, BlobKey, Blobs, BlobsError, ByteRange, ByteStream, Content, ContentBody, Expected,
    Fence, NewUpload, Presign, READ_BYTES, Sha256, Upload, UploadId,
};

/// A store that lives as long as its last clone. Clones are handles on the same blobs.
#[derive(Clone, Debug)]
pub struct MemoryBlobs {
    clock: SharedClock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    uploads: HashMap<UploadId, MemoryUpload>,
    blobs: BTreeMap<BlobKey, (BlobInfo, Bytes)>,
}

#[derive(Debug)]
struct MemoryUpload {
    key: BlobKey,
    fence: Fence,
    max_bytes: u64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    bytes: BytesMut,
    /// Whether an append of the present fence is running.
    writing: bool,
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// A handle on what is left after the process was killed: no writer runs any more.
    #[must_use]
    pub fn reopened(&self) -> Self {
        for upload in self.state().uploads.values_mut() {
            upload.writing = false;
        }
        self.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_append(&self, id: &UploadId, fence: Fence, offset: u64) -> Result<(), BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let upload = state.writable(id, fence, now)?;
        let durable = upload.bytes.len() as u64;
        if offset != durable {
            return Err(BlobsError::OffsetMismatch { durable });
        }
        upload.writing = true;
        Ok(())
    }

    fn append_piece(&self, id: &UploadId, fence: Fence, piece: &[u8]) -> Result<(), BlobsError> {
        let mut state = self.state();
        let upload = state
            .uploads
            .get_mut(id)
            .ok_or(BlobsError::UploadNotFound)?;
        if upload.fence != fence {
            return Err(BlobsError::Fenced);
        }
        let room = upload.max_bytes - upload.bytes.len() as u64;
        let fits = usize::try_from(room).map_or(piece.len(), |room| piece.len().min(room));
        upload.bytes.extend_from_slice(&piece[..fits]);
        if fits < piece.len() {
            return Err(BlobsError::TooLarge {
                max_bytes: upload.max_bytes,
            });
        }
        Ok(())
    }
}

impl State {
    fn upload(
        &mut self,
        id: &UploadId,
        now: DateTime<Utc>,
    ) -> Result<&mut MemoryUpload, BlobsError> {
        match self.uploads.get_mut(id) {
            Some(upload) if now < upload.expires_at => Ok(upload),
            _ => Err(BlobsError::UploadNotFound),
        }
    }

    /// The upload, if an operation that shows `fence` may change it now.
    fn writable(
        &mut self,
        id: &UploadId,
        fence: Fence,
        now: DateTime<Utc>,
    ) -> Result<&mut MemoryUpload, BlobsError> {
        let key = self.upload(id, now)?.key;
        let done = self.blobs.contains_key(&key);
        let upload = self.upload(id, now)?;
        if upload.fence != fence {
            return Err(BlobsError::Fenced);
        }
        if done {
            return Err(BlobsError::AlreadyComplete);
        }
        if upload.writing {
            return Err(BlobsError::Busy);
        }
        Ok(upload)
    }
}

impl MemoryUpload {
    fn seen(&self, id: UploadId, completed: Option<BlobInfo>) -> Upload {
        Upload {
            id,
            fence: self.fence,
            offset: completed
                .as_ref()
                .map_or(self.bytes.len() as u64, |blob| blob.size),
            max_bytes: self.max_bytes,
            created_at: self.created_at,
            expires_at: self.expires_at,
            completed,
        }
    }
}

/// Ends an append however it ends, being dropped included.
struct Writing<'a> {
    blobs: &'a MemoryBlobs,
    id: UploadId,
    fence: Fence,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(upload) = self.blobs.state().uploads.get_mut(&self.id)
            && upload.fence == self.fence
        {
            upload.writing = false;
        }
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn begin(&self, new: NewUpload) -> Result<Upload, BlobsError> {
        let created_at = self.clock.now();
        let expires_at = expiry(created_at, new.expires_after)?;
        let id = UploadId::random();
        let upload = MemoryUpload {
            key: BlobKey::random(),
            fence: Fence(1),
            max_bytes: new.max_bytes,
            created_at,
            expires_at,
            bytes: BytesMut::new(),
            writing: false,
        };
        let seen = upload.seen(id, None);
        self.state().uploads.insert(id, upload);
        Ok(seen)
    }

    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let key = state.upload(id, now)?.key;
        let completed = state.blobs.get(&key).map(|(info, _)| info.clone());
        let upload = state.upload(id, now)?;
        upload.fence.0 += 1;
        upload.writing = false;
        Ok(upload.seen(*id, completed))
    }

    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        mut body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        self.start_append(id, fence, offset)?;
        let _writing = Writing {
            blobs: self,
            id: *id,
            fence,
        };
        while let Some(piece) = body.try_next().await? {
            self.append_piece(id, fence, &piece)?;
        }
        // Fenced even if the last piece came before the take-over: the other writer has counted it.
        self.append_piece(id, fence, &[])?;
        let state = self.state();
        state
            .uploads
            .get(id)
            .map(|u| u.bytes.len() as u64)
            .ok_or(BlobsError::UploadNotFound)
    }

    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let upload = match state.writable(id, fence, now) {
            Ok(upload) => upload,
            Err(BlobsError::AlreadyComplete) => {
                let key = state.upload(id, now)?.key;
                let (info, _) = state.blobs.get(&key).ok_or(BlobsError::BlobNotFound)?;
                check_expected(expected, info.size, info.sha256)?;
                return Ok(info.clone());
            }
            Err(error) => return Err(error),
        };
        let (size, sha256) = (upload.bytes.len() as u64, Sha256::of(&upload.bytes));
        check_expected(expected, size, sha256)?;
        let key = upload.key;
        let bytes = std::mem::take(&mut upload.bytes).freeze();
        let info = BlobInfo {
            key,
            size,
            sha256,
            created_at: now,
            marked_at: None,
        };
        state.blobs.insert(key, (info.clone(), bytes));
        Ok(info)
    }

    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Ok(upload) = state.upload(id, now) else {
            return Ok(());
        };
        let key = upload.key;
        if state.blobs.contains_key(&key) {
            return Err(BlobsError::AlreadyComplete);
        }
        state.uploads.remove(id);
        Ok(())
    }

    async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let State { uploads, blobs } = &mut *state;
        let mut unfinished = 0;
        uploads.retain(|_, upload| {
            let keep = now < upload.expires_at;
            unfinished += u64::from(!keep && !blobs.contains_key(&upload.key));
            keep
        });
        Ok(unfinished)
    }

    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError> {
        let (info, bytes) = self
            .state()
            .blobs
            .get(key)
            .cloned()
            .ok_or(BlobsError::BlobNotFound)?;
        let range = range.resolve(info.size)?;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let wanted = bytes.slice(at(range.start)..at(range.end));
        let pieces = (0..wanted.len().div_ceil(READ_BYTES)).map(move |n| {
            let start = n * READ_BYTES;
            Ok(wanted.slice(start..wanted.len().min(start + READ_BYTES)))
        });
        let body = ContentBody::Stream(futures::stream::iter(pieces).boxed());
        Ok(Content { info, range, body })
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError> {
        let state = self.state();
        state
            .blobs
            .get(key)
            .map(|(info, _)| info.clone())
            .ok_or(BlobsError::BlobNotFound)
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        check_limit(limit)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let after = state.blobs.range((from, Bound::Unbounded));
        Ok(after
            .take(limit)
            .map(|(_, (info, _))| info.clone())
            .collect())
    }

    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let (info, _) = state.blobs.get_mut(key).ok_or(BlobsError::BlobNotFound)?;
        info.marked_at.get_or_insert(now);
        Ok(())
    }

    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let mut state = self.state();
        let (info, _) = state.blobs.get_mut(key).ok_or(BlobsError::BlobNotFound)?;
        info.marked_at = None;
        Ok(())
    }

    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Some((info, _)) = state.blobs.get(key) else {
            return Ok(false);
        };
        check_grace(info, now)?;
        state.blobs.remove(key);
        state.uploads.retain(|_, upload| upload.key != *key);
        Ok(true)
    }

    async fn presign(&self, _: &BlobKey, _: &Presign) -> Result<Option<Url>, BlobsError> {
        Ok(None)
    }

    async fn ping(&self) -> Result<(), BlobsError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use riwaq_clock::ManualClock;

    use super::*;
    use crate::conformance::{self, Factory, Fixture};

    struct Memory;

    #[async_trait]
    impl Factory for Memory {
        async fn fresh(&self, clock: Arc<ManualClock>) -> Box<dyn Fixture> {
            Box::new(MemoryFixture(MemoryBlobs::new(clock)))
        }
    }

    struct MemoryFixture(MemoryBlobs);

    #[async_trait]
    impl Fixture for MemoryFixture {
        fn blobs(&self) -> Arc<dyn Blobs> {
            Arc::new(self.0.clone())
        }

        async fn second(&self) -> Arc<dyn Blobs> {
            Arc::new(self.0.clone())
        }

        async fn reopen(&mut self) {
            self.0 = self.0.reopened();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn memory_keeps_the_contract() {
        conformance::assert_conforms("memory", &Memory).await;
    }
}
