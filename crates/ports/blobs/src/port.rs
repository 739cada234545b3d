//! The trait.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use url::Url;

use crate::{
    BlobInfo, BlobKey, BlobsError, ByteRange, Content, Expected, Fence, NewUpload, Upload, UploadId,
};

/// Content on its way in or out. Pieces have any size; empty ones are allowed.
pub type ByteStream<'a> = BoxStream<'a, Result<Bytes, BlobsError>>;

/// What an object store's own link must say in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presign {
    /// How long the link works.
    pub expires_after: Duration,
    /// The `Content-Disposition` of the answer (RFC 6266).
    pub content_disposition: String,
    /// The `Content-Type` of the answer.
    pub media_type: String,
}

/// Large immutable pieces of content.
///
/// **Uploads are staged.** [`begin`](Self::begin) names an upload, [`append`](Self::append) adds to it,
/// [`complete`](Self::complete) makes the blob. Until then nothing can be read, and an upload that is not
/// completed is forgotten after its time. What an append acknowledged is durable: it survives `kill -9`
/// and loss of power.
///
/// **One writer at a time.** Every append shows the fence that `begin` or [`claim`](Self::claim) gave;
/// `claim` raises it, so a half-open writer can add nothing more. Of two appends at the same offset at
/// most one is accepted.
///
/// **A blob is whole or absent.** It appears at `complete`, atomically and durably, with the SHA-256 that the
/// store computed. Its content never changes.
///
/// **Deletion is mark and sweep.** A blob is deleted only when it was marked at least
/// [`crate::DELETE_GRACE`] ago; see [`crate::mark_and_sweep`].
///
/// Retries: every method may be repeated after [`BlobsError::Unavailable`] without doubling an effect; after a
/// failed `append` call `claim` and go on from its offset, after a failed `begin` the first upload expires
/// by itself.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug + 'static {
    /// Begins an upload. Durable when it returns.
    ///
    /// # Errors
    /// `InvalidInput` when the upload would expire at once or beyond time's end, `NoSpace`, `Unavailable`.
    async fn begin(&self, upload: NewUpload) -> Result<Upload, BlobsError>;

    /// Takes the upload over: raises the fence, makes what has arrived durable, and says how much that is.
    /// The writer before is refused from here on. Of a completed upload it tells the blob, until the upload
    /// would have expired.
    ///
    /// # Errors
    /// `UploadNotFound` (also once expired), `Unavailable`.
    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError>;

    /// Adds `body` at `offset`, which must be where the upload ends. Returns the new end; all before it is
    /// durable. Nothing is held in memory but a few pieces.
    ///
    /// When the body fails, the limit is passed, or the future is dropped, what had arrived may stay:
    /// `claim` tells how much.
    ///
    /// # Errors
    /// `UploadNotFound`, `AlreadyComplete`, `Fenced`, `Busy`, `OffsetMismatch`, `TooLarge`, `Body`,
    /// `NoSpace`, `Unavailable`.
    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        body: ByteStream<'_>,
    ) -> Result<u64, BlobsError>;

    /// Makes the blob out of what was appended. Durable and visible when it returns. Repeating it gives the
    /// same blob until the upload would have expired.
    ///
    /// # Errors
    /// `UploadNotFound`, `Fenced`, `Busy` (an append is running), `Mismatch` (nothing happened),
    /// `Unavailable`.
    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError>;

    /// Forgets an upload and its bytes, whoever writes to it. Repeating it is harmless.
    ///
    /// # Errors
    /// `AlreadyComplete`, `Unavailable`. An unknown upload is not an error.
    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError>;

    /// Removes uploads whose time is over and returns how many unfinished ones that were.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn expire_uploads(&self) -> Result<u64, BlobsError>;

    /// Opens some bytes of a blob. What is told of its mark may be a minute old.
    ///
    /// A read that has begun ends well even if the blob is marked meanwhile. When it is deleted meanwhile the read ends
    /// well or with `Unavailable` (a remote store may drop what it has not sent yet), and is never short or wrong.
    ///
    /// # Errors
    /// `BlobNotFound`, `RangeNotSatisfiable`, `Unavailable`, `Corrupt`; the stream itself ends with `Unavailable` or
    /// `Corrupt`.
    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError>;

    /// What is known of a blob without its content.
    ///
    /// # Errors
    /// `BlobNotFound`, `Unavailable`, `Corrupt`.
    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError>;

    /// Blobs in the order of their keys, after `after`, at most `limit` (1 to [`crate::MAX_LIST`]). For operators'
    /// work (sweeping, export, checks): slow on large stores. A page shorter than `limit` is the last.
    ///
    /// # Errors
    /// `InvalidInput` for a limit out of range, `Unavailable`, `Corrupt`.
    async fn list(&self, after: Option<BlobKey>, limit: usize)
    -> Result<Vec<BlobInfo>, BlobsError>;

    /// Marks a blob for deletion now; one that is marked keeps its time. Durable when it returns.
    ///
    /// # Errors
    /// `BlobNotFound`, `Unavailable`.
    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError>;

    /// Takes the mark away. Durable when it returns; harmless where there is none.
    ///
    /// # Errors
    /// `BlobNotFound`, `Unavailable`.
    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError>;

    /// Deletes a blob that was marked at least [`crate::DELETE_GRACE`] ago. Returns whether it was there.
    ///
    /// # Errors
    /// `InGrace`, `Unavailable`.
    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError>;

    /// A link by which the store itself serves the blob, or none where it cannot (a folder, an empty blob). Such a link is
    /// not journalled when it is used.
    ///
    /// # Errors
    /// `InvalidInput` when it would live for less than a second or longer than the store allows (seven days for
    /// S3), `BlobNotFound`, `Unavailable`.
    async fn presign(&self, key: &BlobKey, request: &Presign) -> Result<Option<Url>, BlobsError>;

    /// Whether the store works, writing included: for readiness and `doctor`.
    ///
    /// # Errors
    /// `NoSpace`, `Unavailable`, with the reason.
    async fn ping(&self) -> Result<(), BlobsError>;
}
