//! Content on its way out, and reading it from a file in large, reused buffers.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::task::JoinHandle;

use crate::{BlobInfo, BlobsError, ByteStream};

/// How much [`FileStream`] reads at once, in bytes. Large enough that the cost of a piece does not count, small
/// enough that a hundred downloads fit into a second-level cache and 64 MB.
pub const READ_BYTES: usize = 128 * 1024;

/// Some bytes of a blob, opened.
#[derive(Debug)]
pub struct Content {
    /// The blob.
    pub info: BlobInfo,
    /// Which of its bytes these are.
    pub range: Range<u64>,
    /// Where they come from.
    pub body: ContentBody,
}

/// Where opened content comes from.
pub enum ContentBody {
    /// A local file that holds the whole blob: read [`Content::range`] of it. The file is immutable; its
    /// position means nothing.
    File(File),
    /// Exactly the bytes of [`Content::range`].
    Stream(ByteStream<'static>),
}

impl std::fmt::Debug for ContentBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Content {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes as a stream, wherever they come from.
    #[must_use]
    pub fn into_stream(self) -> ByteStream<'static> {
        match self.body {
            ContentBody::File(file) => FileStream::new(file, self.range, READ_BYTES).boxed(),
            ContentBody::Stream(stream) => stream,
        }
    }

    /// All bytes in memory, for tests and small contents.
    ///
    /// # Errors
    /// `TooLarge` above `limit` bytes (nothing is read then), and what reading gives.
    pub async fn read_to_end(self, limit: u64) -> Result<Bytes, BlobsError> {
        let length = self.len();
        if length > limit {
            return Err(BlobsError::TooLarge { max_bytes: limit });
        }
        let capacity = usize::try_from(length).unwrap_or(0);
        let mut stream = self.into_stream();
        let mut all = BytesMut::with_capacity(capacity);
        while let Some(piece) = stream.try_next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// A range of a file as a stream.
///
/// A piece that lies in the page cache is read at once (`preadv2` with `RWF_NOWAIT`), without a thread; only what the
/// disk must deliver goes to the blocking pool. A buffer is used again as soon as the receiver let go of it, so a
/// long download touches a few buffers that stay in the processor's cache.
#[derive(Debug)]
pub struct FileStream {
    file: Arc<File>,
    next: u64,
    end: u64,
    piece_bytes: usize,
    given_out: VecDeque<Bytes>,
    reading: Option<JoinHandle<(BytesMut, io::Result<usize>)>>,
}

/// How many buffers are remembered for reuse: as many as an HTTP/1 connection queues before it writes.
const REMEMBERED: usize = 6;

impl FileStream {
    /// Reads `range` of `file` in pieces of `piece_bytes`.
    #[must_use]
    pub fn new(file: impl Into<Arc<File>>, range: Range<u64>, piece_bytes: usize) -> Self {
        Self {
            file: file.into(),
            next: range.start,
            end: range.end,
            piece_bytes: piece_bytes.max(1),
            given_out: VecDeque::with_capacity(REMEMBERED),
            reading: None,
        }
    }

    fn wanted(&self) -> usize {
        usize::try_from(self.end - self.next)
            .map_or(self.piece_bytes, |left| left.min(self.piece_bytes))
    }

    fn buffer(&mut self) -> BytesMut {
        let wanted = self.wanted();
        let oldest = self.given_out.pop_front();
        match oldest.map(Bytes::try_into_mut) {
            Some(Ok(mut free)) => {
                free.resize(wanted, 0);
                free
            }
            Some(Err(in_use)) => {
                if self.given_out.len() + 1 < REMEMBERED {
                    self.given_out.push_front(in_use);
                }
                BytesMut::zeroed(wanted)
            }
            None => BytesMut::zeroed(wanted),
        }
    }

    fn hand_out(&mut self, mut buffer: BytesMut, read: usize) -> Result<Bytes, BlobsError> {
        if read == 0 {
            self.next = self.end;
            return Err(BlobsError::Corrupt(
                "the file is shorter than the blob".into(),
            ));
        }
        buffer.truncate(read);
        self.next += read as u64;
        let piece = buffer.freeze();
        self.given_out.push_back(piece.clone());
        Ok(piece)
    }
}

impl Stream for FileStream {
    type Item = Result<Bytes, BlobsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(reading) = &mut self.reading {
            let done = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            return Poll::Ready(Some(match done {
                Ok((buffer, Ok(read))) => self.hand_out(buffer, read),
                Ok((_, Err(error))) => Err(BlobsError::Unavailable(error.to_string())),
                Err(error) => Err(BlobsError::Unavailable(error.to_string())),
            }));
        }
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        // A cached file is always ready: without this one fast reader would keep its thread.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        let mut buffer = self.buffer();
        if let Some(read) = read_cached(&self.file, &mut buffer, self.next) {
            budget.made_progress();
            return Poll::Ready(Some(self.hand_out(buffer, read)));
        }
        let (file, offset) = (Arc::clone(&self.file), self.next);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let read = file.read_at(&mut buffer, offset);
            (buffer, read)
        }));
        budget.made_progress();
        self.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let pieces = left.div_ceil(self.piece_bytes);
        (pieces.min(1), None)
    }
}

/// Reads what the page cache holds; none where it holds nothing or the file system cannot tell.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut slices = [io::IoSliceMut::new(buffer)];
    preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT)
        .ok()
        .filter(|read| *read > 0)
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_file: &File, _buffer: &mut [u8], _offset: u64) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_with(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn every_range_and_piece_size_gives_the_same_bytes() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        for (start, end) in [(0, 10_000), (1, 9_999), (5_000, 5_000), (9_999, 10_000)] {
            for piece in [1, 7, 4_096, 1 << 20] {
                let stream = FileStream::new(file_with(&bytes), start..end, piece);
                let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
                assert!(pieces.iter().all(|p| !p.is_empty() && p.len() <= piece));
                assert_eq!(pieces.concat(), bytes[start as usize..end as usize]);
            }
        }
    }

    #[tokio::test]
    async fn pieces_that_are_still_held_are_never_overwritten() {
        let bytes: Vec<u8> = (0..4_096_u32).map(|n| (n / 16) as u8).collect();
        let mut stream = FileStream::new(file_with(&bytes), 0..4_096, 16);
        let mut held = Vec::new();
        let mut number = 0_usize;
        while let Some(piece) = stream.try_next().await.unwrap() {
            if number.is_multiple_of(3) {
                held.push((number, piece));
            }
            number += 1;
        }
        assert_eq!(number, 256);
        for (number, piece) in held {
            assert!(
                piece.iter().all(|byte| usize::from(*byte) == number),
                "piece {number}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error_and_not_a_hang() {
        let stream = FileStream::new(file_with(b"short"), 0..10, 4);
        let pieces: Vec<_> = stream.collect().await;
        assert!(
            matches!(pieces.last(), Some(Err(BlobsError::Corrupt(_)))),
            "{pieces:?}"
        );
    }
}
