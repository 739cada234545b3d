//! Blobs in a folder of a local file system.
//!
//! Owns the files below one folder and their durability. Must not know what a blob means, nor any name that a user
//! gave: every path comes from a random key.
//!
//! How the port's guarantees are kept:
//! - The folder is locked (`flock`); a second process that opens it is refused at once.
//! - An append is acknowledged after `fdatasync`. The durable offset is the length of the part file: ext4 (ordered), XFS
//!   and Btrfs lengthen a file on disk only after its data is there.
//! - A blob appears by rename of the synced part file, after its description was written; both folders are synced.
//! - Whatever a crash leaves half-done is recognised: a description without content is not a blob.
#![warn(missing_docs)]

mod appending;
mod config;
mod layout;
mod stored;
mod uploads;

use std::fs::File;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::TryStreamExt;
use riwaq_blobs::rules::check_limit;
use riwaq_blobs::{
    BlobInfo, BlobKey, Blobs, BlobsError, ByteRange, ByteStream, Content, ContentBody, Expected,
    Fence, NewUpload, Presign, Upload, UploadId,
};
use riwaq_clock::SharedClock;
use url::Url;

use appending::Appending;
pub use config::Config;
use layout::{Layout, failed};
use uploads::Uploads;

/// How much of a body is gathered before it is written, in bytes: one hand-over to a thread and one write for many small
/// pieces.
const WRITE_BYTES: usize = 512 * 1024;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another handle of this one) has it open.
    #[error("the blob folder {0} is used by another process")]
    Locked(String),
    /// It cannot be made or read.
    #[error("the blob folder {folder} cannot be used: {reason}")]
    Unusable {
        /// The folder.
        folder: String,
        /// What the system says.
        reason: String,
    },
}

/// The store. Clones are handles on the same one; the folder is free again when the last is dropped.
#[derive(Clone, Debug)]
pub struct FolderBlobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    clock: SharedClock,
    min_free_bytes: u64,
    uploads: Uploads,
    /// Held while the description of a blob is changed.
    describing: Mutex<()>,
    /// Unlocks the folder when it is closed.
    _lock: File,
}

impl FolderBlobs {
    /// Opens the folder, makes what is missing, and clears away what a crash left of uploads that never began.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: Config, clock: SharedClock) -> Result<Self, OpenError> {
        let folder = config.folder.display().to_string();
        let opening = tokio::task::spawn_blocking(move || open(config, clock));
        let opened = opening.await.unwrap_or_else(|error| {
            Err(OpenError::Unusable {
                folder,
                reason: error.to_string(),
            })
        })?;
        Ok(Self {
            inner: Arc::new(opened),
        })
    }

    /// Runs on the blocking pool; it goes on to its end even when the caller goes away.
    async fn blocking<T, F>(&self, work: F) -> Result<T, BlobsError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, BlobsError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(BlobsError::Unavailable(error.to_string())))
    }

    /// Writes what was gathered and gives the buffer back, emptied.
    async fn write(
        &self,
        appending: &Arc<Appending>,
        mut gathered: Vec<u8>,
    ) -> Result<Vec<u8>, BlobsError> {
        let appending = Arc::clone(appending);
        self.blocking(move |inner| {
            inner.check_free()?;
            appending.write(&inner.layout, &gathered)?;
            gathered.clear();
            Ok(gathered)
        })
        .await
    }
}

fn open(config: Config, clock: SharedClock) -> Result<Inner, OpenError> {
    let folder = config.folder.display().to_string();
    let unusable = |reason: String| OpenError::Unusable {
        folder: folder.clone(),
        reason,
    };
    let layout = Layout::create(config.folder).map_err(|e| unusable(e.to_string()))?;
    let mut options = File::options();
    let lock = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(layout.lock());
    let lock = lock.map_err(|e| unusable(e.to_string()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::Locked(folder)),
        Err(std::fs::TryLockError::Error(error)) => return Err(unusable(error.to_string())),
    }
    uploads::clear_leftovers(&layout).map_err(|e| unusable(e.to_string()))?;
    Ok(Inner {
        layout,
        clock,
        min_free_bytes: config.min_free_bytes,
        uploads: Uploads::default(),
        describing: Mutex::default(),
        _lock: lock,
    })
}

impl Inner {
    fn check_free(&self) -> Result<(), BlobsError> {
        let root = self.layout.root();
        let stat = rustix::fs::statvfs(root).map_err(|e| failed("examine", root, &e.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.min_free_bytes {
            let min = self.min_free_bytes;
            return Err(BlobsError::NoSpace(format!(
                "{free} bytes are free, {min} must stay free"
            )));
        }
        Ok(())
    }

    /// Writes, syncs and removes a file.
    fn probe(&self) -> Result<(), BlobsError> {
        self.check_free()?;
        let path = self.layout.probe();
        let written = (|| {
            use std::io::Write;
            let mut file = File::create(&path)?;
            file.write_all(b"probe")?;
            file.sync_all()
        })();
        written.map_err(|error| failed("write", &path, &error))?;
        layout::remove(&path).map(|_| ())
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn begin(&self, new: NewUpload) -> Result<Upload, BlobsError> {
        self.blocking(move |inner| {
            inner.check_free()?;
            inner.uploads.begin(&inner.layout, new, inner.clock.now())
        })
        .await
    }

    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError> {
        let id = *id;
        self.blocking(move |inner| inner.uploads.claim(&inner.layout, id, inner.clock.now()))
            .await
    }

    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        mut body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        let id = *id;
        let start = move |inner: &Inner| {
            inner
                .uploads
                .start_append(&inner.layout, id, fence, offset, inner.clock.now())
        };
        let appending = Arc::new(self.blocking(start).await?);
        let mut gathered = Vec::new();
        let ended = loop {
            match body.try_next().await {
                Ok(Some(piece)) => gathered.extend_from_slice(&piece),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if gathered.len() >= WRITE_BYTES {
                gathered = self.write(&appending, gathered).await?;
            }
        };
        if !gathered.is_empty() {
            self.write(&appending, gathered).await?;
        }
        ended?;
        self.blocking(move |inner| appending.finish(&inner.layout))
            .await
    }

    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        let id = *id;
        self.blocking(move |inner| {
            inner
                .uploads
                .complete(&inner.layout, id, fence, expected, inner.clock.now())
        })
        .await
    }

    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError> {
        let id = *id;
        self.blocking(move |inner| inner.uploads.abort(&inner.layout, id, inner.clock.now()))
            .await
    }

    async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        self.blocking(|inner| inner.uploads.expire(&inner.layout, inner.clock.now()))
            .await
    }

    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError> {
        let key = *key;
        self.blocking(move |inner| {
            let (info, file) = stored::open(&inner.layout, &key)?;
            let range = range.resolve(info.size)?;
            Ok(Content {
                info,
                range,
                body: ContentBody::File(file),
            })
        })
        .await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError> {
        let key = *key;
        self.blocking(move |inner| stored::open(&inner.layout, &key).map(|(info, _)| info))
            .await
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        check_limit(limit)?;
        self.blocking(move |inner| {
            inner.with_descriptions(|layout| stored::list(layout, after, limit))
        })
        .await
    }

    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let key = *key;
        self.blocking(move |inner| {
            let now = inner.clock.now();
            inner.with_descriptions(|layout| {
                stored::describe(layout, &key, |info| {
                    info.marked_at.get_or_insert(now);
                })
            })
        })
        .await
    }

    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        let key = *key;
        self.blocking(move |inner| {
            inner.with_descriptions(|layout| {
                stored::describe(layout, &key, |info| info.marked_at = None)
            })
        })
        .await
    }

    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        let key = *key;
        self.blocking(move |inner| {
            let now = inner.clock.now();
            inner.with_descriptions(|layout| stored::delete(layout, &key, now))
        })
        .await
    }

    async fn presign(&self, _: &BlobKey, _: &Presign) -> Result<Option<Url>, BlobsError> {
        Ok(None)
    }

    async fn ping(&self) -> Result<(), BlobsError> {
        self.blocking(Inner::probe).await
    }
}
