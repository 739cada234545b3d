//! The server goes away, is slow, or hangs: calls end in time, and nothing that was acknowledged is lost.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it measured"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use riwaq_blobs::{
    BlobInfo, Blobs, BlobsError, ByteRange, ByteStream, Expected, Fence, NewUpload, Sha256,
    UploadId,
};
use riwaq_blobs_s3::{Config, S3Blobs};
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_test_kit::{ChaosProxy, Fault, MinioNode};
use support::{Bucket, Server, begin, body, open, pattern};

const MIB: usize = 1024 * 1024;

/// What is promised of a call while the server is away.
const LIMIT: Duration = Duration::from_secs(10);

/// The time-outs of production: the tests of the rest have wider ones.
fn as_in_production(config: Config) -> Config {
    let standard = Config::default();
    Config {
        attempt_timeout_ms: standard.attempt_timeout_ms,
        operation_timeout_ms: standard.operation_timeout_ms,
        suspect_timeout_ms: standard.suspect_timeout_ms,
        startup_timeout_seconds: 120,
        ..config
    }
}

async fn failed_in_time<T: std::fmt::Debug>(
    what: &str,
    call: impl Future<Output = Result<T, BlobsError>>,
) {
    let began = Instant::now();
    let result = call.await;
    let took = began.elapsed();
    println!("{what}: {} ms", took.as_millis());
    match result {
        Err(error @ BlobsError::Unavailable(_)) => assert!(error.is_retryable()),
        other => panic!("{what}: {other:?}"),
    }
    assert!(took < LIMIT, "{what}: {took:?}");
}

async fn whole(blobs: &dyn Blobs, info: &BlobInfo) -> Bytes {
    let opened = blobs.open(&info.key, ByteRange::Full).await.expect("open");
    opened.read_to_end(1 << 30).await.expect("read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_mid_upload_loses_nothing_acknowledged() {
    let Some(mut node) = MinioNode::start().await.expect("MinIO") else {
        return;
    };
    let config = as_in_production(support::config(&node.url(), None));
    let clock: SharedClock = SystemClock::shared();
    let blobs = open(config.clone(), &clock).await;
    let finished = support::stored(&blobs, &pattern(6 * MIB, 1)).await;
    for round in 0..3 {
        let content = pattern(24 * MIB, 100 + round);
        let upload = begin(&blobs).await;
        let first = blobs
            .append(&upload.id, upload.fence, 0, body(&content[..MIB]))
            .await;
        assert_eq!(first.expect("appended"), MIB as u64);
        // Killed once two parts are there and a third one may be on its way.
        let taken = AtomicUsize::new(0);
        let (node_cell, killed) = (std::sync::Mutex::new(&mut node), AtomicUsize::new(0));
        let kill = |piece: &Bytes| {
            if taken.fetch_add(piece.len(), Ordering::Relaxed) > 14 * MIB
                && killed.swap(1, Ordering::Relaxed) == 0
            {
                node_cell.lock().expect("alone").kill().expect("killed");
            }
        };
        let rest = body(&content[MIB..]).inspect_ok(kill).boxed();
        failed_in_time(
            "append",
            blobs.append(&upload.id, upload.fence, MIB as u64, rest),
        )
        .await;
        assert_eq!(killed.load(Ordering::Relaxed), 1);
        while_it_is_away(&blobs, &upload.id, &finished).await;
        node.launch().expect("started");
        node.wait().await.expect("serves");
        // Another replica goes on.
        let other = open(config.clone(), &clock).await;
        let claimed = other.claim(&upload.id).await.expect("claimed");
        println!("{} MiB were kept", claimed.offset / MIB as u64);
        assert!(
            claimed.offset >= 10 * MIB as u64,
            "parts that were written down: {}",
            claimed.offset
        );
        let from = usize::try_from(claimed.offset).expect("small");
        let appended = other
            .append(
                &upload.id,
                claimed.fence,
                claimed.offset,
                body(&content[from..]),
            )
            .await;
        assert_eq!(appended.expect("appended"), content.len() as u64);
        let expected = Expected {
            size: None,
            sha256: Some(Sha256::of(&content)),
        };
        let info = blobs
            .complete(&upload.id, claimed.fence, expected)
            .await
            .expect("completed");
        assert!(whole(&blobs, &info).await == content, "round {round}");
        assert!(whole(&other, &finished).await == pattern(6 * MIB, 1));
    }
}

async fn while_it_is_away(blobs: &S3Blobs, id: &UploadId, finished: &BlobInfo) {
    let new = NewUpload {
        max_bytes: 1,
        expires_after: Duration::from_secs(60),
    };
    futures::join!(
        failed_in_time("begin", blobs.begin(new)),
        failed_in_time("claim", blobs.claim(id)),
        failed_in_time("stat", blobs.stat(&finished.key)),
        failed_in_time("open", blobs.open(&finished.key, ByteRange::Full)),
        failed_in_time("list", blobs.list(None, 10)),
        failed_in_time("ping", blobs.ping()),
    );
}

/// A line to MinIO whose weather the test makes.
async fn line(seed: u64) -> Option<(ChaosProxy, Bucket, Config)> {
    let server: Server = support::minio()?;
    let address = server
        .config
        .endpoint
        .strip_prefix("http://")
        .expect("plain HTTP");
    let proxy =
        ChaosProxy::start(vec![address.parse().expect("an address")], seed).expect("a proxy");
    let bucket = Bucket::new(&server);
    let config = as_in_production(Config {
        endpoint: format!("http://{}", proxy.address()),
        read_idle_timeout_ms: 2_000,
        ..bucket.config.clone()
    });
    Some((proxy, bucket, config))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_given_up_in_time() {
    let Some((proxy, bucket, config)) = line(1).await else {
        return;
    };
    let clock: SharedClock = SystemClock::shared();
    let blobs = open(config, &clock).await;
    let finished = support::stored(&blobs, &pattern(6 * MIB, 2)).await;
    let upload = begin(&blobs).await;
    let content = pattern(6 * MIB, 3);
    proxy.set(Fault::HalfOpen).await;
    let append = blobs.append(&upload.id, upload.fence, 0, body(&content));
    futures::join!(
        failed_in_time("append", append),
        while_it_is_away(&blobs, &upload.id, &finished)
    );
    proxy.set(Fault::None).await;
    let claimed = blobs.claim(&upload.id).await.expect("claimed");
    assert_eq!(
        claimed.offset, 0,
        "nothing was acknowledged and nothing arrived"
    );
    let appended = blobs
        .append(&upload.id, claimed.fence, 0, body(&content))
        .await;
    assert_eq!(appended.expect("appended"), content.len() as u64);
    // A completion that hangs is completed by the next.
    proxy.set(Fault::HalfOpen).await;
    failed_in_time(
        "complete",
        blobs.complete(&upload.id, claimed.fence, Expected::default()),
    )
    .await;
    proxy.set(Fault::None).await;
    let info = blobs
        .complete(&upload.id, claimed.fence, Expected::default())
        .await
        .expect("completed");
    assert!(whole(&blobs, &info).await == content);
    bucket.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let Some((proxy, bucket, config)) = line(2).await else {
        return;
    };
    let clock: SharedClock = SystemClock::shared();
    let blobs = open(config, &clock).await;
    let content = pattern(48 * MIB, 4);
    let info = support::stored(&blobs, &content).await;
    for fault in [Fault::Cut, Fault::HalfOpen] {
        // So slow that most of it is still on its way.
        proxy
            .set(Fault::Throttle {
                bytes_per_second: 64 << 20,
            })
            .await;
        let mut stream = blobs
            .open(&info.key, ByteRange::Full)
            .await
            .expect("open")
            .into_stream();
        let (mut read, mut broken) = (Vec::new(), false);
        while let Some(piece) = stream.try_next().await.expect("a piece") {
            read.extend_from_slice(&piece);
            if !broken && read.len() > 8 * MIB {
                broken = true;
                proxy.set(fault).await;
                proxy.set(Fault::None).await;
            }
        }
        assert!(broken && read == content, "{fault:?}");
    }
    // One that cannot go on says so, and soon.
    let mut stream = blobs
        .open(&info.key, ByteRange::Full)
        .await
        .expect("open")
        .into_stream();
    stream
        .try_next()
        .await
        .expect("a piece")
        .expect("the first");
    proxy.set(Fault::Cut).await;
    failed_in_time("read", async {
        while stream.try_next().await?.is_some() {}
        Ok(())
    })
    .await;
    proxy.set(Fault::None).await;
    bucket.remove().await;
}

/// Sends a content until there is a blob of it: an upload that its server lost while completing it (as MinIO may, when whoever
/// asks hangs up) is sent again, any other must come to its end.
async fn persistently(blobs: &[S3Blobs; 2], content: &[u8], tries: &AtomicUsize) -> BlobInfo {
    loop {
        match once(blobs, content, tries).await {
            Some(info) => return info,
            None => println!("an upload was lost by the server while it was completed"),
        }
    }
}

/// Does a whole upload as the port says one should: after every failure it asks where to go on. None where the upload was there
/// no more, once its completion had begun.
async fn once(blobs: &[S3Blobs; 2], content: &[u8], tries: &AtomicUsize) -> Option<BlobInfo> {
    let deadline = Instant::now() + Duration::from_secs(120);
    let failed = |what: &str, error: &BlobsError| {
        assert!(Instant::now() < deadline, "{what} still fails: {error}");
        let expected = matches!(
            error,
            BlobsError::Unavailable(_)
                | BlobsError::Fenced
                | BlobsError::Busy
                | BlobsError::OffsetMismatch { .. }
        );
        assert!(expected, "{what}: {error:?}");
        tries.fetch_add(1, Ordering::Relaxed)
    };
    let new = NewUpload {
        max_bytes: 1 << 30,
        expires_after: Duration::from_secs(3_600),
    };
    let upload = loop {
        match blobs[0].begin(new).await {
            Ok(upload) => break upload,
            Err(error) => failed("begin", &error),
        };
    };
    let (mut fence, mut offset, mut turn) = (upload.fence, 0, 0);
    let sha256 = Some(Sha256::of(content));
    loop {
        let blobs = &blobs[turn % 2];
        let completes = offset == content.len();
        match step(blobs, &upload.id, fence, offset, content).await {
            Ok(Some(info)) => {
                assert_eq!(
                    (info.size, Some(info.sha256)),
                    (content.len() as u64, sha256)
                );
                return Some(info);
            }
            Err(BlobsError::UploadNotFound) if completes => return None,
            Ok(None) => offset = (offset + APPEND).min(content.len()),
            Err(error) => {
                turn += failed("a step", &error) % 3;
                match blobs.claim(&upload.id).await {
                    Ok(claimed) => {
                        let durable = usize::try_from(claimed.offset).expect("small");
                        assert!(
                            durable >= offset,
                            "{offset} were acknowledged, {durable} are there"
                        );
                        (fence, offset) = (claimed.fence, durable);
                    }
                    Err(BlobsError::UploadNotFound) if completes => return None,
                    Err(error) => {
                        failed("claim", &error);
                    }
                }
            }
        }
    }
}

const APPEND: usize = 4 * MIB;

async fn step(
    blobs: &S3Blobs,
    id: &UploadId,
    fence: Fence,
    offset: usize,
    content: &[u8],
) -> Result<Option<BlobInfo>, BlobsError> {
    if offset == content.len() {
        return blobs
            .complete(id, fence, Expected::default())
            .await
            .map(Some);
    }
    let until = (offset + APPEND).min(content.len());
    let part: ByteStream<'static> = body(&content[offset..until]);
    blobs
        .append(id, fence, offset as u64, part)
        .await
        .map(|_| None)
}

/// The line is cut again and again at times that have nothing to do with what passes: requests, answers and bodies are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_double_nothing_and_lose_nothing() {
    let Some((proxy, bucket, config)) = line(3).await else {
        return;
    };
    let config = Config {
        max_attempts: 2,
        operation_timeout_ms: 20_000,
        ..config
    };
    let clock: SharedClock = SystemClock::shared();
    let replicas = [
        open(config.clone(), &clock).await,
        open(config, &clock).await,
    ];
    let contents: Vec<Vec<u8>> = (0..6)
        .map(|n| pattern((5 + 2 * n as usize) * MIB + 11, 10 + n))
        .collect();
    let tries = Arc::new(AtomicUsize::new(0));
    let uploads = futures::future::join_all(
        contents
            .iter()
            .map(|content| persistently(&replicas, content, &tries)),
    );
    let mut uploads = std::pin::pin!(uploads);
    let mut pauses = (0..).map(|n: u64| Duration::from_millis(40 + n * 37 % 260));
    let mut cuts = 0;
    let infos = loop {
        let pause = pauses.next().expect("endless");
        tokio::select! {
            infos = &mut uploads => break infos,
            () = tokio::time::sleep(pause) => {
                proxy.set(Fault::Cut).await;
                proxy.set(Fault::None).await;
                cuts += 1;
            }
        }
    };
    proxy.set(Fault::None).await;
    let tries = tries.load(Ordering::Relaxed);
    println!("{cuts} cuts, {tries} calls failed");
    assert!(tries > 0, "no call failed in {cuts} cuts");
    for (info, content) in infos.iter().zip(&contents) {
        assert!(whole(&replicas[0], info).await == *content);
    }
    let mut listed: Vec<_> = replicas[1]
        .list(None, 100)
        .await
        .expect("listed")
        .iter()
        .map(|info| info.key)
        .collect();
    let mut made: Vec<_> = infos.iter().map(|info| info.key).collect();
    listed.sort_unstable();
    made.sort_unstable();
    assert_eq!(listed, made, "each upload made one blob");
    bucket.remove().await;
}
