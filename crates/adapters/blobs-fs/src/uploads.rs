//! Uploads that are not finished: a part file, and a description with the fence.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use riwaq_blobs::rules::{check_expected, expiry};
use riwaq_blobs::{
    BlobInfo, BlobKey, BlobsError, Expected, Fence, NewUpload, Sha256, Sha256Hasher, Upload,
    UploadId,
};
use serde::{Deserialize, Serialize};

use crate::appending::Appending;
use crate::layout::{Layout, create_new, failed, read_json, remove, sync_folder};
use crate::stored;

/// What is written down about an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The key that the blob will have.
    key: BlobKey,
    pub(crate) fence: Fence,
    pub(crate) max_bytes: u64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// An upload in memory. The map may forget it at any time that nobody writes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) meta: Meta,
    /// How many bytes of the part file count.
    pub(crate) length: u64,
    /// How many of them were synced. After a sync that failed only these count: the system may have dropped the rest.
    durable: u64,
    /// The digest of those bytes so far; none after a restart.
    pub(crate) hasher: Option<HasherDebug>,
    /// Whether an append of the present fence is running.
    pub(crate) writing: bool,
    /// The blob, once complete.
    completed: Option<BlobInfo>,
    /// Whether the map has dropped this entry: whoever waited for it looks again.
    pub(crate) gone: bool,
}

/// A hasher that can be printed.
#[derive(Clone)]
pub(crate) struct HasherDebug(pub(crate) Sha256Hasher);

impl std::fmt::Debug for HasherDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256Hasher")
    }
}

pub(crate) type Shared = Arc<Mutex<Entry>>;

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All uploads of the folder.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    known: Mutex<HashMap<UploadId, Shared>>,
}

impl Uploads {
    pub(crate) fn begin(
        &self,
        layout: &Layout,
        new: NewUpload,
        now: DateTime<Utc>,
    ) -> Result<Upload, BlobsError> {
        let id = UploadId::random();
        let meta = Meta {
            key: BlobKey::random(),
            fence: Fence(1),
            max_bytes: new.max_bytes,
            created_at: now,
            expires_at: expiry(now, new.expires_after)?,
        };
        let part = layout.upload_part(&id);
        create_new(&part).map_err(|error| failed("create", &part, &error))?;
        // Syncs the folder, so the part file is durable with it.
        layout.replace_json(&layout.upload_meta(&id), &meta)?;
        let entry = Entry {
            meta,
            length: 0,
            durable: 0,
            hasher: Some(HasherDebug(Sha256Hasher::new())),
            writing: false,
            completed: None,
            gone: false,
        };
        let upload = entry.seen(id);
        held(&self.known).insert(id, Arc::new(Mutex::new(entry)));
        Ok(upload)
    }

    /// Alone with one upload that has not expired.
    fn with<T>(
        &self,
        layout: &Layout,
        id: UploadId,
        now: DateTime<Utc>,
        work: impl FnOnce(&Shared, &mut Entry) -> Result<T, BlobsError>,
    ) -> Result<T, BlobsError> {
        loop {
            let shared = self.find(layout, id)?.ok_or(BlobsError::UploadNotFound)?;
            let mut entry = held(&shared);
            if entry.gone {
                continue;
            }
            if now >= entry.meta.expires_at {
                return Err(BlobsError::UploadNotFound);
            }
            entry.notice_completion(layout)?;
            return work(&shared, &mut entry);
        }
    }

    fn find(&self, layout: &Layout, id: UploadId) -> Result<Option<Shared>, BlobsError> {
        let mut known = held(&self.known);
        if let Some(shared) = known.get(&id) {
            return Ok(Some(Arc::clone(shared)));
        }
        let Some(entry) = Entry::load(layout, id)? else {
            return Ok(None);
        };
        let shared = Arc::new(Mutex::new(entry));
        known.insert(id, Arc::clone(&shared));
        Ok(Some(shared))
    }

    fn forget(&self, id: UploadId, entry: &mut Entry) {
        entry.gone = true;
        held(&self.known).remove(&id);
    }

    pub(crate) fn claim(
        &self,
        layout: &Layout,
        id: UploadId,
        now: DateTime<Utc>,
    ) -> Result<Upload, BlobsError> {
        self.with(layout, id, now, |_, entry| {
            let meta = Meta {
                fence: Fence(entry.meta.fence.0 + 1),
                ..entry.meta.clone()
            };
            layout.replace_json(&layout.upload_meta(&id), &meta)?;
            entry.meta = meta;
            entry.writing = false;
            if entry.completed.is_none() {
                let path = layout.upload_part(&id);
                let synced = File::open(&path).and_then(|file| file.sync_data());
                entry.note_sync(entry.length, synced.map_err(|e| failed("sync", &path, &e)))?;
            }
            Ok(entry.seen(id))
        })
    }

    pub(crate) fn start_append(
        &self,
        layout: &Layout,
        id: UploadId,
        fence: Fence,
        offset: u64,
        now: DateTime<Utc>,
    ) -> Result<Appending, BlobsError> {
        self.with(layout, id, now, |shared, entry| {
            entry.check_writer(fence)?;
            if offset != entry.length {
                return Err(BlobsError::OffsetMismatch {
                    durable: entry.length,
                });
            }
            let path = layout.upload_part(&id);
            let file = File::options().write(true).open(&path);
            let file = file.map_err(|error| failed("open", &path, &error))?;
            entry.writing = true;
            Ok(Appending::new(Arc::clone(shared), id, fence, file))
        })
    }

    pub(crate) fn complete(
        &self,
        layout: &Layout,
        id: UploadId,
        fence: Fence,
        expected: Expected,
        now: DateTime<Utc>,
    ) -> Result<BlobInfo, BlobsError> {
        self.with(layout, id, now, |_, entry| {
            match entry.check_writer(fence) {
                Err(BlobsError::AlreadyComplete) => {}
                other => other?,
            }
            if let Some(info) = entry.completed.clone() {
                check_expected(expected, info.size, info.sha256)?;
                // The completion before may have ended between rename and sync.
                make_visible(layout, &info.key)?;
                return Ok(info);
            }
            let sha256 = entry.digest(layout, id)?;
            check_expected(expected, entry.length, sha256)?;
            let key = entry.meta.key;
            let info = BlobInfo {
                key,
                size: entry.length,
                sha256,
                created_at: now,
                marked_at: None,
            };
            let published = publish(layout, id, &info);
            // From here on the folder itself says how far it came.
            self.forget(id, entry);
            published.map(|()| info)
        })
    }

    pub(crate) fn abort(
        &self,
        layout: &Layout,
        id: UploadId,
        now: DateTime<Utc>,
    ) -> Result<(), BlobsError> {
        let aborted = self.with(layout, id, now, |_, entry| {
            if entry.completed.is_some() {
                return Err(BlobsError::AlreadyComplete);
            }
            self.discard(layout, id, entry)
        });
        match aborted {
            Err(BlobsError::UploadNotFound) => Ok(()),
            other => other,
        }
    }

    fn discard(&self, layout: &Layout, id: UploadId, entry: &mut Entry) -> Result<(), BlobsError> {
        // The description last: as long as it is there, what is left of the rest is found again.
        if entry.completed.is_none() {
            remove(&layout.blob_info(&entry.meta.key))?;
            remove(&layout.upload_part(&id))?;
        }
        remove(&layout.upload_meta(&id))?;
        let folder = layout.uploads();
        sync_folder(&folder).map_err(|error| failed("sync", &folder, &error))?;
        self.forget(id, entry);
        Ok(())
    }

    /// Removes what has expired; counts what was unfinished.
    pub(crate) fn expire(&self, layout: &Layout, now: DateTime<Utc>) -> Result<u64, BlobsError> {
        let folder = layout.uploads();
        let unreadable = |error: io::Error| failed("list", &folder, &error);
        let mut unfinished = 0;
        for file in std::fs::read_dir(&folder).map_err(unreadable)? {
            let name = file.map_err(unreadable)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(id) = id.and_then(|id| id.parse().ok()) else {
                continue;
            };
            let Some(shared) = self.find(layout, id)? else {
                continue;
            };
            let mut entry = held(&shared);
            if entry.gone || now < entry.meta.expires_at {
                continue;
            }
            unfinished += u64::from(entry.completed.is_none());
            self.discard(layout, id, &mut entry)?;
        }
        Ok(unfinished)
    }
}

impl Entry {
    /// What the folder says; none for an unknown upload.
    fn load(layout: &Layout, id: UploadId) -> Result<Option<Self>, BlobsError> {
        let Some(meta) = read_json::<Meta>(&layout.upload_meta(&id))? else {
            return Ok(None);
        };
        let completed = stored::find(layout, &meta.key)?;
        let part = layout.upload_part(&id);
        let length = match (&completed, std::fs::metadata(&part)) {
            (Some(info), _) => info.size,
            (None, Ok(part)) => part.len(),
            // Completed, and the blob was deleted since.
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                remove(&layout.upload_meta(&id))?;
                return Ok(None);
            }
            (None, Err(error)) => return Err(failed("examine", &part, &error)),
        };
        Ok(Some(Self {
            meta,
            length,
            durable: length,
            hasher: None,
            writing: false,
            completed,
            gone: false,
        }))
    }

    /// A blob that was deleted takes its upload along.
    fn notice_completion(&mut self, layout: &Layout) -> Result<(), BlobsError> {
        if self.completed.is_some() {
            self.completed = stored::find(layout, &self.meta.key)?;
            if self.completed.is_none() {
                return Err(BlobsError::UploadNotFound);
            }
        }
        Ok(())
    }

    fn check_writer(&self, fence: Fence) -> Result<(), BlobsError> {
        if fence != self.meta.fence {
            return Err(BlobsError::Fenced);
        }
        if self.completed.is_some() {
            return Err(BlobsError::AlreadyComplete);
        }
        if self.writing {
            return Err(BlobsError::Busy);
        }
        Ok(())
    }

    fn seen(&self, id: UploadId) -> Upload {
        Upload {
            id,
            fence: self.meta.fence,
            offset: self.length,
            max_bytes: self.meta.max_bytes,
            created_at: self.meta.created_at,
            expires_at: self.meta.expires_at,
            completed: self.completed.clone(),
        }
    }

    /// Counts what was synced; forgets what was not, so that the sender sends it again.
    pub(crate) fn note_sync(
        &mut self,
        end: u64,
        synced: Result<(), BlobsError>,
    ) -> Result<(), BlobsError> {
        if synced.is_ok() {
            self.durable = self.durable.max(end);
        } else {
            self.length = self.durable;
            self.hasher = None;
        }
        synced
    }

    /// Makes the part file exactly as long as what counts, durable, and gives its digest.
    fn digest(&mut self, layout: &Layout, id: UploadId) -> Result<Sha256, BlobsError> {
        let path = layout.upload_part(&id);
        let unreadable = |error: io::Error| failed("read", &path, &error);
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.len() != self.length {
            // A write that failed halfway left bytes that were never counted.
            file.set_len(self.length)
                .map_err(|error| failed("cut", &path, &error))?;
        }
        file.sync_all()
            .map_err(|error| failed("sync", &path, &error))?;
        if let Some(HasherDebug(hasher)) = self.hasher.clone() {
            return Ok(hasher.finish());
        }
        let mut hasher = Sha256Hasher::new();
        let mut buffer = vec![0; crate::WRITE_BYTES];
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        self.hasher = Some(HasherDebug(hasher.clone()));
        Ok(hasher.finish())
    }
}

/// Turns the synced part file into the blob.
fn publish(layout: &Layout, id: UploadId, info: &BlobInfo) -> Result<(), BlobsError> {
    let path = layout.blob(&info.key);
    let refused = |error: io::Error| failed("create", &path, &error);
    layout.create_leaf(&info.key).map_err(refused)?;
    layout.replace_json(&layout.blob_info(&info.key), info)?;
    std::fs::rename(layout.upload_part(&id), &path).map_err(refused)?;
    make_visible(layout, &info.key)
}

/// Makes the name of a blob durable.
fn make_visible(layout: &Layout, key: &BlobKey) -> Result<(), BlobsError> {
    let synced = layout.create_leaf(key).and_then(|leaf| sync_folder(&leaf));
    synced.map_err(|error| failed("sync", &layout.leaf(key), &error))
}

/// Removes part files without a description (an upload that never began) and temporary files.
pub(crate) fn clear_leftovers(layout: &Layout) -> io::Result<()> {
    for file in std::fs::read_dir(layout.tmp())? {
        std::fs::remove_file(file?.path())?;
    }
    for file in std::fs::read_dir(layout.uploads())? {
        let file = file?;
        let name = file.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".part"));
        let id = id.and_then(|id| id.parse::<UploadId>().ok());
        if id.is_some_and(|id| !layout.upload_meta(&id).exists()) {
            std::fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
