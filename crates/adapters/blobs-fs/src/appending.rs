//! An append while it runs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::MutexGuard;

use riwaq_blobs::{BlobsError, Fence, UploadId};

use crate::layout::{Layout, failed};
use crate::uploads::{Entry, HasherDebug, Shared, held};

/// An append that is running. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Appending {
    shared: Shared,
    id: UploadId,
    fence: Fence,
    file: File,
}

impl Appending {
    /// The caller has set [`Entry::writing`].
    pub(crate) fn new(shared: Shared, id: UploadId, fence: Fence, file: File) -> Self {
        Self {
            shared,
            id,
            fence,
            file,
        }
    }

    /// Adds bytes, if this is still the writer.
    pub(crate) fn write(&self, layout: &Layout, bytes: &[u8]) -> Result<(), BlobsError> {
        let mut entry = self.entry()?;
        let room = entry.meta.max_bytes - entry.length;
        let fits = usize::try_from(room).map_or(bytes.len(), |room| bytes.len().min(room));
        let fitting = &bytes[..fits];
        let written = self.file.write_all_at(fitting, entry.length);
        written.map_err(|error| failed("write", &layout.upload_part(&self.id), &error))?;
        entry.length += fits as u64;
        if let Some(HasherDebug(hasher)) = &mut entry.hasher {
            hasher.update(fitting);
        }
        if fits < bytes.len() {
            return Err(BlobsError::TooLarge {
                max_bytes: entry.meta.max_bytes,
            });
        }
        Ok(())
    }

    /// Makes all of it durable and gives the new end.
    pub(crate) fn finish(&self, layout: &Layout) -> Result<u64, BlobsError> {
        let end = self.entry()?.length;
        // Without the lock: a disk that hangs must not keep anybody from taking the upload over.
        let synced = self.file.sync_data();
        let synced = synced.map_err(|e| failed("sync", &layout.upload_part(&self.id), &e));
        self.entry()?.note_sync(end, synced)?;
        Ok(end)
    }

    fn entry(&self) -> Result<MutexGuard<'_, Entry>, BlobsError> {
        let entry = held(&self.shared);
        if entry.gone {
            return Err(BlobsError::UploadNotFound);
        }
        if entry.meta.fence != self.fence {
            return Err(BlobsError::Fenced);
        }
        Ok(entry)
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        if let Ok(mut entry) = self.entry() {
            entry.writing = false;
        }
    }
}
