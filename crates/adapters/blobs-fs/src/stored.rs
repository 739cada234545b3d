//! Finished blobs: content and its description side by side.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use riwaq_blobs::rules::check_grace;
use riwaq_blobs::{BlobInfo, BlobKey, BlobsError};

use crate::Inner;
use crate::layout::{Layout, failed, read_json, remove, sync_folder};

impl Inner {
    /// Alone with the descriptions: they are read, changed and written back.
    pub(crate) fn with_descriptions<T>(&self, work: impl FnOnce(&Layout) -> T) -> T {
        let _alone = self
            .describing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&self.layout)
    }
}

/// Whether the blob is there, and what it is.
pub(crate) fn find(layout: &Layout, key: &BlobKey) -> Result<Option<BlobInfo>, BlobsError> {
    match open(layout, key) {
        Ok((info, _)) => Ok(Some(info)),
        Err(BlobsError::BlobNotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The blob's description and its content.
pub(crate) fn open(layout: &Layout, key: &BlobKey) -> Result<(BlobInfo, File), BlobsError> {
    let path = layout.blob(key);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BlobsError::BlobNotFound);
        }
        Err(error) => return Err(failed("open", &path, &error)),
    };
    // Content is removed first: a description that is gone now was removed since.
    let Some(info) = read_json::<BlobInfo>(&layout.blob_info(key))? else {
        return Err(if path.exists() {
            BlobsError::Corrupt(format!("{} has no description", path.display()))
        } else {
            BlobsError::BlobNotFound
        });
    };
    let length = file
        .metadata()
        .map_err(|error| failed("examine", &path, &error))?
        .len();
    if info.key != *key || length != info.size {
        return Err(BlobsError::Corrupt(format!(
            "{} has {length} bytes, its description says {} of {}",
            path.display(),
            info.size,
            info.key
        )));
    }
    Ok((info, file))
}

/// Changes the description of a blob.
pub(crate) fn describe(
    layout: &Layout,
    key: &BlobKey,
    change: impl FnOnce(&mut BlobInfo),
) -> Result<(), BlobsError> {
    let (mut info, _) = open(layout, key)?;
    let before = info.marked_at;
    change(&mut info);
    if info.marked_at == before {
        return Ok(());
    }
    layout.replace_json(&layout.blob_info(key), &info)
}

/// Deletes a blob whose grace is over.
pub(crate) fn delete(
    layout: &Layout,
    key: &BlobKey,
    now: DateTime<Utc>,
) -> Result<bool, BlobsError> {
    let Some(info) = find(layout, key)? else {
        return Ok(false);
    };
    check_grace(&info, now)?;
    remove(&layout.blob(key))?;
    let leaf = layout.leaf(key);
    // Content goes for good before its description: what is left after a crash is a marked description alone.
    sync_folder(&leaf).map_err(|error| failed("sync", &leaf, &error))?;
    remove(&layout.blob_info(key))?;
    Ok(true)
}

/// The blobs after a key, in order.
pub(crate) fn list(
    layout: &Layout,
    after: Option<BlobKey>,
    limit: usize,
) -> Result<Vec<BlobInfo>, BlobsError> {
    let after_text = after.map(|key| key.to_string()).unwrap_or_default();
    let mut found = Vec::new();
    for first in names(&layout.blobs(), after_text.get(..2))? {
        let folder = layout.blobs().join(&first);
        // Below a later folder everything comes after the key.
        let same = after_text.get(..2) == Some(first.as_str());
        for second in names(&folder, after_text.get(2..4).filter(|_| same))? {
            list_leaf(layout, &folder.join(second), after, limit, &mut found)?;
            if found.len() == limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn list_leaf(
    layout: &Layout,
    leaf: &Path,
    after: Option<BlobKey>,
    limit: usize,
    found: &mut Vec<BlobInfo>,
) -> Result<(), BlobsError> {
    for name in names(leaf, None)? {
        if let Some(key) = name
            .strip_suffix(".json")
            .and_then(|key| key.parse::<BlobKey>().ok())
        {
            clear_half_deleted(layout, &key)?;
            continue;
        }
        let Ok(key) = name.parse::<BlobKey>() else {
            continue;
        };
        if after.is_some_and(|after| key <= after) {
            continue;
        }
        // A blob that cannot be read must not hide the others from a sweep or an export.
        match find(layout, &key) {
            Ok(Some(info)) => found.push(info),
            Ok(None) => {}
            Err(BlobsError::Corrupt(why)) => tracing::error!(why, "a blob is damaged"),
            Err(error) => return Err(error),
        }
        if found.len() == limit {
            return Ok(());
        }
    }
    Ok(())
}

/// Removes the description of a blob whose deletion was cut by a crash.
fn clear_half_deleted(layout: &Layout, key: &BlobKey) -> Result<(), BlobsError> {
    if layout.blob(key).exists() {
        return Ok(());
    }
    let described = read_json::<BlobInfo>(&layout.blob_info(key)).ok().flatten();
    // Without a mark it belongs to a completion that is running.
    if described.is_some_and(|info| info.marked_at.is_some()) {
        remove(&layout.blob_info(key))?;
    }
    Ok(())
}

/// The names in a folder that are not before `from`, in order.
fn names(folder: &Path, from: Option<&str>) -> Result<Vec<String>, BlobsError> {
    let unreadable = |error: io::Error| failed("list", folder, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(name) = name.to_str()
            && from.is_none_or(|from| name >= from)
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
