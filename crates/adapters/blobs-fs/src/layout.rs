//! Where things lie in the folder, and how they get there durably. The only place where paths are made: every one of them
//! from a constant or from the hexadecimal digits of a random name, never from what a user sent.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use riwaq_blobs::{BlobKey, BlobsError, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The folder:
/// `lock`, `uploads/ID.json` and `uploads/ID.part`, `blobs/ab/cd/KEY` and `blobs/ab/cd/KEY.json`, `tmp/`.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    /// Folders that are known to be durable, by the first two bytes of the keys in them.
    durable: Mutex<HashSet<[u8; 2]>>,
}

impl Layout {
    /// Makes what is missing.
    pub(crate) fn create(root: PathBuf) -> io::Result<Self> {
        for folder in [
            root.clone(),
            root.join("uploads"),
            root.join("blobs"),
            root.join("tmp"),
        ] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
        }
        sync_folder(&root)?;
        if let Some(parent) = root.canonicalize()?.parent() {
            sync_folder(parent)?;
        }
        Ok(Self {
            root,
            durable: Mutex::default(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("tmp").join("probe")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(crate) fn upload_meta(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(format!("{id}.json"))
    }

    pub(crate) fn upload_part(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(format!("{id}.part"))
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn leaf(&self, key: &BlobKey) -> PathBuf {
        let [first, second, ..] = key.as_bytes();
        self.blobs()
            .join(format!("{first:02x}"))
            .join(format!("{second:02x}"))
    }

    pub(crate) fn blob(&self, key: &BlobKey) -> PathBuf {
        self.leaf(key).join(key.to_string())
    }

    pub(crate) fn blob_info(&self, key: &BlobKey) -> PathBuf {
        self.leaf(key).join(format!("{key}.json"))
    }

    /// Makes the leaf folder of a key, durably.
    pub(crate) fn create_leaf(&self, key: &BlobKey) -> io::Result<PathBuf> {
        let leaf = self.leaf(key);
        let [first, second, ..] = *key.as_bytes();
        let known = |set: &Mutex<HashSet<[u8; 2]>>| {
            set.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&[first, second])
        };
        if known(&self.durable) {
            return Ok(leaf);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&leaf)?;
        // Also where another thread has just made them: it may not have synced them yet.
        sync_folder(&self.blobs())?;
        if let Some(parent) = leaf.parent() {
            sync_folder(parent)?;
        }
        self.durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert([first, second]);
        Ok(leaf)
    }

    /// Replaces a small file by rename, so that after a crash it is the old or the new one, whole.
    pub(crate) fn replace_json(
        &self,
        path: &Path,
        value: &impl Serialize,
    ) -> Result<(), BlobsError> {
        let bytes = serde_json::to_vec(value).map_err(|e| BlobsError::Corrupt(e.to_string()))?;
        let temporary = self.tmp().join(UploadId::random().to_string());
        let written = (|| {
            let mut file = create_new(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), sync_folder)
        })();
        if written.is_err() {
            // A leftover is removed at the next start as well.
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(|e| failed("write", path, &e))
    }
}

/// Reads a small file; none where there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, BlobsError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .map_err(|error| BlobsError::Corrupt(format!("{}: {error}", path.display())))
}

/// Makes a file that must not be there yet, readable by the owner only.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file; returns whether it was there.
pub(crate) fn remove(path: &Path) -> Result<bool, BlobsError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path, &error)),
    }
}

/// An error of the file system as an error of the port.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> BlobsError {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobsError::NoSpace(text),
        _ => BlobsError::Unavailable(text),
    }
}
