//! Blobs in S3-compatible object storage.
//!
//! Owns the objects below one prefix of one bucket. Must not know what a blob means, nor any name that a user gave: every name
//! of an object comes from a random key.
//!
//! How the port's guarantees are kept, over any number of replicas and with nothing but the bucket between them:
//! - **One state object for each upload** holds fence, offset, running digest and the list of what was received. It is changed only
//!   under the condition that it is still the version that was read (`If-Match`), so of two writers exactly one wins. The
//!   server is tried out at start: one that ignores such conditions is refused.
//! - **Content is written under names that nobody else uses** and counts only once the state names it: a writer that was shut out
//!   can leave rubbish, which is tidied up, and never change a byte of what counts. For the same reason the numbers of
//!   parts are never used twice.
//! - **What is smaller than a part (5 MiB) is kept as an object of its own**, so that it is durable when the append returns; it
//!   becomes the front of the next part, or the content of the blob itself.
//! - **The digest travels in the state** ([`sha256`]), so that no replica reads back what another one received.
//! - **A blob is there when its description is.** The upload's state is sealed first; what follows can be repeated by anybody.
//!   Deletion goes the other way round: the description says so first and goes last.
//!
//! Content is sent with a CRC-32 that this crate computes and the server verifies; whole reads are checked against it.
#![warn(missing_docs)]

mod appending;
mod bucket;
mod client;
mod completing;
mod config;
mod documents;
mod errors;
mod layout;
mod links;
mod lost;
mod metrics;
mod reading;
mod sha256;
mod state;
mod store;
mod stored;
mod transport;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use moka::sync::Cache;
use riwaq_blobs::rules::check_limit;
use riwaq_blobs::{
    BlobInfo, BlobKey, Blobs, BlobsError, ByteRange, ByteStream, Content, Expected, Fence,
    NewUpload, Presign, Upload, UploadId,
};
use riwaq_clock::SharedClock;
use tokio::sync::Semaphore;
use url::Url;

pub use config::{Config, MAX_PART_BYTES, MIN_PART_BYTES};
use documents::Loaded;
use layout::Layout;
use lost::Missing;
use state::UploadState;
use store::{Condition, Store};
use stored::Description;
use uploads::Expiries;

/// How many states and descriptions are remembered, and for how long: a state is checked whenever it is written, a
/// description's size and place never change.
const STATES: u64 = 1_000;
const DESCRIPTIONS: u64 = 10_000;
const REMEMBERED: Duration = Duration::from_secs(60);

/// Why the object storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A value of the configuration cannot work.
    #[error("{field}: {reason}")]
    Config {
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The server refuses the key, its secret, or its rights.
    #[error("the object storage at {endpoint} refuses the access key: {reason}")]
    Denied {
        /// The server.
        endpoint: String,
        /// What it says.
        reason: String,
    },
    /// The server's certificate is not one of the authorities that are trusted.
    #[error("the certificate of {endpoint} is not accepted: {reason}")]
    Certificate {
        /// The server.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such bucket, and it may not be made.
    #[error("there is no bucket {0}, and create_bucket is off")]
    NoBucket(String),
    /// The server does not keep what this crate relies on.
    #[error("the object storage at {endpoint} cannot be used: {reason}")]
    Unsuitable {
        /// The server.
        endpoint: String,
        /// What it lacks.
        reason: String,
    },
    /// The server did not answer within `startup_timeout_seconds`.
    #[error("no answer from the object storage at {endpoint}: {reason}")]
    Unavailable {
        /// The server.
        endpoint: String,
        /// The last failure.
        reason: String,
    },
}

/// The store. Clones share connections and what is remembered; any number of processes may use the same bucket.
#[derive(Clone, Debug)]
pub struct S3Blobs {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Store,
    layout: Layout,
    clock: SharedClock,
    /// Signs links for the public name of the server.
    public: Client,
    /// States as this process last saw them, taken out while they are changed.
    states: Cache<UploadId, Loaded<UploadState>>,
    /// Descriptions as this process last saw them; only what never changes is used of them.
    descriptions: Cache<BlobKey, Description>,
    expiries: Expiries,
    missing: Missing,
    /// A permit for each part that is gathered while the one before it is being sent.
    ahead: Semaphore,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Blobs")
            .field("config", self.store.config())
            .finish_non_exhaustive()
    }
}

impl S3Blobs {
    /// Waits for the server as long as the configuration says, makes the bucket where it is missing and may be made, tries out
    /// whether the server honours conditional writes, and sees to the rule for unfinished uploads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: Config, clock: SharedClock) -> Result<Self, OpenError> {
        config.check()?;
        let client = client::internal(&config)?;
        let public = client::public(&config, &client);
        let layout = Layout::new(&config.prefix);
        let ahead = Semaphore::new(config.parts_ahead as usize);
        let store = Store::new(client, Arc::new(config), Arc::clone(&clock));
        bucket::make_ready(&store, &layout).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                layout,
                clock,
                public,
                states: remembered(STATES),
                descriptions: remembered(DESCRIPTIONS),
                expiries: Expiries::default(),
                missing: Missing::default(),
                ahead,
            }),
        })
    }
}

fn remembered<K, V>(most: u64) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(most)
        .time_to_live(REMEMBERED)
        .build()
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn begin(&self, upload: NewUpload) -> Result<Upload, BlobsError> {
        self.inner.begin(upload).await
    }

    async fn claim(&self, id: &UploadId) -> Result<Upload, BlobsError> {
        self.inner.claim(*id).await
    }

    async fn append(
        &self,
        id: &UploadId,
        fence: Fence,
        offset: u64,
        body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        self.inner.append(*id, fence, offset, body).await
    }

    async fn complete(
        &self,
        id: &UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        self.inner.complete(*id, fence, expected).await
    }

    async fn abort(&self, id: &UploadId) -> Result<(), BlobsError> {
        self.inner.abort(*id).await
    }

    async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        self.inner.expire_uploads().await
    }

    async fn open(&self, key: &BlobKey, range: ByteRange) -> Result<Content, BlobsError> {
        self.inner.open(key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobInfo, BlobsError> {
        self.inner
            .describe(key)
            .await
            .map(|description| description.info())
    }

    async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        check_limit(limit)?;
        self.inner.list(after, limit).await
    }

    async fn mark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        self.inner.mark(key, true).await
    }

    async fn unmark(&self, key: &BlobKey) -> Result<(), BlobsError> {
        self.inner.mark(key, false).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        self.inner.delete(key).await
    }

    async fn presign(&self, key: &BlobKey, request: &Presign) -> Result<Option<Url>, BlobsError> {
        self.inner.presign(key, request).await
    }

    async fn ping(&self) -> Result<(), BlobsError> {
        let (store, layout) = (&self.inner.store, &self.inner.layout);
        let name = layout.probe("ping");
        let written = store
            .put(&name, Bytes::from_static(b"ping"), Condition::None)
            .await;
        written.map(|_| ()).map_err(Into::into)
    }
}
