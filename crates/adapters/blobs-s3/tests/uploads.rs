//! Uploads that become several parts: what is sent, what survives, and what is left in the bucket.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use riwaq_blobs::{Blobs, BlobsError, ByteRange, Expected, Sha256};
use riwaq_blobs_s3::{Config, S3Blobs};
use riwaq_clock::{ManualClock, SharedClock, SystemClock};
use support::{Bucket, Server, begin, body, open, pattern, servers};

const MIB: usize = 1024 * 1024;

async fn with_each(test: impl AsyncFn(&Server, &Bucket)) {
    for server in servers() {
        let bucket = Bucket::new(&server);
        test(&server, &bucket).await;
        bucket.remove().await;
    }
}

/// What may lie in the bucket after so many blobs with content were made: content, description and state of each.
async fn nothing_is_left_over(bucket: &Bucket, blobs: usize) {
    let kinds = |start: &'static str| async move { bucket.names(start).await.len() };
    assert_eq!(
        (
            kinds("blobs/").await,
            kinds("info/").await,
            kinds("uploads/").await
        ),
        (blobs, blobs, blobs),
        "{:?}",
        bucket.names("").await
    );
}

async fn multiparts(bucket: &Bucket, names: &[String]) -> usize {
    let mut count = 0;
    for name in names {
        let listed = bucket
            .client()
            .list_multipart_uploads()
            .bucket(&bucket.config.bucket)
            .prefix(name)
            .send()
            .await
            .expect("listed");
        count += listed.uploads().len();
    }
    count
}

/// The names for which the state of the only upload says that a multipart upload was begun.
async fn begun(bucket: &Bucket) -> Vec<String> {
    let states = bucket.names("uploads/").await;
    assert_eq!(states.len(), 1, "{states:?}");
    let read = bucket
        .client()
        .get_object()
        .bucket(&bucket.config.bucket)
        .key(&states[0])
        .send()
        .await;
    let bytes = read
        .expect("read")
        .body
        .collect()
        .await
        .expect("all of it")
        .into_bytes();
    let state: serde_json::Value = serde_json::from_slice(&bytes).expect("a state");
    let key = state["key"].as_str().expect("a key");
    let names = state["begun"].as_array().expect("names").iter();
    names
        .map(|name| format!("blobs/{key}.{}", name.as_str().expect("a name")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_is_sent_in_parts_and_leaves_only_the_blob() {
    with_each(async |_, bucket| {
        let clock: SharedClock = SystemClock::shared();
        let blobs = open(bucket.config.clone(), &clock).await;
        for (n, bytes) in [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 17 * MIB + 5]
            .into_iter()
            .enumerate()
        {
            let content = pattern(bytes, 1);
            let info = support::stored(&blobs, &content).await;
            assert_eq!(
                (info.size, info.sha256),
                (bytes as u64, Sha256::of(&content))
            );
            nothing_is_left_over(bucket, n + 1).await;
            for range in [
                ByteRange::Full,
                ByteRange::Suffix(3 * MIB as u64),
                ByteRange::From(1),
            ] {
                let wanted = range.resolve(bytes as u64).expect("a range");
                let read = blobs
                    .open(&info.key, range)
                    .await
                    .expect("open")
                    .read_to_end(1 << 30)
                    .await;
                let at = |n: u64| usize::try_from(n).expect("small");
                assert!(
                    read.expect("read") == content[at(wanted.start)..at(wanted.end)],
                    "{bytes} {range:?}"
                );
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_every_size_by_changing_replicas_become_one_blob() {
    with_each(async |_, bucket| {
        let clock: SharedClock = SystemClock::shared();
        let replicas = [
            open(bucket.config.clone(), &clock).await,
            // Holds one part in memory and no second one.
            open(
                Config {
                    parts_ahead: 0,
                    ..bucket.config.clone()
                },
                &clock,
            )
            .await,
        ];
        for (n, sizes) in [
            // Pieces before, between and after parts, and parts that end where an append ends.
            vec![3 * MIB, 3 * MIB, 1, 4 * MIB - 1, 5 * MIB, 7, 12 * MIB, 100],
            // More pieces than are kept apart.
            vec![10_000; 70],
            // One part exactly, made of pieces.
            vec![2 * MIB, 2 * MIB, MIB],
        ]
        .into_iter()
        .enumerate()
        {
            becomes_one_blob(&replicas, &sizes).await;
            nothing_is_left_over(bucket, n + 1).await;
        }
    })
    .await;
}

/// Appends so many bytes by one replica after the other, and reads what became of them.
async fn becomes_one_blob(replicas: &[S3Blobs; 2], sizes: &[usize]) {
    let content = pattern(sizes.iter().sum(), 2);
    let upload = begin(&replicas[0]).await;
    let (mut fence, mut offset) = (upload.fence, 0);
    for (turn, size) in sizes.iter().enumerate() {
        let replica = &replicas[turn % 2];
        if turn % 3 == 2 {
            let claimed = replica.claim(&upload.id).await.expect("claimed");
            assert_eq!(claimed.offset, offset as u64, "what was acknowledged");
            fence = claimed.fence;
        }
        let part = body(&content[offset..offset + size]);
        let end = replica
            .append(&upload.id, fence, offset as u64, part)
            .await
            .expect("appended");
        offset += size;
        assert_eq!(end, offset as u64);
    }
    let expected = Expected {
        size: Some(content.len() as u64),
        sha256: Some(Sha256::of(&content)),
    };
    let info = replicas[1]
        .complete(&upload.id, fence, expected)
        .await
        .expect("completed");
    let read = replicas[0]
        .open(&info.key, ByteRange::Full)
        .await
        .expect("open")
        .read_to_end(1 << 30)
        .await;
    assert!(read.expect("read") == content, "the content of {sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_in_front_of_a_large_part_may_be_larger_than_any_document() {
    with_each(async |_, bucket| {
        let clock: SharedClock = SystemClock::shared();
        let config = Config {
            part_bytes: 20 * MIB as u64,
            ..bucket.config.clone()
        };
        let replicas = [
            open(config.clone(), &clock).await,
            open(config, &clock).await,
        ];
        for (n, sizes) in [
            // The first lies in front of a part, what is left of the second in front of the end.
            vec![18 * MIB, 19 * MIB],
            // No part at all: it ends with one piece.
            vec![18 * MIB],
        ]
        .into_iter()
        .enumerate()
        {
            becomes_one_blob(&replicas, &sizes).await;
            nothing_is_left_over(bucket, n + 1).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_shut_out_between_parts_changes_nothing() {
    with_each(async |_, bucket| {
        let clock: SharedClock = SystemClock::shared();
        let (one, two) = (
            open(bucket.config.clone(), &clock).await,
            open(bucket.config.clone(), &clock).await,
        );
        let content = pattern(20 * MIB, 3);
        let upload = begin(&one).await;
        let (feed, slow) = mpsc::unbounded();
        let mut running = one.append(&upload.id, upload.fence, 0, slow.boxed());
        for piece in content[..12 * MIB].chunks(64 * 1024) {
            let _ = feed.unbounded_send(Ok(Bytes::copy_from_slice(piece)));
        }
        // Until the second part was sent too.
        let claimed = loop {
            assert!(
                (&mut running).now_or_never().is_none(),
                "the append ended before its body"
            );
            if bucket_offset(bucket).await >= 10 * MIB as u64 {
                break two.claim(&upload.id).await.expect("claimed");
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(claimed.offset, 10 * MIB as u64);
        // The writer before goes on with other bytes.
        for _ in 0..8 {
            let _ = feed.unbounded_send(Ok(Bytes::from(vec![0xee; MIB])));
        }
        drop(feed);
        let rest = body(&content[10 * MIB..]);
        let (late, appended) = futures::join!(
            running,
            two.append(&upload.id, claimed.fence, claimed.offset, rest)
        );
        assert!(matches!(late, Err(BlobsError::Fenced)), "{late:?}");
        assert_eq!(appended.expect("appended"), content.len() as u64);
        let expected = Expected {
            size: None,
            sha256: Some(Sha256::of(&content)),
        };
        let info = two
            .complete(&upload.id, claimed.fence, expected)
            .await
            .expect("completed");
        let read = one
            .open(&info.key, ByteRange::Full)
            .await
            .expect("open")
            .read_to_end(1 << 30)
            .await;
        assert!(read.expect("read") == content);
        nothing_is_left_over(bucket, 1).await;
    })
    .await;
}

/// How much is durable of the only upload.
async fn bucket_offset(bucket: &Bucket) -> u64 {
    let states = bucket.names("uploads/").await;
    let read = bucket
        .client()
        .get_object()
        .bucket(&bucket.config.bucket)
        .key(&states[0])
        .send()
        .await;
    let bytes = read
        .expect("read")
        .body
        .collect()
        .await
        .expect("all of it")
        .into_bytes();
    let state: serde_json::Value = serde_json::from_slice(&bytes).expect("a state");
    state["offset"].as_u64().expect("an offset")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_and_expired_uploads_leave_nothing() {
    with_each(async |_, bucket| {
        let manual =
            ManualClock::at(chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a date"));
        let clock: SharedClock = Arc::<ManualClock>::clone(&manual);
        let blobs = open(bucket.config.clone(), &clock).await;
        for expires in [false, true] {
            let upload = begin(&blobs).await;
            // A writer that disappears with a part on its way, another that goes on from there.
            let (feed, slow) = mpsc::unbounded();
            for piece in pattern(7 * MIB, 4).chunks(64 * 1024) {
                let _ = feed.unbounded_send(Ok(Bytes::copy_from_slice(piece)));
            }
            {
                let mut running = blobs.append(&upload.id, upload.fence, 0, slow.boxed());
                while bucket_offset(bucket).await == 0 {
                    assert!(
                        (&mut running).now_or_never().is_none(),
                        "the append ended before its body"
                    );
                    tokio::task::yield_now().await;
                }
            }
            let claimed = blobs.claim(&upload.id).await.expect("claimed");
            let more = pattern(8 * MIB, 5);
            let appended = blobs
                .append(&upload.id, claimed.fence, claimed.offset, body(&more))
                .await;
            appended.expect("appended");
            let names = begun(bucket).await;
            assert!(multiparts(bucket, &names).await > 0, "nothing to tidy up");
            if expires {
                assert_eq!(blobs.expire_uploads().await.expect("swept"), 0, "too early");
                manual.advance(Duration::from_secs(3_600));
                assert_eq!(blobs.expire_uploads().await.expect("swept"), 1);
            } else {
                blobs.abort(&upload.id).await.expect("aborted");
            }
            assert_eq!(multiparts(bucket, &names).await, 0);
            let left: Vec<String> = bucket.names("").await;
            assert!(left.is_empty(), "{left:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_and_a_completion_that_were_cut_are_ended_by_others() {
    with_each(async |_, bucket| {
        let manual =
            ManualClock::at(chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a date"));
        let clock: SharedClock = Arc::<ManualClock>::clone(&manual);
        let blobs = open(bucket.config.clone(), &clock).await;
        let content = pattern(6 * MIB, 6);
        // As if the process had been killed between sealing and the description.
        let upload = begin(&blobs).await;
        blobs
            .append(&upload.id, upload.fence, 0, body(&content))
            .await
            .expect("appended");
        let info = blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await
            .expect("completed");
        let description = format!("info/{}", info.key);
        let delete = bucket
            .client()
            .delete_object()
            .bucket(&bucket.config.bucket)
            .key(&description);
        delete.send().await.expect("deleted");
        let other = open(bucket.config.clone(), &clock).await;
        assert!(matches!(
            other.stat(&info.key).await,
            Err(BlobsError::BlobNotFound)
        ));
        assert_eq!(
            other.claim(&upload.id).await.expect("claimed").completed,
            Some(info.clone())
        );
        let read = other
            .open(&info.key, ByteRange::Full)
            .await
            .expect("open")
            .read_to_end(1 << 30)
            .await;
        assert!(read.expect("read") == content);
        // The same when nobody comes back but the sweep.
        let delete = bucket
            .client()
            .delete_object()
            .bucket(&bucket.config.bucket)
            .key(&description);
        delete.send().await.expect("deleted");
        manual.advance(Duration::from_secs(3_600));
        assert_eq!(
            other.expire_uploads().await.expect("swept"),
            0,
            "it was finished"
        );
        assert_eq!(other.stat(&info.key).await.expect("is there"), info);
        // As if the process had been killed after the description said that it is being deleted.
        let read = bucket
            .client()
            .get_object()
            .bucket(&bucket.config.bucket)
            .key(&description)
            .send()
            .await;
        let bytes = read
            .expect("read")
            .body
            .collect()
            .await
            .expect("all of it")
            .into_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let cut = text.replace("\"deleting\":false", "\"deleting\":true");
        assert_ne!(cut, text);
        let put = bucket
            .client()
            .put_object()
            .bucket(&bucket.config.bucket)
            .key(&description);
        put.body(cut.into_bytes().into())
            .send()
            .await
            .expect("written");
        for gone in [
            other.stat(&info.key).await.map(|_| ()),
            other.mark(&info.key).await,
            other.unmark(&info.key).await,
        ] {
            assert!(matches!(gone, Err(BlobsError::BlobNotFound)), "{gone:?}");
        }
        assert_eq!(other.list(None, 10).await.expect("listed"), vec![]);
        let left: Vec<String> = bucket.names("").await;
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}

/// What a server does that hangs up on its own completion after it removed what it knew of the parts.
async fn lose_a_part(bucket: &Bucket) {
    let name = begun(bucket).await.pop().expect("a multipart upload");
    let client = bucket.client();
    let listed = client
        .list_multipart_uploads()
        .bucket(&bucket.config.bucket)
        .prefix(&name);
    let listed = listed.send().await.expect("listed");
    let upload_id = listed.uploads()[0].upload_id().expect("an id").to_owned();
    let other = pattern(5 * MIB, 99);
    let part = client
        .upload_part()
        .bucket(&bucket.config.bucket)
        .key(&name)
        .upload_id(upload_id)
        .part_number(1)
        .checksum_crc32(BASE64_STANDARD.encode(crc32fast::hash(&other).to_be_bytes()))
        .body(other.into());
    part.send().await.expect("another content for the part");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_parts_the_server_lost_is_ended_and_can_be_sent_again() {
    with_each(async |_, bucket| {
        let clock: SharedClock = SystemClock::shared();
        let config = Config {
            operation_timeout_ms: 1_000,
            ..bucket.config.clone()
        };
        let blobs = open(config, &clock).await;
        let content = pattern(7 * MIB, 8);
        let upload = begin(&blobs).await;
        let appended = blobs
            .append(&upload.id, upload.fence, 0, body(&content))
            .await;
        appended.expect("appended");
        lose_a_part(bucket).await;
        // Another may be putting the parts together: that is waited for.
        let ended = loop {
            let ended = blobs
                .complete(&upload.id, upload.fence, Expected::default())
                .await;
            if !matches!(ended, Err(BlobsError::Unavailable(_))) {
                break ended;
            }
        };
        assert!(
            matches!(ended, Err(BlobsError::UploadNotFound)),
            "{ended:?}"
        );
        let claimed = blobs.claim(&upload.id).await;
        assert!(matches!(claimed, Err(BlobsError::UploadNotFound)));
        assert_eq!(blobs.list(None, 10).await.expect("listed"), vec![]);
        let names = begun(bucket).await;
        blobs.expire_uploads().await.expect("swept");
        assert_eq!(multiparts(bucket, &names).await, 0);
        let left: Vec<String> = bucket.names("").await;
        assert!(left.is_empty(), "{left:?}");
        let info = support::stored(&blobs, &content).await;
        assert_eq!(info.size, content.len() as u64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_never_gives_a_reader_other_bytes() {
    with_each(async |server, bucket| {
        let manual =
            ManualClock::at(chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a date"));
        let clock: SharedClock = Arc::<ManualClock>::clone(&manual);
        let blobs = open(bucket.config.clone(), &clock).await;
        let content = pattern(64 * MIB, 7);
        let info = support::stored(&blobs, &content).await;
        let mut stream = blobs
            .open(&info.key, ByteRange::Full)
            .await
            .expect("open")
            .into_stream();
        let mut read = stream
            .next()
            .await
            .expect("a piece")
            .expect("a piece")
            .to_vec();
        blobs.mark(&info.key).await.expect("marked");
        manual.advance(riwaq_blobs::DELETE_GRACE);
        assert!(blobs.delete(&info.key).await.expect("deleted"));
        let ended = loop {
            match stream.next().await {
                Some(Ok(piece)) => read.extend_from_slice(&piece),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        println!(
            "{}: {} of {} bytes, {ended:?}",
            server.name,
            read.len(),
            content.len()
        );
        assert!(content.starts_with(&read));
        match ended {
            Ok(()) => assert_eq!(read.len(), content.len(), "a read that ended well is whole"),
            Err(error) => assert!(matches!(error, BlobsError::Unavailable(_)), "{error:?}"),
        }
    })
    .await;
}
