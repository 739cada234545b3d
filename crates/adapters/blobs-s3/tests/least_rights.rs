//! The policy of docs/operations/object-storage.md is enough, and reaches no other bucket.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and lives by the server's own time"
)]

#[path = "support/minio_admin.rs"]
mod minio_admin;
mod support;

use std::sync::Arc;
use std::time::Duration;

use riwaq_blobs::{Blobs, ByteRange, DELETE_GRACE, Presign, Sha256};
use riwaq_blobs_s3::{Config, OpenError, S3Blobs};
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_test_kit::MinioNode;
use support::{begin, body, open, pattern};

const DOCUMENT: &str = include_str!("../../../../docs/operations/object-storage.md");
const USER: &str = "riwaq-program";
const SECRET: &str = "the-secret-of-the-program";
const MIB: usize = 1024 * 1024;

/// The policy as operators read it, for the bucket of the configuration.
fn policy() -> serde_json::Value {
    let (_, rest) = DOCUMENT
        .split_once("```json\n")
        .expect("a policy in the document");
    let (policy, _) = rest.split_once("```").expect("its end");
    let policy: serde_json::Value = serde_json::from_str(policy).expect("JSON");
    assert!(policy["Statement"].is_array());
    policy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_the_document_is_enough() {
    let Some(node) = MinioNode::start().await.expect("MinIO") else {
        return;
    };
    let admin = support::config(&node.url(), None);
    let manual = ManualClock::at(chrono::Utc::now());
    let clock: SharedClock = Arc::<ManualClock>::clone(&manual);
    minio_admin::add_user(&admin, USER, SECRET, &policy().to_string()).await;
    let config = Config {
        access_key: USER.into(),
        secret_key: SECRET.into(),
        create_bucket: false,
        ..admin.clone()
    };
    let missing = S3Blobs::open(config.clone(), Arc::clone(&clock)).await;
    assert!(
        matches!(missing, Err(OpenError::NoBucket(_))),
        "{missing:?}"
    );
    open(admin, &clock).await;
    let blobs = open(config.clone(), &clock).await;
    blobs.ping().await.expect("works");
    everything_works(&blobs, &manual).await;
    // Another bucket is none of its business.
    let other = Config {
        bucket: "another".into(),
        create_bucket: true,
        ..config
    };
    let refused = S3Blobs::open(other, clock).await;
    assert!(
        matches!(refused, Err(OpenError::Denied { .. })),
        "{refused:?}"
    );
}

async fn everything_works(blobs: &S3Blobs, clock: &ManualClock) {
    let mut made = Vec::new();
    for bytes in [10, 6 * MIB] {
        let content = pattern(bytes, 1);
        let info = support::stored(blobs, &content).await;
        let opened = blobs.open(&info.key, ByteRange::Full).await.expect("open");
        let read = opened.read_to_end(1 << 30).await.expect("read");
        assert_eq!(Sha256::of(&read), info.sha256);
        let request = Presign {
            expires_after: Duration::from_secs(60),
            content_disposition: "attachment".into(),
            media_type: "text/plain".into(),
        };
        let link = blobs.presign(&info.key, &request).await.expect("signed");
        let answer = reqwest::get(link.expect("a link"))
            .await
            .expect("an answer");
        assert_eq!(answer.bytes().await.expect("read").len(), bytes);
        // Given up by the sender, and by nobody.
        for aborted in [true, false] {
            let upload = begin(blobs).await;
            let claimed = blobs.claim(&upload.id).await.expect("claimed");
            let appended = blobs
                .append(&upload.id, claimed.fence, 0, body(&content))
                .await;
            assert_eq!(appended.expect("appended"), bytes as u64);
            if aborted {
                blobs.abort(&upload.id).await.expect("aborted");
            }
        }
        made.push(info.key);
    }
    let listed = blobs.list(None, 10).await.expect("listed");
    assert_eq!(listed.len(), made.len());
    for key in &made {
        blobs.mark(key).await.expect("marked");
        blobs.unmark(key).await.expect("unmarked");
        blobs.mark(key).await.expect("marked");
    }
    clock.advance(DELETE_GRACE);
    assert_eq!(blobs.expire_uploads().await.expect("swept"), 2);
    for key in &made {
        assert!(blobs.delete(key).await.expect("deleted"));
    }
}
