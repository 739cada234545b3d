//! The requests: each timed, counted, and with its errors named. Knows objects, nothing of blobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use riwaq_blobs::BlobsError;
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;

use crate::client::longer;
use crate::errors::{Kind, Refusal};
use crate::state::Part;
use crate::{Config, metrics};

/// The most bytes that a state or description may have: one of an upload in 10,000 parts has a tenth of it.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// How fast a server puts parts together at least, in bytes a second: some copy them.
const COMPLETE_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// How many objects are deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// The bucket. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    config: Arc<Config>,
    calls: Arc<Calls>,
    encryption: Option<ServerSideEncryption>,
    kms_key_id: Option<String>,
    /// Whether the last request that ended had no answer in time.
    suspect: Arc<AtomicBool>,
}

/// Under which condition an object is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition<'a> {
    /// Whatever is there.
    None,
    /// Nothing is there.
    Absent,
    /// What is there has this tag.
    Is(&'a str),
}

/// Content on its way.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) body: ByteStream,
    pub(crate) etag: String,
    /// How many bytes the server says are coming.
    pub(crate) length: u64,
}

/// A page of names.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) names: Vec<String>,
    /// Whether there are more.
    pub(crate) more: bool,
}

impl Store {
    pub(crate) fn new(client: Client, config: Arc<Config>, clock: SharedClock) -> Self {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            client,
            encryption: text(&config.server_side_encryption).map(|name| name.as_str().into()),
            kms_key_id: text(&config.kms_key_id),
            config,
            calls: Arc::new(metrics::calls(clock)),
            suspect: Arc::default(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    fn bucket(&self) -> &str {
        &self.config.bucket
    }

    /// Times and counts a request, and names what went wrong. On the heap: the SDK's futures have 16 kB.
    pub(crate) fn call<'a, T, E>(
        &'a self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Refusal>>
    where
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + 'static,
    {
        Box::pin(async move {
            let call = self.within(operation, request);
            let result = self.calls.of(operation, call, metrics::outcome).await;
            let is_silent = matches!(&result, Err(refusal) if refusal.kind == Kind::Silent);
            self.suspect.store(is_silent, Ordering::Relaxed);
            result
        })
    }

    /// Waits as long as the request may take, or less where the one before it had no answer.
    async fn within<T, E>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let result = if self.suspect.load(Ordering::Relaxed) {
            let least = Duration::from_millis(self.config.suspect_timeout_ms);
            let waited = tokio::time::timeout(least, request).await;
            waited.map_err(|_| Refusal::given_up(operation, least))?
        } else {
            request.await
        };
        result.map_err(|error| Refusal::new(operation, &error))
    }

    /// Reads a small object with its tag; none where there is none.
    pub(crate) async fn get_document(
        &self,
        name: &str,
    ) -> Result<Option<(Bytes, String)>, BlobsError> {
        let mut bytes = BytesMut::new();
        let etag = self.read_into(&mut bytes, name, MAX_DOCUMENT_BYTES).await?;
        Ok(etag.map(|etag| (bytes.freeze(), etag)))
    }

    /// Adds the bytes of a whole object to `bytes` and gives its tag; none where there is none. One of more than `most` bytes
    /// is damaged.
    pub(crate) async fn read_into(
        &self,
        bytes: &mut BytesMut,
        name: &str,
        most: u64,
    ) -> Result<Option<String>, BlobsError> {
        let Some(mut opened) = self.get(name, None, None).await? else {
            return Ok(None);
        };
        let idle = self.config.read_idle_timeout();
        let mut read = 0;
        loop {
            if opened.length.max(read) > most {
                let has = opened.length.max(read);
                let why = format!("{name} has {has} bytes, and at most {most} were expected");
                return Err(BlobsError::Corrupt(why));
            }
            let next = tokio::time::timeout(idle, opened.body.next()).await;
            let next = next.map_err(|_| cut("get_object", name, "it does not go on"))?;
            let Some(piece) = next else {
                return Ok(Some(opened.etag));
            };
            let piece = piece.map_err(|error| cut("get_object", name, &error.to_string()))?;
            read += piece.len() as u64;
            bytes.extend_from_slice(&piece);
        }
    }

    /// Opens an object, or bytes of it; none where there is none.
    pub(crate) async fn get(
        &self,
        name: &str,
        range: Option<&std::ops::Range<u64>>,
        etag: Option<&str>,
    ) -> Result<Option<Opened>, BlobsError> {
        let range =
            range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(name)
            .set_range(range)
            .set_if_match(etag.map(str::to_owned));
        match self.call("get_object", request.send()).await {
            Ok(output) => Ok(Some(Opened {
                length: output
                    .content_length()
                    .and_then(|n| u64::try_from(n).ok())
                    .unwrap_or(0),
                etag: output.e_tag().unwrap_or_default().to_owned(),
                body: output.body,
            })),
            Err(refusal) if refusal.kind == Kind::NotFound => Ok(None),
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// The size of an object; none where there is none.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, BlobsError> {
        let request = self.client.head_object().bucket(self.bucket()).key(name);
        match self.call("head_object", request.send()).await {
            Ok(output) => Ok(output.content_length().and_then(|n| u64::try_from(n).ok())),
            Err(refusal) if refusal.kind == Kind::NotFound => Ok(None),
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// Writes an object and gives its tag. Whether the condition held is told by the refusal's kind; after tries that had no
    /// answer a condition may be refused because of one of them.
    pub(crate) async fn put(
        &self,
        name: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<String, Refusal> {
        let mut request = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(name)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .content_type("application/octet-stream")
            .checksum_crc32(checksum(crc32fast::hash(&bytes)))
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key_id.clone())
            .body(ByteStream::from(bytes));
        request = match condition {
            Condition::None => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Is(etag) => request.if_match(etag),
        };
        // The checksum protects the body; signing it would hash it once more.
        let sending = request.customize().disable_payload_signing().send();
        let output = self.call("put_object", sending).await?;
        Ok(output.e_tag().unwrap_or_default().to_owned())
    }

    /// Removes an object; none is not an error.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), BlobsError> {
        let request = self.client.delete_object().bucket(self.bucket()).key(name);
        match self.call("delete_object", request.send()).await {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.kind == Kind::NotFound => Ok(()),
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// Removes objects, a few at once.
    pub(crate) async fn delete_all(&self, names: Vec<String>) -> Result<(), BlobsError> {
        let mut deletions = stream::iter(names)
            .map(|name| async move { self.delete(&name).await })
            .buffer_unordered(DELETES_AT_ONCE);
        while let Some(deleted) = deletions.next().await {
            deleted?;
        }
        Ok(())
    }

    /// Names that begin with `prefix`, in order, after `after`.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .max_keys(i32::try_from(limit).unwrap_or(1_000));
        let output = self.call("list_objects", request.send()).await?;
        let more = output.is_truncated().unwrap_or(false);
        let names = output.contents.unwrap_or_default();
        Ok(Page {
            names: names.into_iter().filter_map(|object| object.key).collect(),
            more,
        })
    }

    /// Begins a multipart upload and gives its id.
    pub(crate) async fn create_multipart(&self, name: &str) -> Result<String, BlobsError> {
        let request = self
            .client
            .create_multipart_upload()
            .bucket(self.bucket())
            .key(name)
            .content_type("application/octet-stream")
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key_id.clone());
        let output = self.call("create_multipart_upload", request.send()).await?;
        let id = output.upload_id().unwrap_or_default();
        if id.is_empty() {
            return Err(BlobsError::Unavailable(
                "a multipart upload without an id".into(),
            ));
        }
        Ok(id.to_owned())
    }

    /// Sends a part.
    pub(crate) async fn upload_part(
        &self,
        name: &str,
        upload_id: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<Part, Refusal> {
        let crc32 = crc32fast::hash(&bytes);
        let request = self
            .client
            .upload_part()
            .bucket(self.bucket())
            .key(name)
            .upload_id(upload_id)
            .part_number(number)
            .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .checksum_crc32(checksum(crc32))
            .body(ByteStream::from(bytes));
        let sending = request.customize().disable_payload_signing().send();
        let output = self.call("upload_part", sending).await?;
        Ok(Part {
            number,
            etag: output.e_tag().unwrap_or_default().to_owned(),
            crc32,
        })
    }

    /// Puts the parts together; false where the upload or parts of it are not there (any more).
    pub(crate) async fn complete_multipart(
        &self,
        name: &str,
        upload_id: &str,
        parts: &[Part],
        bytes: u64,
    ) -> Result<bool, BlobsError> {
        let parts = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number)
                .e_tag(&part.etag)
                .checksum_crc32(checksum(part.crc32))
                .build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(self.bucket())
            .key(name)
            .upload_id(upload_id)
            .multipart_upload(parts.build());
        let sending = request
            .customize()
            .config_override(longer(&self.config, joining(bytes)))
            .send();
        match self.call("complete_multipart_upload", sending).await {
            Ok(_) => Ok(true),
            Err(refusal)
                if matches!(
                    refusal.kind,
                    Kind::NoSuchUpload | Kind::NoSuchPart | Kind::NotFound
                ) =>
            {
                Ok(false)
            }
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// How long putting together so many bytes may take until whoever asked for it gives up: all tries in one.
    pub(crate) fn longest_completion(&self, bytes: u64) -> Duration {
        Duration::from_millis(self.config.operation_timeout_ms) + joining(bytes)
    }

    /// Forgets a multipart upload and its parts; none is not an error.
    pub(crate) async fn abort_multipart(
        &self,
        name: &str,
        upload_id: &str,
    ) -> Result<(), BlobsError> {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(self.bucket())
            .key(name)
            .upload_id(upload_id);
        match self.call("abort_multipart_upload", request.send()).await {
            Ok(_) => Ok(()),
            Err(refusal) if matches!(refusal.kind, Kind::NoSuchUpload | Kind::NotFound) => Ok(()),
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// The ids of the multipart uploads for one object. (MinIO lists by the whole name only.)
    pub(crate) async fn multiparts(&self, name: &str) -> Result<Vec<String>, BlobsError> {
        let request = self
            .client
            .list_multipart_uploads()
            .bucket(self.bucket())
            .prefix(name);
        let output = self.call("list_multipart_uploads", request.send()).await?;
        let uploads = output.uploads.unwrap_or_default().into_iter();
        Ok(uploads
            .filter(|upload| upload.key.as_deref() == Some(name))
            .filter_map(|upload| upload.upload_id)
            .collect())
    }
}

/// How long a server may need to put so many bytes together.
fn joining(bytes: u64) -> Duration {
    Duration::from_secs(bytes / COMPLETE_BYTES_PER_SECOND)
}

/// As the header wants it (RFC 4648 §4 of the four bytes, the highest first).
fn checksum(crc32: u32) -> String {
    STANDARD.encode(crc32.to_be_bytes())
}

/// An answer that did not come to its end.
fn cut(operation: &str, name: &str, why: &str) -> BlobsError {
    BlobsError::Unavailable(format!("{operation}: {name}: {why}"))
}
