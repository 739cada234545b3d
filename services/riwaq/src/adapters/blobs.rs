//! Blobs: a folder or S3.

use std::sync::Arc;

use anyhow::{Context, Result};
use riwaq_blobs::Blobs;
use riwaq_blobs_fs::FolderBlobs;
use riwaq_blobs_s3::S3Blobs;
use riwaq_clock::SharedClock;

use super::expose;
use crate::config::{BlobsEngine, Config};

/// The blobs alone.
pub(crate) async fn blobs(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Blobs>> {
    match config.blobs.engine {
        BlobsEngine::Folder => {
            let mut folder = config.blobs.folder.clone();
            if folder.folder.as_os_str().is_empty() {
                folder.folder = config.data_dir.join("blobs");
            }
            let blobs = FolderBlobs::open(folder, Arc::clone(clock))
                .await
                .context("blobs in a folder")?;
            Ok(Arc::new(blobs))
        }
        BlobsEngine::S3 => {
            let mut s3 = config.blobs.s3.clone();
            s3.secret_key = expose(config.blobs.s3_secret_key.as_ref());
            let blobs = S3Blobs::open(s3, Arc::clone(clock))
                .await
                .context("blobs in object storage")?;
            Ok(Arc::new(blobs))
        }
    }
}
