//! What is particular to a folder: its lock, its room, its permissions, and what a crash leaves in it.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use riwaq_blobs::{
    BlobInfo, Blobs, BlobsError, ByteRange, ByteStream, ContentBody, DELETE_GRACE, Expected,
    NewUpload,
};
use riwaq_blobs_fs::{Config, FolderBlobs, OpenError};
use riwaq_clock::{ManualClock, SystemClock};
use tempfile::TempDir;

fn config(folder: &TempDir) -> Config {
    Config {
        folder: folder.path().join("blobs"),
        min_free_bytes: 0,
    }
}

async fn open(folder: &TempDir) -> FolderBlobs {
    FolderBlobs::open(config(folder), SystemClock::shared())
        .await
        .expect("opens")
}

fn body(bytes: &'static [u8]) -> ByteStream<'static> {
    futures::stream::iter([Ok(Bytes::from_static(bytes))]).boxed()
}

async fn stored(blobs: &FolderBlobs, bytes: &'static [u8]) -> BlobInfo {
    let new = NewUpload {
        max_bytes: 4_000_000,
        expires_after: Duration::from_secs(60),
    };
    let upload = blobs.begin(new).await.expect("begins");
    blobs
        .append(&upload.id, upload.fence, 0, body(bytes))
        .await
        .expect("appends");
    blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await
        .expect("completes")
}

/// All files below a folder, relative to it.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).expect("below").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_has_gone() {
    let folder = TempDir::new().expect("a folder");
    let first = open(&folder).await;
    let second = FolderBlobs::open(config(&folder), SystemClock::shared()).await;
    let refused = second.expect_err("refused");
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    drop(first);
    open(&folder).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("blobs"), "a file").expect("writes");
    let refused = FolderBlobs::open(config(&folder), SystemClock::shared())
        .await
        .expect_err("refused");
    assert!(refused.to_string().contains("blobs"), "{refused}");
}

#[tokio::test]
async fn uploads_are_refused_before_the_disk_is_full_and_reading_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let blobs = open(&folder).await;
    let info = stored(&blobs, b"kept").await;
    drop(blobs);
    let full = Config {
        min_free_bytes: u64::MAX,
        ..config(&folder)
    };
    let blobs = FolderBlobs::open(full, SystemClock::shared())
        .await
        .expect("opens");
    let new = NewUpload {
        max_bytes: 1,
        expires_after: Duration::from_secs(60),
    };
    assert!(matches!(
        blobs.begin(new).await,
        Err(BlobsError::NoSpace(_))
    ));
    assert!(matches!(blobs.ping().await, Err(BlobsError::NoSpace(_))));
    let content = blobs.open(&info.key, ByteRange::Full).await.expect("opens");
    assert_eq!(content.read_to_end(100).await.expect("reads"), "kept");
}

#[tokio::test]
async fn content_is_a_file_that_nobody_else_can_read() {
    let folder = TempDir::new().expect("a folder");
    let blobs = open(&folder).await;
    let info = stored(&blobs, b"secret").await;
    let content = blobs.open(&info.key, ByteRange::Full).await.expect("opens");
    let ContentBody::File(file) = content.body else {
        panic!("not a file")
    };
    let mode = file.metadata().expect("metadata").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let top = fs::metadata(folder.path().join("blobs"))
        .expect("metadata")
        .permissions()
        .mode();
    assert_eq!(top & 0o077, 0, "{top:o}");
    let key = info.key.to_string();
    let fan_out = PathBuf::from("blobs").join(&key[..2]).join(&key[2..4]);
    let found = files(&folder.path().join("blobs"));
    assert!(found.contains(&fan_out.join(&key)), "{found:?}");
}

#[tokio::test]
async fn nothing_is_left_when_everything_has_gone() {
    let folder = TempDir::new().expect("a folder");
    let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
    let blobs = FolderBlobs::open(config(&folder), clock.clone())
        .await
        .expect("opens");
    let info = stored(&blobs, b"deleted").await;
    let new = NewUpload {
        max_bytes: 10,
        expires_after: Duration::from_secs(60),
    };
    let aborted = blobs.begin(new).await.expect("begins");
    blobs
        .append(&aborted.id, aborted.fence, 0, body(b"aborted"))
        .await
        .expect("appends");
    blobs.abort(&aborted.id).await.expect("aborts");
    let expired = blobs.begin(new).await.expect("begins");
    blobs
        .append(&expired.id, expired.fence, 0, body(b"expired"))
        .await
        .expect("appends");
    blobs.mark(&info.key).await.expect("marks");
    clock.advance(DELETE_GRACE);
    assert_eq!(blobs.expire_uploads().await.expect("expires"), 1);
    assert!(blobs.delete(&info.key).await.expect("deletes"));
    assert_eq!(files(&folder.path().join("blobs")), [PathBuf::from("lock")]);
}

#[tokio::test]
async fn what_a_crash_left_of_an_upload_that_never_began_is_cleared() {
    let folder = TempDir::new().expect("a folder");
    drop(open(&folder).await);
    let root = folder.path().join("blobs");
    fs::write(
        root.join("uploads/0123456789abcdef0123456789abcdef.part"),
        "x",
    )
    .expect("writes");
    fs::write(root.join("tmp/half"), "x").expect("writes");
    drop(open(&folder).await);
    assert_eq!(files(&root), [PathBuf::from("lock")]);
}

#[tokio::test]
async fn a_crash_between_description_and_content_is_no_blob_and_can_be_completed() {
    let folder = TempDir::new().expect("a folder");
    let blobs = open(&folder).await;
    let new = NewUpload {
        max_bytes: 100,
        expires_after: Duration::from_secs(3_600),
    };
    let upload = blobs.begin(new).await.expect("begins");
    blobs
        .append(&upload.id, upload.fence, 0, body(b"half-done"))
        .await
        .expect("appends");
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await
        .expect("completes");
    drop(blobs);
    // As if the process had ended just before the rename.
    let root = folder.path().join("blobs");
    let key = info.key.to_string();
    let blob = root
        .join("blobs")
        .join(&key[..2])
        .join(&key[2..4])
        .join(&key);
    fs::rename(&blob, root.join(format!("uploads/{}.part", upload.id))).expect("renames");
    let blobs = open(&folder).await;
    assert!(matches!(
        blobs.stat(&info.key).await,
        Err(BlobsError::BlobNotFound)
    ));
    assert_eq!(blobs.list(None, 10).await.expect("lists"), []);
    let again = blobs.claim(&upload.id).await.expect("claims");
    assert_eq!((again.offset, again.completed), (9, None));
    let again = blobs
        .complete(&upload.id, again.fence, Expected::default())
        .await
        .expect("completes");
    assert_eq!((again.key, again.sha256), (info.key, info.sha256));
}

#[tokio::test]
async fn a_deletion_that_was_cut_is_finished_by_the_next_list() {
    let folder = TempDir::new().expect("a folder");
    let blobs = open(&folder).await;
    let (info, kept) = (stored(&blobs, b"cut").await, stored(&blobs, b"kept").await);
    blobs.mark(&info.key).await.expect("marks");
    let root = folder.path().join("blobs/blobs");
    let key = info.key.to_string();
    let blob = root.join(&key[..2]).join(&key[2..4]).join(&key);
    fs::remove_file(&blob).expect("removes");
    assert_eq!(blobs.list(None, 10).await.expect("lists"), [kept]);
    assert!(!blob.with_extension("json").exists());
}

#[tokio::test]
async fn damage_is_told_and_hides_no_other_blob() {
    let folder = TempDir::new().expect("a folder");
    let blobs = open(&folder).await;
    let (short, bare, kept) = (
        stored(&blobs, b"short").await,
        stored(&blobs, b"bare").await,
        stored(&blobs, b"kept").await,
    );
    let root = folder.path().join("blobs/blobs");
    let path = |info: &BlobInfo| {
        let key = info.key.to_string();
        root.join(&key[..2]).join(&key[2..4]).join(&key)
    };
    fs::write(path(&short), "shor").expect("writes");
    fs::remove_file(path(&bare).with_extension("json")).expect("removes");
    for info in [&short, &bare] {
        let opened = blobs.open(&info.key, ByteRange::Full).await;
        assert!(matches!(opened, Err(BlobsError::Corrupt(_))), "{opened:?}");
    }
    assert_eq!(blobs.list(None, 10).await.expect("lists"), [kept]);
}

#[tokio::test]
async fn a_read_that_began_outlives_the_deletion() {
    let folder = TempDir::new().expect("a folder");
    let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
    let shared: std::sync::Arc<ManualClock> = std::sync::Arc::clone(&clock);
    let blobs = FolderBlobs::open(config(&folder), shared)
        .await
        .expect("opens");
    let bytes: &'static [u8] = vec![7; 3_000_000].leak();
    let info = stored(&blobs, bytes).await;
    let reading = blobs
        .open(&info.key, ByteRange::Full)
        .await
        .expect("is there");
    blobs.mark(&info.key).await.expect("marks");
    clock.advance(DELETE_GRACE);
    assert!(blobs.delete(&info.key).await.expect("deletes"));
    let read = reading.read_to_end(1 << 30).await.expect("reads");
    assert!(read == bytes);
}
