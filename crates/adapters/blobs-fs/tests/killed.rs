//! A process that is killed while it uploads: what it acknowledged is there, byte for byte, and nothing else is seen.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, its child speaks by printing"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use riwaq_blobs::{BlobKey, Blobs, ByteRange, ByteStream, Expected, NewUpload, Sha256, UploadId};
use riwaq_blobs_fs::{Config, FolderBlobs};
use riwaq_clock::SystemClock;
use tempfile::TempDir;

const ROUNDS: usize = 12;
const PART: usize = 40_000;
const PARTS: usize = 4;

async fn open(folder: &Path) -> FolderBlobs {
    let config = Config {
        folder: folder.to_owned(),
        min_free_bytes: 0,
    };
    FolderBlobs::open(config, SystemClock::shared())
        .await
        .expect("opens")
}

/// Content that a name decides, so that whoever knows the name can check it.
fn content(id: &UploadId, bytes: usize) -> Vec<u8> {
    let seed = id.as_bytes();
    (0..bytes)
        .map(|n| seed[n % 16].wrapping_add((n / 16 % 251) as u8))
        .collect()
}

fn body(bytes: &[u8]) -> ByteStream<'static> {
    let pieces: Vec<_> = bytes
        .chunks(3_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    futures::stream::iter(pieces).boxed()
}

fn say(what: &str) {
    println!("\n{what}");
    std::io::stdout().flush().expect("flushes");
}

async fn upload_one(blobs: &FolderBlobs) {
    let new = NewUpload {
        max_bytes: 1 << 20,
        expires_after: Duration::from_secs(3_600),
    };
    let upload = blobs.begin(new).await.expect("begins");
    say(&format!("appended {} 0", upload.id));
    let bytes = content(&upload.id, PART * PARTS);
    let mut end = 0;
    for part in bytes.chunks(PART) {
        end = blobs
            .append(&upload.id, upload.fence, end, body(part))
            .await
            .expect("appends");
        say(&format!("appended {} {end}", upload.id));
    }
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await
        .expect("completes");
    say(&format!("completed {} {}", upload.id, info.key));
}

/// Set for the child alone: in an ordinary run it has nothing to do.
const CHILD: &str = "RIWAQ_TEST_CHILD";

/// The child: several uploads at once, again and again, until it is killed. Started by the test below, which sends the
/// folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_uploads_until_it_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut folder = String::new();
    std::io::stdin().read_line(&mut folder).expect("a line");
    if folder.trim().is_empty() {
        return;
    }
    let blobs = open(Path::new(folder.trim_end())).await;
    loop {
        futures::future::join_all((0..3).map(|_| upload_one(&blobs))).await;
    }
}

fn start(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child_uploads_until_it_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let line = format!("{}\n", folder.display());
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(line.as_bytes())
        .expect("is told");
    child
}

/// What the child acknowledged.
#[derive(Default)]
struct Acknowledged {
    offsets: HashMap<UploadId, u64>,
    completed: HashMap<UploadId, BlobKey>,
}

/// Kills the child after so many acknowledgements.
fn kill_after(mut child: Child, count: usize, seen: &mut Acknowledged) {
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut acknowledgements = 0;
    for line in output.lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["appended", id, end] => {
                let end = end.parse().expect("an offset");
                seen.offsets.insert(id.parse().expect("an id"), end);
            }
            ["completed", id, key] => {
                seen.completed
                    .insert(id.parse().expect("an id"), key.parse().expect("a key"));
            }
            _ => continue,
        }
        acknowledgements += 1;
        if acknowledgements == count {
            child.kill().expect("kills");
        }
    }
    child.wait().expect("ends");
    assert!(acknowledgements >= count, "the child ended by itself");
}

async fn check(blobs: &FolderBlobs, seen: &Acknowledged) {
    for (id, key) in &seen.completed {
        let stored = blobs.open(key, ByteRange::Full).await.expect("is there");
        let bytes = stored.read_to_end(1 << 20).await.expect("reads");
        assert!(bytes == content(id, PART * PARTS), "blob {key}");
    }
    // Completed without being acknowledged is allowed, half of a blob is not.
    for info in blobs.list(None, 1_000).await.expect("lists") {
        assert_eq!(info.size, (PART * PARTS) as u64);
    }
}

/// Uploads that were cut go on where they ended.
async fn go_on(blobs: &FolderBlobs, seen: &mut Acknowledged) -> usize {
    let cut: Vec<(UploadId, u64)> = seen.offsets.drain().collect();
    let mut resumed = 0;
    for (id, acknowledged) in cut {
        let upload = blobs.claim(&id).await.expect("claims");
        assert!(
            upload.offset >= acknowledged,
            "{acknowledged} were acknowledged, {} left",
            upload.offset
        );
        let bytes = content(&id, PART * PARTS);
        if upload.completed.is_none() {
            let from = usize::try_from(upload.offset).expect("small");
            let rest = body(&bytes[from..]);
            blobs
                .append(&id, upload.fence, upload.offset, rest)
                .await
                .expect("appends");
            resumed += 1;
        }
        let expected = Expected {
            size: None,
            sha256: Some(Sha256::of(&bytes)),
        };
        let info = blobs
            .complete(&id, upload.fence, expected)
            .await
            .expect("completes");
        seen.completed.insert(id, info.key);
    }
    resumed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().expect("a folder");
    let mut seen = Acknowledged::default();
    let mut resumed = 0;
    for round in 0..ROUNDS {
        kill_after(start(folder.path()), 1 + round * 5, &mut seen);
        let blobs = open(folder.path()).await;
        check(&blobs, &seen).await;
        resumed += go_on(&blobs, &mut seen).await;
        check(&blobs, &seen).await;
    }
    assert!(resumed >= ROUNDS, "only {resumed} uploads were cut");
    assert!(
        seen.completed.len() > ROUNDS,
        "only {} blobs",
        seen.completed.len()
    );
}
