//! How an upload becomes a blob: its state is sealed, and only then is the blob made, by whoever comes by.
//!
//! Sealing is one conditional write, so that exactly one content is decided on and nothing is appended after it. All that follows
//! (putting the parts together, writing the description) can be repeated and gives the same; a completion that a crash cut is
//! ended by the next `complete`, `claim` or sweep.

use bytes::Bytes;
use riwaq_blobs::rules::check_expected;
use riwaq_blobs::{BlobInfo, BlobsError, Expected, Fence, UploadId};

use crate::Inner;
use crate::documents::{Decision, TRIES, Written};
use crate::layout::fresh_name;
use crate::state::{Part, Piece, Sealed, UploadState};
use crate::store::Condition;
use crate::stored::Description;

/// What has to be done before an upload can be sealed.
enum Step {
    /// Another has sealed it.
    Sealed,
    /// This call has sealed it.
    SealedNow,
    /// What is smaller than a part must be sent as the last one.
    LastPart { number: i32 },
    /// Several pieces must become one object.
    Join,
}

impl Inner {
    pub(crate) async fn complete(
        &self,
        id: UploadId,
        fence: Fence,
        expected: Expected,
    ) -> Result<BlobInfo, BlobsError> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let next = |state: &mut UploadState| match state.check_writable(fence, now) {
                Err(BlobsError::AlreadyComplete) => Ok(Decision::Keep(Step::Sealed)),
                Err(refused) => Err(refused),
                Ok(()) => {
                    check_expected(expected, state.offset, state.sha256.finish())?;
                    next_step(state, now)
                }
            };
            let (loaded, step) = self.change(id, next).await?;
            let state = loaded.value;
            match step {
                Step::Sealed => {
                    let info = self.publish(id, &state, false).await?;
                    check_expected(expected, info.size, info.sha256)?;
                    return Ok(info);
                }
                Step::SealedNow => return self.publish(id, &state, true).await,
                Step::LastPart { number } => self.seal_with_part(id, fence, &state, number).await?,
                Step::Join => self.seal_joined(id, fence, &state).await?,
            }
        }
        Err(BlobsError::Unavailable(
            "the upload is being changed by too many at once".into(),
        ))
    }

    /// Sends the last part and seals with it, unless something was appended meanwhile.
    async fn seal_with_part(
        &self,
        id: UploadId,
        fence: Fence,
        state: &UploadState,
        number: i32,
    ) -> Result<(), BlobsError> {
        let Some(multipart) = &state.multipart else {
            return Ok(());
        };
        let bytes = self.joined(&state.key, &state.pieces, Bytes::new()).await?;
        let object = self.layout.content(&state.key, &multipart.name);
        let part: Part = self
            .upload_part(&object, &multipart.upload_id, number, bytes)
            .await?;
        let now = self.clock.now();
        let seal = |state: &mut UploadState| {
            match state.check_writable(fence, now) {
                Err(BlobsError::AlreadyComplete) => return Ok(Decision::Keep(())),
                other => other?,
            }
            if !state.closing || state.next_part != number {
                return Ok(Decision::Keep(()));
            }
            state.add_part(part.clone());
            let content = state
                .multipart
                .as_ref()
                .map(|multipart| multipart.name.clone());
            state.seal(now, content);
            Ok(Decision::Write(()))
        };
        self.change(id, seal).await.map(|_| ())
    }

    /// Makes one object of all pieces and seals with it, unless something was appended meanwhile.
    async fn seal_joined(
        &self,
        id: UploadId,
        fence: Fence,
        state: &UploadState,
    ) -> Result<(), BlobsError> {
        let bytes = self.joined(&state.key, &state.pieces, Bytes::new()).await?;
        let joined = Piece {
            name: fresh_name(),
            bytes: bytes.len() as u64,
        };
        let object = self.layout.content(&state.key, &joined.name);
        self.store.put(&object, bytes, Condition::None).await?;
        let now = self.clock.now();
        let seal = |changed: &mut UploadState| {
            match changed.check_writable(fence, now) {
                Err(BlobsError::AlreadyComplete) => return Ok(Decision::Keep(false)),
                other => other?,
            }
            if changed.pieces != state.pieces || changed.multipart.is_some() {
                return Ok(Decision::Keep(false));
            }
            changed.seal(now, Some(joined.name.clone()));
            Ok(Decision::Write(true))
        };
        match self.change(id, seal).await {
            Ok((_, true)) => Ok(()),
            Ok((_, false)) => {
                self.delete_pieces(&state.key, &[joined]).await;
                Ok(())
            }
            // Whether it was sealed is not known.
            Err(error @ BlobsError::Unavailable(_)) => Err(error),
            Err(error) => {
                self.delete_pieces(&state.key, &[joined]).await;
                Err(error)
            }
        }
    }

    /// Makes the blob of a sealed upload, or finds it made. `first` says that this call has sealed it just now.
    pub(crate) async fn publish(
        &self,
        id: UploadId,
        state: &UploadState,
        first: bool,
    ) -> Result<BlobInfo, BlobsError> {
        let Some(sealed) = &state.sealed else {
            return Err(BlobsError::Corrupt(
                "an upload that is not sealed has no blob".into(),
            ));
        };
        let name = self.layout.info(&state.key);
        if !first && let Some(found) = self.store.load::<Description>(&name).await? {
            return found.value.of_upload();
        }
        self.see_content(id, state, sealed, first).await?;
        let description = Description::new(id, state, sealed);
        let info = match self.store.create(&name, description).await? {
            Written::Done(made) => {
                let info = made.value.info();
                self.descriptions.insert(state.key, made.value);
                info
            }
            Written::Lost(Some(found)) => found.value.of_upload()?,
            Written::Lost(None) => return Err(BlobsError::UploadNotFound),
        };
        // The blob is there: what cannot be tidied up now is so when the upload expires.
        if let Err(error) = self.tidy(state, sealed.content.as_deref()).await {
            tracing::debug!(%error, "something of a finished upload is left over");
        }
        Ok(info)
    }

    /// Sees that the object with the content is there.
    async fn see_content(
        &self,
        id: UploadId,
        state: &UploadState,
        sealed: &Sealed,
        first: bool,
    ) -> Result<(), BlobsError> {
        let Some(content) = &sealed.content else {
            return Ok(());
        };
        let object = self.layout.content(&state.key, content);
        let Some(multipart) = &state.multipart else {
            if first {
                return Ok(());
            }
            return match self.store.size(&object).await? {
                Some(_) => Ok(()),
                None => self.content_is_missing(id, &object).await,
            };
        };
        let (parts, bytes) = (&multipart.parts, state.offset);
        if self
            .store
            .complete_multipart(&object, &multipart.upload_id, parts, bytes)
            .await?
        {
            return Ok(());
        }
        // Another has put them together or is just doing it, or the server has lost them.
        self.see_completed(id, state, &object).await
    }
}

fn next_step(
    state: &mut UploadState,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Decision<Step>, BlobsError> {
    if state.multipart.is_some() && !state.pieces.is_empty() {
        let number = state.part_number()?;
        let step = Step::LastPart { number };
        return Ok(if std::mem::replace(&mut state.closing, true) {
            Decision::Keep(step)
        } else {
            Decision::Write(step)
        });
    }
    if state.pieces.len() > 1 {
        return Ok(Decision::Trust(Step::Join));
    }
    let multipart = state
        .multipart
        .as_ref()
        .map(|multipart| multipart.name.clone());
    let content = multipart.or_else(|| state.pieces.first().map(|piece| piece.name.clone()));
    state.seal(now, content);
    Ok(Decision::Write(Step::SealedNow))
}
