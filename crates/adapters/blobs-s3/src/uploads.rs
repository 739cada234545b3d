//! Uploads: beginning, taking over, appending, ending.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use riwaq_blobs::rules::expiry;
use riwaq_blobs::{BlobKey, BlobsError, ByteStream, Fence, MAX_LIST, NewUpload, Upload, UploadId};

use crate::Inner;
use crate::appending::Appending;
use crate::documents::{Decision, Loaded, Written};
use crate::errors::Kind;
use crate::state::{Part, Piece, UploadState};

/// How many states are read at once by the sweep.
const READS_AT_ONCE: usize = 16;

/// When the uploads that a sweep saw expire, so that the next one need not read them again. It never changes.
#[derive(Debug, Default)]
pub(crate) struct Expiries(Mutex<HashMap<UploadId, DateTime<Utc>>>);

/// What is left to do with an upload that is to go.
enum Ending {
    /// It lives.
    None,
    /// It was completed: see that the blob is there.
    Publish,
    /// It was given up; whether just now.
    Discard { now: bool },
}

impl Inner {
    pub(crate) async fn begin(&self, new: NewUpload) -> Result<Upload, BlobsError> {
        let created_at = self.clock.now();
        let expires_at = expiry(created_at, new.expires_after)?;
        let id = UploadId::random();
        let state = UploadState::new(new.max_bytes, created_at, expires_at);
        match self.store.create(&self.layout.upload(&id), state).await? {
            Written::Done(loaded) => {
                let upload = loaded.value.seen(id, None);
                self.states.insert(id, loaded);
                Ok(upload)
            }
            Written::Lost(_) => Err(BlobsError::Corrupt("a random name was taken".into())),
        }
    }

    pub(crate) async fn claim(&self, id: UploadId) -> Result<Upload, BlobsError> {
        let now = self.clock.now();
        let take = |state: &mut UploadState| {
            state.check_alive(now)?;
            state.take_over();
            Ok(Decision::Write(()))
        };
        let (loaded, ()) = self.change(id, take).await?;
        let completed = match &loaded.value.sealed {
            Some(_) => Some(self.publish(id, &loaded.value, false).await?),
            None => None,
        };
        Ok(loaded.value.seen(id, completed))
    }

    pub(crate) async fn append(
        &self,
        id: UploadId,
        fence: Fence,
        offset: u64,
        body: ByteStream<'_>,
    ) -> Result<u64, BlobsError> {
        let now = self.clock.now();
        let check = |state: &mut UploadState| {
            state.check_writable(fence, now)?;
            if state.offset != offset {
                return Err(BlobsError::OffsetMismatch {
                    durable: state.offset,
                });
            }
            // Whoever writes has to win against the present version in the end.
            Ok(Decision::Trust(()))
        };
        let (loaded, ()) = self.change(id, check).await?;
        Box::pin(Appending::new(self, id, fence, &loaded.value).run(body)).await
    }

    pub(crate) async fn abort(&self, id: UploadId) -> Result<(), BlobsError> {
        let now = self.clock.now();
        let give_up = |state: &mut UploadState| {
            if state.aborted {
                return Ok(Decision::Keep(()));
            }
            state.check_alive(now)?;
            if state.sealed.is_some() {
                return Err(BlobsError::AlreadyComplete);
            }
            state.aborted = true;
            Ok(Decision::Write(()))
        };
        match self.change(id, give_up).await {
            Ok((loaded, ())) => self.discard(id, &loaded.value).await,
            Err(BlobsError::UploadNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what is left of an upload that nobody may touch any more. Its state goes last: as long as it is there, the rest
    /// is found again.
    async fn discard(&self, id: UploadId, state: &UploadState) -> Result<(), BlobsError> {
        if let Some(multipart) = &state.multipart {
            let name = self.layout.content(&state.key, &multipart.name);
            self.store
                .abort_multipart(&name, &multipart.upload_id)
                .await?;
        }
        // One that was taken for lost may have been completed after all.
        let content = match &state.sealed {
            Some(sealed) if self.is_described(state).await? => sealed.content.as_deref(),
            _ => None,
        };
        self.tidy(state, content).await?;
        self.store.delete(&self.layout.upload(&id)).await?;
        self.states.invalidate(&id);
        Ok(())
    }

    /// Removes what was written for an upload and is not its content.
    pub(crate) async fn tidy(
        &self,
        state: &UploadState,
        keep: Option<&str>,
    ) -> Result<(), BlobsError> {
        let used = state
            .multipart
            .as_ref()
            .map(|multipart| multipart.name.as_str());
        for name in state
            .begun
            .iter()
            .filter(|name| Some(name.as_str()) != used)
        {
            let name = self.layout.content(&state.key, name);
            for upload_id in self.store.multiparts(&name).await? {
                self.store.abort_multipart(&name, &upload_id).await?;
            }
        }
        let object = |name: &str| self.layout.content(&state.key, name);
        let mut names: Vec<String> = state.leftovers(keep).into_iter().map(object).collect();
        if state.untidy {
            let kept = keep.map(object);
            let page = self
                .store
                .list(&self.layout.contents_of(&state.key), None, MAX_LIST)
                .await?;
            let others = page
                .names
                .into_iter()
                .filter(|name| Some(name) != kept.as_ref());
            names.extend(others);
            names.sort_unstable();
            names.dedup();
        }
        self.store.delete_all(names).await
    }

    pub(crate) async fn expire_uploads(&self) -> Result<u64, BlobsError> {
        let now = self.clock.now();
        let folder = self.layout.uploads();
        let (mut unfinished, mut after, mut seen) = (0, None::<String>, HashMap::new());
        loop {
            let page = self.store.list(&folder, after.as_deref(), MAX_LIST).await?;
            let ids = page
                .names
                .iter()
                .filter_map(|name| name.strip_prefix(&folder)?.parse().ok());
            let mut ends = stream::iter(ids.collect::<Vec<UploadId>>())
                .map(|id| async move { (id, self.expire(id, now).await) })
                .buffer_unordered(READS_AT_ONCE);
            while let Some((id, ended)) = ends.next().await {
                match ended? {
                    Expired::Lives(until) => {
                        seen.insert(id, until);
                    }
                    Expired::Gone { unfinished: one } => unfinished += u64::from(one),
                }
            }
            drop(ends);
            if !page.more {
                break;
            }
            after = page.names.last().cloned();
        }
        *self
            .expiries
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(unfinished)
    }

    /// Ends one upload if its time is over.
    async fn expire(&self, id: UploadId, now: DateTime<Utc>) -> Result<Expired, BlobsError> {
        let known = self
            .expiries
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied();
        if let Some(until) = known.filter(|until| now < *until) {
            return Ok(Expired::Lives(until));
        }
        let end = |state: &mut UploadState| {
            Ok(if state.aborted {
                Decision::Keep(Ending::Discard { now: false })
            } else if !state.is_expired(now) {
                Decision::Trust(Ending::None)
            } else if state.sealed.is_some() {
                Decision::Keep(Ending::Publish)
            } else {
                state.aborted = true;
                Decision::Write(Ending::Discard { now: true })
            })
        };
        let gone = |unfinished| Ok(Expired::Gone { unfinished });
        let (loaded, ending) = match self.change(id, end).await {
            Ok(changed) => changed,
            Err(BlobsError::UploadNotFound) => return gone(false),
            Err(BlobsError::Corrupt(why)) => {
                // It must not keep the others from being tidied up.
                tracing::error!(why, "the state of an upload is damaged");
                return gone(false);
            }
            Err(error) => return Err(error),
        };
        let state = &loaded.value;
        match ending {
            Ending::None => Ok(Expired::Lives(state.expires_at)),
            Ending::Discard { now } => self
                .discard(id, state)
                .await
                .map(|()| Expired::Gone { unfinished: now }),
            Ending::Publish => self
                .outlived(id, state)
                .await
                .map(|()| Expired::Gone { unfinished: false }),
        }
    }

    /// Sees that a completed upload has its blob, and forgets the upload.
    async fn outlived(&self, id: UploadId, state: &UploadState) -> Result<(), BlobsError> {
        match self.publish(id, state, false).await {
            Ok(_) => {}
            Err(BlobsError::UploadNotFound) => return self.discard(id, state).await,
            Err(error) => return Err(error),
        }
        let content = state
            .sealed
            .as_ref()
            .and_then(|sealed| sealed.content.as_deref());
        self.tidy(state, content).await?;
        self.store.delete(&self.layout.upload(&id)).await?;
        self.states.invalidate(&id);
        Ok(())
    }

    /// Changes the state of an upload; see [`crate::store::Store::change`].
    pub(crate) async fn change<O>(
        &self,
        id: UploadId,
        decide: impl FnMut(&mut UploadState) -> Result<Decision<O>, BlobsError>,
    ) -> Result<(Loaded<UploadState>, O), BlobsError> {
        // Taken out, so that nothing that failed halfway stays known.
        let known = self.states.remove(&id);
        let name = self.layout.upload(&id);
        match self.store.change(&name, known, decide).await? {
            Some((loaded, outcome)) => {
                self.states.insert(id, loaded.clone());
                Ok((loaded, outcome))
            }
            None => Err(BlobsError::UploadNotFound),
        }
    }

    /// The bytes of some pieces with others after them, which are held no longer than it takes.
    pub(crate) async fn joined(
        &self,
        key: &BlobKey,
        pieces: &[Piece],
        rest: Bytes,
    ) -> Result<Bytes, BlobsError> {
        if pieces.is_empty() {
            return Ok(rest);
        }
        let before: u64 = pieces.iter().map(|piece| piece.bytes).sum();
        let mut all = BytesMut::with_capacity(usize::try_from(before).unwrap_or(0) + rest.len());
        for piece in pieces {
            let name = self.layout.content(key, &piece.name);
            let before = all.len();
            let read = self.store.read_into(&mut all, &name, piece.bytes).await?;
            read.ok_or_else(|| BlobsError::Corrupt(format!("{name} is gone")))?;
            let has = (all.len() - before) as u64;
            if has != piece.bytes {
                return Err(BlobsError::Corrupt(format!(
                    "{name} has {has} bytes instead of {}",
                    piece.bytes
                )));
            }
        }
        all.extend_from_slice(&rest);
        Ok(all.freeze())
    }

    pub(crate) async fn upload_part(
        &self,
        name: &str,
        upload_id: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<Part, BlobsError> {
        let sent = self.store.upload_part(name, upload_id, number, bytes).await;
        sent.map_err(|refusal| match refusal.kind {
            Kind::NoSuchUpload | Kind::NotFound => {
                tracing::warn!(
                    why = refusal.text,
                    "the server has forgotten the parts of an upload: its own limit for unfinished uploads must be longer"
                );
                BlobsError::UploadNotFound
            }
            _ => refusal.into_error(),
        })
    }

    /// Removes pieces that are part of something else by now. What cannot be removed costs room, nothing else.
    pub(crate) async fn delete_pieces(&self, key: &BlobKey, pieces: &[Piece]) {
        let names = pieces
            .iter()
            .map(|piece| self.layout.content(key, &piece.name))
            .collect();
        if let Err(error) = self.store.delete_all(names).await {
            tracing::debug!(%error, "pieces of an upload are left over");
        }
    }
}

/// What became of an upload in a sweep.
enum Expired {
    Lives(DateTime<Utc>),
    Gone { unfinished: bool },
}
