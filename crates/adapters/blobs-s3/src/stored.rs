//! Finished blobs: an object with the content, and a description that makes a blob of it.

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use riwaq_blobs::rules::check_grace;
use riwaq_blobs::{BlobInfo, BlobKey, BlobsError, Sha256, UploadId};
use serde::{Deserialize, Serialize};

use crate::Inner;
use crate::documents::{Decision, Document};
use crate::state::{Sealed, UploadState};

/// How many descriptions are read at once.
const READS_AT_ONCE: usize = 16;

/// A blob, as it is written down. Only the mark and the deletion ever change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    stamp: String,
    pub(crate) key: BlobKey,
    pub(crate) size: u64,
    sha256: Sha256,
    pub(crate) crc32: u32,
    created_at: DateTime<Utc>,
    marked_at: Option<DateTime<Utc>>,
    /// The upload that it came from.
    upload: UploadId,
    /// The name of the object with the content; none for no content.
    pub(crate) content: Option<String>,
    /// Whether it is being deleted: to everybody it is gone.
    deleting: bool,
}

impl Document for Description {
    fn stamp(&self) -> &str {
        &self.stamp
    }

    fn set_stamp(&mut self, stamp: String) {
        self.stamp = stamp;
    }
}

impl Description {
    pub(crate) fn new(upload: UploadId, state: &UploadState, sealed: &Sealed) -> Self {
        Self {
            stamp: String::new(),
            key: state.key,
            size: state.offset,
            sha256: state.sha256.finish(),
            crc32: state.crc32,
            created_at: sealed.created_at,
            marked_at: None,
            upload,
            content: sealed.content.clone(),
            deleting: false,
        }
    }

    pub(crate) fn info(&self) -> BlobInfo {
        BlobInfo {
            key: self.key,
            size: self.size,
            sha256: self.sha256,
            created_at: self.created_at,
            marked_at: self.marked_at,
        }
    }

    /// As its upload sees it: a deleted blob takes its upload along.
    pub(crate) fn of_upload(&self) -> Result<BlobInfo, BlobsError> {
        if self.deleting {
            return Err(BlobsError::UploadNotFound);
        }
        Ok(self.info())
    }

    fn check_there(&self) -> Result<(), BlobsError> {
        if self.deleting {
            return Err(BlobsError::BlobNotFound);
        }
        Ok(())
    }
}

impl Inner {
    /// The description as it is now.
    pub(crate) async fn describe(&self, key: &BlobKey) -> Result<Description, BlobsError> {
        let read = self
            .store
            .load::<Description>(&self.layout.info(key))
            .await?;
        let found = read
            .map(|loaded| loaded.value)
            .ok_or(BlobsError::BlobNotFound);
        let found = found.and_then(|description| {
            description.check_there()?;
            if description.key != *key {
                let other = description.key;
                return Err(BlobsError::Corrupt(format!(
                    "the description of {key} is that of {other}"
                )));
            }
            Ok(description)
        });
        match &found {
            Ok(description) => self.descriptions.insert(*key, description.clone()),
            Err(_) => self.descriptions.invalidate(key),
        }
        found
    }

    pub(crate) async fn mark(&self, key: &BlobKey, marked: bool) -> Result<(), BlobsError> {
        let now = self.clock.now();
        let set = |description: &mut Description| {
            description.check_there()?;
            if description.marked_at.is_some() == marked {
                return Ok(Decision::Keep(()));
            }
            description.marked_at = marked.then_some(now);
            Ok(Decision::Write(()))
        };
        self.descriptions.invalidate(key);
        match self.store.change(&self.layout.info(key), None, set).await? {
            Some(_) => Ok(()),
            None => Err(BlobsError::BlobNotFound),
        }
    }

    pub(crate) async fn delete(&self, key: &BlobKey) -> Result<bool, BlobsError> {
        let now = self.clock.now();
        let decide = |description: &mut Description| {
            if description.deleting {
                // Of another call, perhaps one that a crash cut: it is helped to its end.
                return Ok(Decision::Keep(false));
            }
            check_grace(&description.info(), now)?;
            description.deleting = true;
            Ok(Decision::Write(true))
        };
        self.descriptions.invalidate(key);
        let Some((loaded, mine)) = self
            .store
            .change(&self.layout.info(key), None, decide)
            .await?
        else {
            return Ok(false);
        };
        self.finish_deletion(&loaded.value).await?;
        Ok(mine)
    }

    /// The description goes last: as long as it is there, what is left of the rest is found again.
    async fn finish_deletion(&self, description: &Description) -> Result<(), BlobsError> {
        let key = &description.key;
        self.states.invalidate(&description.upload);
        self.store
            .delete(&self.layout.upload(&description.upload))
            .await?;
        if let Some(content) = &description.content {
            self.store
                .delete(&self.layout.content(key, content))
                .await?;
        }
        self.store.delete(&self.layout.info(key)).await
    }

    pub(crate) async fn list(
        &self,
        after: Option<BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>, BlobsError> {
        let mut after = after.map(|key| self.layout.info(&key));
        let folder = self.layout.infos();
        let mut found = Vec::new();
        loop {
            let page = self
                .store
                .list(&folder, after.as_deref(), limit - found.len())
                .await?;
            let keys: Vec<BlobKey> = page
                .names
                .iter()
                .filter_map(|name| name.strip_prefix(&folder)?.parse().ok())
                .collect();
            let mut read = stream::iter(keys)
                .map(|key| async move { self.listed(key).await })
                .buffered(READS_AT_ONCE);
            while let Some(info) = read.try_next().await? {
                found.extend(info);
            }
            drop(read);
            if !page.more || found.len() == limit {
                return Ok(found);
            }
            after = page.names.last().cloned();
        }
    }

    /// A blob for a list; none where it is gone or cannot be read, which must not hide the others.
    async fn listed(&self, key: BlobKey) -> Result<Option<BlobInfo>, BlobsError> {
        match self
            .store
            .load::<Description>(&self.layout.info(&key))
            .await
        {
            Ok(Some(loaded)) if loaded.value.deleting => {
                self.finish_deletion(&loaded.value).await?;
                Ok(None)
            }
            Ok(loaded) => Ok(loaded.map(|loaded| loaded.value.info())),
            Err(BlobsError::Corrupt(why)) => {
                tracing::error!(why, "a blob is damaged");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
