//! An append while it runs: what comes is gathered into parts, and a part is sent while the next one is gathered.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::BoxFuture;
use riwaq_blobs::{BlobsError, ByteStream, Fence, UploadId};
use tokio::sync::SemaphorePermit;

use crate::Inner;
use crate::documents::Decision;
use crate::layout::fresh_name;
use crate::metrics::Running;
use crate::sha256::RunningSha256;
use crate::state::{Multipart, Piece, UploadState};
use crate::store::Condition;

/// How long an append runs before others can see that it does. Most are over by then and need not say it.
const UNSEEN: Duration = Duration::from_millis(200);

/// How many pieces smaller than a part are kept before they are put together.
const MAX_PIECES: usize = 32;

/// How much room a first buffer has, in bytes.
const FIRST_BUFFER: usize = 64 * 1024;

pub(crate) struct Appending<'a> {
    inner: &'a Inner,
    id: UploadId,
    key: riwaq_blobs::BlobKey,
    fence: Fence,
    /// What this append is called in the state.
    writer: String,
    /// Whether the state names it, or will once the part in flight is written down.
    seen: bool,
    /// Where the state ends once the part in flight is written down.
    base: u64,
    /// How much more the upload may take.
    room: u64,
    max_bytes: u64,
    part_bytes: u64,
    /// What lies in front of the gathered bytes and is no part yet.
    pieces: Vec<Piece>,
    gathered: BytesMut,
    sha256: RunningSha256,
    crc32: crc32fast::Hasher,
    _running: Running,
}

/// A part on its way.
struct Sending<'a> {
    part: BoxFuture<'a, Result<(), BlobsError>>,
    /// With it the next part may be gathered meanwhile.
    ahead: Option<SemaphorePermit<'a>>,
}

/// A full part, ready to be sent.
struct Cut {
    start: u64,
    end: u64,
    bytes: Bytes,
    /// What goes in front of them.
    pieces: Vec<Piece>,
    sha256: RunningSha256,
    crc32: u32,
}

impl<'a> Appending<'a> {
    pub(crate) fn new(inner: &'a Inner, id: UploadId, fence: Fence, state: &UploadState) -> Self {
        Self {
            inner,
            id,
            key: state.key,
            fence,
            writer: fresh_name(),
            seen: false,
            base: state.offset,
            room: state.max_bytes - state.offset.min(state.max_bytes),
            max_bytes: state.max_bytes,
            part_bytes: inner.store.config().part_bytes_for(state.max_bytes),
            pieces: state.pieces.clone(),
            gathered: BytesMut::new(),
            sha256: state.sha256.clone(),
            crc32: crc32fast::Hasher::new_with_initial_len(state.crc32, state.offset),
            _running: Running::start("append"),
        }
    }

    /// Takes the body to its end, and gives the new end of the upload.
    pub(crate) async fn run(mut self, mut body: ByteStream<'_>) -> Result<u64, BlobsError> {
        let mut unseen = pin!(tokio::time::sleep(UNSEEN));
        let mut sending: Option<Sending<'a>> = None;
        let mut waiting = Bytes::new();
        let mut ended: Option<Result<(), BlobsError>> = None;
        loop {
            self.gather(&mut waiting);
            if sending.is_none() && self.is_full() {
                sending = Some(Sending {
                    part: self.send_part(),
                    ahead: self.inner.ahead.try_acquire().ok(),
                });
                continue;
            }
            if sending.is_none() && ended.is_some() {
                break;
            }
            let may_gather = sending
                .as_ref()
                .is_none_or(|sending| sending.ahead.is_some());
            let wanted = ended.is_none() && may_gather && !self.is_full();
            let sent = async {
                match &mut sending {
                    Some(sending) => (&mut sending.part).await,
                    None => std::future::pending().await,
                }
            };
            let unmarked = !self.seen;
            tokio::select! {
                biased;
                sent = sent => {
                    sending = None;
                    sent?;
                }
                () = &mut unseen, if unmarked => self.make_seen().await?,
                next = body.next(), if wanted => match next {
                    Some(Ok(piece)) => ended = self.accept(piece, &mut waiting),
                    Some(Err(error)) => ended = Some(Err(error)),
                    None => ended = Some(Ok(())),
                },
            }
        }
        let end = self.finish().await?;
        ended.unwrap_or(Ok(())).map(|()| end)
    }

    /// Takes as much of a piece as the upload may have.
    fn accept(&mut self, mut piece: Bytes, waiting: &mut Bytes) -> Option<Result<(), BlobsError>> {
        let fits = usize::try_from(self.room).map_or(piece.len(), |room| room.min(piece.len()));
        let too_large = fits < piece.len();
        piece.truncate(fits);
        self.room -= fits as u64;
        *waiting = piece;
        too_large.then_some(Err(BlobsError::TooLarge {
            max_bytes: self.max_bytes,
        }))
    }

    fn gather(&mut self, waiting: &mut Bytes) {
        if waiting.is_empty() {
            return;
        }
        let room = self.part_bytes.saturating_sub(self.part_length());
        let taken = usize::try_from(room).map_or(waiting.len(), |room| room.min(waiting.len()));
        let taken = waiting.split_to(taken);
        self.sha256.update(&taken);
        self.crc32.update(&taken);
        self.make_room(taken.len(), room);
        self.gathered.extend_from_slice(&taken);
    }

    /// For so many bytes more. A small buffer first, then one for the whole rest of the part: one that grew step by step
    /// would leave holes behind it, as large as itself.
    fn make_room(&mut self, bytes: usize, rest: u64) {
        if self.gathered.capacity() - self.gathered.len() >= bytes {
            return;
        }
        let small = self.gathered.is_empty() && bytes <= FIRST_BUFFER;
        let rest = usize::try_from(rest).unwrap_or(bytes);
        self.gathered
            .reserve(if small { FIRST_BUFFER } else { rest });
    }

    fn part_length(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|piece| piece.bytes).sum();
        pieces + self.gathered.len() as u64
    }

    fn is_full(&self) -> bool {
        self.part_length() >= self.part_bytes
    }

    fn cut(&mut self) -> Cut {
        let start = self.base;
        self.base += self.gathered.len() as u64;
        Cut {
            start,
            end: self.base,
            bytes: std::mem::take(&mut self.gathered).freeze(),
            pieces: std::mem::take(&mut self.pieces),
            sha256: self.sha256.clone(),
            crc32: self.crc32.clone().finalize(),
        }
    }

    fn send_part(&mut self) -> BoxFuture<'a, Result<(), BlobsError>> {
        self.seen = true;
        let cut = self.cut();
        let (inner, id, fence, writer) = (self.inner, self.id, self.fence, self.writer.clone());
        Box::pin(async move { send_part(inner, id, fence, &writer, cut).await })
    }

    /// Lets others see that this append runs.
    async fn make_seen(&mut self) -> Result<(), BlobsError> {
        let (fence, base, writer) = (self.fence, self.base, &self.writer);
        let mark = |state: &mut UploadState| {
            state.check_writing(fence, writer, base)?;
            state.leave_closing();
            state.writer = Some(writer.clone());
            Ok(Decision::Write(()))
        };
        self.inner.change(self.id, mark).await?;
        self.seen = true;
        Ok(())
    }

    /// Makes what is left durable, and lets others write again.
    async fn finish(mut self) -> Result<u64, BlobsError> {
        if self.gathered.is_empty() {
            let (fence, base, writer, seen) = (self.fence, self.base, &self.writer, self.seen);
            let end = |state: &mut UploadState| {
                state.check_writing(fence, writer, base)?;
                state.writer = None;
                Ok(if seen {
                    Decision::Write(())
                } else {
                    Decision::Keep(())
                })
            };
            self.inner.change(self.id, end).await?;
            return Ok(base);
        }
        let mut cut = self.cut();
        let together = cut.pieces.len() >= MAX_PIECES;
        let bytes = std::mem::take(&mut cut.bytes);
        let bytes = if together {
            self.inner.joined(&self.key, &cut.pieces, bytes).await?
        } else {
            bytes
        };
        let piece = Piece {
            name: fresh_name(),
            bytes: bytes.len() as u64,
        };
        let store = &self.inner.store;
        let name = self.inner.layout.content(&self.key, &piece.name);
        store.put(&name, bytes, Condition::None).await?;
        let (fence, writer) = (self.fence, &self.writer);
        let add = |state: &mut UploadState| {
            state.check_writing(fence, writer, cut.start)?;
            state.leave_closing();
            state.writer = None;
            if together {
                state.pieces.clear();
            }
            state.pieces.push(piece.clone());
            advance(state, &cut);
            Ok(Decision::Write(()))
        };
        let added = self.inner.change(self.id, add).await;
        match added {
            Ok(_) if together => self.inner.delete_pieces(&self.key, &cut.pieces).await,
            Ok(_) => {}
            // Whether it was written down is not known.
            Err(error @ BlobsError::Unavailable(_)) => return Err(error),
            Err(error) => {
                self.inner.delete_pieces(&self.key, &[piece]).await;
                return Err(error);
            }
        }
        Ok(cut.end)
    }
}

fn advance(state: &mut UploadState, cut: &Cut) {
    state.offset = cut.end;
    state.sha256 = cut.sha256.clone();
    state.crc32 = cut.crc32;
}

/// Sends a part and writes it down.
async fn send_part(
    inner: &Inner,
    id: UploadId,
    fence: Fence,
    writer: &str,
    mut cut: Cut,
) -> Result<(), BlobsError> {
    // Named before it is begun: whoever comes after a crash must be able to find it.
    let name = fresh_name();
    let announce = |state: &mut UploadState| {
        state.check_writing(fence, writer, cut.start)?;
        let is_known = state.multipart.is_some() && state.writer.is_some();
        state.leave_closing();
        state.writer = Some(writer.to_owned());
        if state.multipart.is_none() && !state.begun.contains(&name) {
            state.begun.push(name.clone());
        }
        let number = state.part_number()?;
        let begun = state
            .multipart
            .clone()
            .map(|multipart| (multipart.name, multipart.upload_id));
        let outcome = (state.key, number, begun);
        // An old version does no harm: whoever took over uses other numbers.
        Ok(if is_known {
            Decision::Trust(outcome)
        } else {
            Decision::Write(outcome)
        })
    };
    let (_, (key, number, begun)) = inner.change(id, announce).await?;
    let (name, upload_id) = match begun {
        Some(begun) => begun,
        None => {
            let upload_id = inner
                .store
                .create_multipart(&inner.layout.content(&key, &name))
                .await?;
            (name, upload_id)
        }
    };
    let bytes = std::mem::take(&mut cut.bytes);
    let bytes = inner.joined(&key, &cut.pieces, bytes).await?;
    let object = inner.layout.content(&key, &name);
    let part = inner
        .upload_part(&object, &upload_id, number, bytes)
        .await?;
    let add = |state: &mut UploadState| {
        state.check_writing(fence, writer, cut.start)?;
        state.multipart.get_or_insert_with(|| Multipart {
            name: name.clone(),
            upload_id: upload_id.clone(),
            parts: Vec::new(),
        });
        state.add_part(part.clone());
        state.pieces.clear();
        advance(state, &cut);
        Ok(Decision::Write(()))
    };
    inner.change(id, add).await?;
    inner.delete_pieces(&key, &cut.pieces).await;
    Ok(())
}
