//! Stores that are watched and held up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use riwaq_aggregates::records::{
    Conditional, Key, Memory, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records,
    RecordsError, Scan, StoredRow, TableCursor, TablePage, TableSchema, Write,
};
use riwaq_blobs::{
    BlobInfo, BlobKey, Blobs, BlobsError, ByteRange, ByteStream, Content, Expected, Fence,
    MemoryBlobs, NewUpload, Presign, Upload, UploadId,
};
use tokio::sync::{RwLock, watch};
use url::Url;

/// Counts what is asked of a blob store, and refuses to open where it is told to.
#[derive(Clone, Debug)]
pub(super) struct WatchedBlobs {
    inner: MemoryBlobs,
    pub(super) seen: Arc<Seen>,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    stats: AtomicU64,
    pub(super) opens: watch::Sender<u64>,
    pub(super) away: AtomicBool,
}

impl Seen {
    /// How often was asked what a blob is, and for its bytes, since the last time.
    pub(super) fn taken(&self) -> (u64, u64) {
        let stats = self.stats.swap(0, Ordering::SeqCst);
        (stats, self.opens.send_replace(0))
    }
}

impl WatchedBlobs {
    pub(super) fn new(inner: MemoryBlobs, seen: Arc<Seen>) -> Self {
        Self { inner, seen }
    }
}

#[async_trait]
impl Blobs for WatchedBlobs {
    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError> {
        self.seen.opens.send_modify(|opens| *opens += 1);
        if self.seen.away.load(Ordering::SeqCst) {
            return Err(BlobsError::Unavailable("away on purpose".into()));
        }
        self.inner.open(key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError> {
        self.seen.stats.fetch_add(1, Ordering::SeqCst);
        self.inner.stat(key).await
    }

    async fn begin(&self, upload: NewUpload) -> Result<Upload, BlobsError> {
        self.inner.begin(upload).await
    }

    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError> {
        self.inner.claim(id).await
    }

    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        self.inner.append(id, fence, offset, body).await
    }

    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        self.inner.complete(id, fence, expected).await
    }

    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError> {
        self.inner.abort(id).await
    }

    async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        self.inner.expire_uploads().await
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        self.inner.list(after, limit).await
    }

    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        self.inner.mark(key).await
    }

    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        self.inner.unmark(key).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        self.inner.delete(key).await
    }

    async fn presign(&self, key: &BlobKey, request: &Presign) -> Result<Option<Url>, BlobsError> {
        self.inner.presign(key, request).await
    }

    async fn ping(&self) -> Result<(), BlobsError> {
        self.inner.ping().await
    }
}

/// Records whose writes wait while somebody holds the gate, and fail while they are told to.
#[derive(Debug)]
pub(super) struct HeldRecords {
    inner: Memory,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) open: RwLock<()>,
    pub(super) away: AtomicBool,
}

impl HeldRecords {
    pub(super) fn new(inner: Memory, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

#[async_trait]
impl Records for HeldRecords {
    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        let _through = self.gate.open.read().await;
        if self.gate.away.load(Ordering::SeqCst) {
            return Err(RecordsError::unavailable("away on purpose"));
        }
        self.inner.write(writes).await
    }

    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        self.inner.get(schema, key, level).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        self.inner.scan(scan).await
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        self.inner.apply(conditional).await
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        self.inner.scan_table(schema, after, limit).await
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        self.inner.schema_number().await
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.inner.migrate(plan).await
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        self.inner.ping().await
    }
}
