//! Real servers for the tests of this crate: buckets that are removed again.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test program uses a part; a test fails by panicking"
)]

use std::path::PathBuf;
use std::sync::Arc;

use riwaq_blobs::{BlobInfo, Blobs, ByteStream, Expected, NewUpload, Upload};
use riwaq_blobs_s3::{Config, S3Blobs};
use riwaq_clock::SharedClock;
use riwaq_test_kit::Backend;

/// A server of the tests.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) config: Config,
}

/// MinIO, over plain HTTP.
pub(crate) fn minio() -> Option<Server> {
    let Backend::Ready(url) = riwaq_test_kit::s3() else {
        return None;
    };
    Some(Server {
        name: "s3 (minio)",
        config: config(&url, None),
    })
}

/// versitygw, over TLS with the tests' authority.
pub(crate) fn versitygw() -> Option<Server> {
    let (Backend::Ready(url), Backend::Ready(ca)) =
        (riwaq_test_kit::s3_second(), riwaq_test_kit::authority())
    else {
        return None;
    };
    Some(Server {
        name: "s3 (versitygw)",
        config: config(&url, Some(ca.into())),
    })
}

pub(crate) fn servers() -> Vec<Server> {
    minio().into_iter().chain(versitygw()).collect()
}

/// Time-outs wide enough for a machine on which everything runs at once.
pub(crate) fn config(url: &str, ca_file: Option<PathBuf>) -> Config {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (user, host) = rest.split_once('@').expect("a user in the URL");
    let (access_key, secret_key) = user.split_once(':').expect("a secret in the URL");
    Config {
        endpoint: format!("{scheme}://{}", host.trim_end_matches('/')),
        access_key: access_key.into(),
        secret_key: secret_key.into(),
        ca_file,
        attempt_timeout_ms: 30_000,
        operation_timeout_ms: 60_000,
        suspect_timeout_ms: 60_000,
        ..Config::default()
    }
}

/// A bucket of this test alone. Each of its stores lies below a prefix of its own.
pub(crate) struct Bucket {
    pub(crate) config: Config,
    client: S3Client,
}

type S3Client = aws_sdk_s3::Client;

impl Bucket {
    /// A name that is not taken; the bucket is made by the first store that is opened.
    pub(crate) fn new(server: &Server) -> Self {
        let bucket = format!("test-{}", uuid::Uuid::new_v4().simple());
        let config = Config {
            bucket,
            ..server.config.clone()
        };
        let client = client(&config);
        Self { config, client }
    }

    pub(crate) fn prefixed(&self, prefix: &str) -> Config {
        Config {
            prefix: prefix.into(),
            ..self.config.clone()
        }
    }

    /// The names of all objects below a prefix.
    pub(crate) async fn names(&self, prefix: &str) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.config.bucket)
                .prefix(prefix)
                .set_start_after(after)
                .send()
                .await
                .expect("a list");
            let more = page.is_truncated().unwrap_or(false);
            names.extend(
                page.contents
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|object| object.key),
            );
            after = names.last().cloned();
            if !more {
                return names;
            }
        }
    }

    pub(crate) fn client(&self) -> &S3Client {
        &self.client
    }

    /// Removes the bucket and all in it.
    pub(crate) async fn remove(self) {
        for name in self.names("").await {
            let deletion = self
                .client
                .delete_object()
                .bucket(&self.config.bucket)
                .key(name);
            deletion.send().await.expect("deleted");
        }
        let uploads = self
            .client
            .list_multipart_uploads()
            .bucket(&self.config.bucket)
            .send()
            .await;
        for upload in uploads
            .ok()
            .and_then(|page| page.uploads)
            .unwrap_or_default()
        {
            let abort = self
                .client
                .abort_multipart_upload()
                .bucket(&self.config.bucket)
                .set_key(upload.key)
                .set_upload_id(upload.upload_id);
            abort.send().await.expect("aborted");
        }
        let removal = self.client.delete_bucket().bucket(&self.config.bucket);
        removal.send().await.expect("removed");
    }
}

/// A client of its own, for looking at what the adapter left behind.
pub(crate) fn client(config: &Config) -> S3Client {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
    use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
    let mut trusted = TrustStore::empty();
    if let Some(path) = &config.ca_file {
        trusted = trusted.with_pem_certificate(std::fs::read(path).expect("the authority"));
    }
    let context = TlsContext::builder()
        .with_trust_store(trusted)
        .build()
        .expect("a context");
    let transport = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let credentials = Credentials::new(&config.access_key, &config.secret_key, None, None, "test");
    S3Client::from_conf(
        aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(config.region.clone()))
            .endpoint_url(&config.endpoint)
            .credentials_provider(credentials)
            .force_path_style(true)
            .http_client(transport)
            .build(),
    )
}

pub(crate) async fn open(config: Config, clock: &SharedClock) -> S3Blobs {
    S3Blobs::open(config, Arc::clone(clock))
        .await
        .expect("the store opens")
}

pub(crate) fn body(bytes: &[u8]) -> ByteStream<'static> {
    use futures::StreamExt;
    let pieces: Vec<_> = bytes
        .chunks(64 * 1024)
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    futures::stream::iter(pieces).boxed()
}

/// Bytes that do not repeat with any power of two.
pub(crate) fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect()
}

pub(crate) async fn begin(blobs: &dyn Blobs) -> Upload {
    let new = NewUpload {
        max_bytes: 1 << 30,
        expires_after: std::time::Duration::from_secs(3_600),
    };
    blobs.begin(new).await.expect("begun")
}

pub(crate) async fn stored(blobs: &dyn Blobs, bytes: &[u8]) -> BlobInfo {
    let upload = begin(blobs).await;
    let appended = blobs.append(&upload.id, upload.fence, 0, body(bytes)).await;
    appended.expect("appended");
    let completed = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await;
    completed.expect("completed")
}
