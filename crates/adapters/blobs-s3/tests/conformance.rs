//! The port's whole suite over real servers.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use riwaq_blobs::Blobs;
use riwaq_blobs::conformance::{Factory, Fixture, assert_conforms};
use riwaq_blobs_s3::{Config, S3Blobs};
use riwaq_clock::ManualClock;
use support::{Bucket, Server};

struct Prefixes {
    bucket: Bucket,
    made: AtomicU32,
}

#[async_trait::async_trait]
impl Factory for Prefixes {
    async fn fresh(&self, clock: Arc<ManualClock>) -> Box<dyn Fixture> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let config = self.bucket.prefixed(&format!("case-{number}"));
        let store = open(&config, &clock).await;
        Box::new(Prefix {
            store,
            config,
            clock,
        })
    }
}

struct Prefix {
    store: S3Blobs,
    config: Config,
    clock: Arc<ManualClock>,
}

async fn open(config: &Config, clock: &Arc<ManualClock>) -> S3Blobs {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    S3Blobs::open(config.clone(), clock)
        .await
        .expect("the store opens")
}

#[async_trait::async_trait]
impl Fixture for Prefix {
    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.store.clone())
    }

    async fn second(&self) -> Arc<dyn Blobs> {
        // Another replica: it shares nothing but the bucket.
        Arc::new(open(&self.config, &self.clock).await)
    }

    async fn reopen(&mut self) {
        self.store = open(&self.config, &self.clock).await;
    }
}

async fn keeps_the_contract(server: Option<Server>) {
    let Some(server) = server else {
        return;
    };
    let prefixes = Prefixes {
        bucket: Bucket::new(&server),
        made: AtomicU32::new(0),
    };
    assert_conforms(server.name, &prefixes).await;
    prefixes.bucket.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio_keeps_the_contract() {
    keeps_the_contract(support::minio()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versitygw_keeps_the_contract() {
    keeps_the_contract(support::versitygw()).await;
}
