//! The port's whole suite over folders.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use riwaq_blobs::Blobs;
use riwaq_blobs::conformance::{Factory, Fixture, assert_conforms};
use riwaq_blobs_fs::{Config, FolderBlobs, OpenError};
use riwaq_clock::ManualClock;
use tempfile::TempDir;

struct Folders;

#[async_trait::async_trait]
impl Factory for Folders {
    async fn fresh(&self, clock: Arc<ManualClock>) -> Box<dyn Fixture> {
        let folder = TempDir::new().expect("a folder");
        let store = open(&folder, &clock).await;
        Box::new(Folder {
            store: Some(store),
            clock,
            folder,
        })
    }
}

struct Folder {
    store: Option<FolderBlobs>,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Folder {
    fn store(&self) -> FolderBlobs {
        self.store.clone().expect("open")
    }
}

/// Opens the folder as soon as the last thread of the handle before has let go of it.
async fn open(folder: &TempDir, clock: &Arc<ManualClock>) -> FolderBlobs {
    let config = Config {
        folder: folder.path().join("blobs"),
        min_free_bytes: 0,
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let clock: Arc<ManualClock> = Arc::clone(clock);
        match FolderBlobs::open(config.clone(), clock).await {
            Ok(store) => return store,
            Err(OpenError::Locked(_)) if Instant::now() < deadline => {
                tokio::task::yield_now().await
            }
            Err(error) => panic!("the folder cannot be opened: {error}"),
        }
    }
}

#[async_trait::async_trait]
impl Fixture for Folder {
    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.store())
    }

    async fn second(&self) -> Arc<dyn Blobs> {
        // The folder belongs to one process: another replica is refused, another owner shares the handle.
        Arc::new(self.store())
    }

    async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open(&self.folder, &self.clock).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    assert_conforms("folder", &Folders).await;
}
