//! Files on their way to a socket without passing through this process.
//!
//! Hyper can only write bytes that it is given. So where an answer is a file, it is given blanks: pieces of one block of
//! memory that nothing else ever uses. The connection's own writer knows them by their address, and has the kernel copy
//! the same length from the file (`sendfile`) in their place. Everything else about the answer (its head, its order on the
//! connection, back-pressure, keep-alive) stays hyper's.
//!
//! Only for plain HTTP/1: with TLS and HTTP/2 the bytes must be wrapped, and the answer's own body is sent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How much is written at once at most, in bytes.
const PIECE_BYTES: usize = 1 << 20;
/// How much is read at once where the kernel cannot copy, or to have the disk deliver ahead, in bytes.
const SCRATCH_BYTES: usize = 64 << 10;

/// What stands for the bytes of files. Never written, so it takes no memory; never freed, so nothing else has its address.
static BLANK: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; PIECE_BYTES]));

fn is_blank(slice: &[u8]) -> bool {
    let (start, at) = (BLANK.as_ptr() as usize, slice.as_ptr() as usize);
    (start..start + PIECE_BYTES).contains(&at)
}

/// Says that the body of an answer is a part of a file, byte for byte. A handler leaves it in the extensions of
/// its response, beside a body with the same bytes and their `Content-Length`; the listener then sends the file itself
/// where it can. Whoever changes the body on the way changes its length or encoding, and so undoes this.
#[derive(Clone, Debug)]
pub struct FileContent {
    file: Arc<File>,
    range: Range<u64>,
}

impl FileContent {
    /// `range` of `file`, which must not change while it is sent.
    #[must_use]
    pub fn new(file: Arc<File>, range: Range<u64>) -> Self {
        Self { file, range }
    }

    /// How many bytes there are.
    fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

/// The files that one connection has yet to send, in the order of its answers.
#[derive(Clone, Default)]
pub(super) struct Outgoing(Arc<Mutex<VecDeque<FileContent>>>);

impl Outgoing {
    fn files(&self) -> MutexGuard<'_, VecDeque<FileContent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges the body for blanks, where the answer is a file as it is.
    pub(super) fn take_over(
        &self,
        method: &Method,
        version: Version,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let Some(content) = response.extensions_mut().remove::<FileContent>() else {
            return response;
        };
        let length = content.len();
        let headers = response.headers();
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let as_it_is = *method == Method::GET
            && matches!(version, Version::HTTP_10 | Version::HTTP_11)
            && matches!(
                response.status(),
                StatusCode::OK | StatusCode::PARTIAL_CONTENT
            )
            && announced == Some(length)
            && response.body().size_hint().exact() == Some(length)
            && !headers.contains_key(CONTENT_ENCODING)
            && !headers.contains_key(TRANSFER_ENCODING);
        if !as_it_is || length == 0 {
            return response;
        }
        let blanks = Blanks {
            outgoing: self.clone(),
            left: length,
            content: Some(content),
            ahead: None,
        };
        // The old body goes: whatever it holds (the file among it) is not needed any more.
        response.map(|_| Body::new(blanks))
    }
}

/// A body of blanks.
struct Blanks {
    outgoing: Outgoing,
    left: u64,
    /// Until the first piece; then the connection has it.
    content: Option<FileContent>,
    ahead: Option<Ahead>,
}

/// Has the disk deliver what the page cache does not hold, before the kernel would wait for it on a thread that many
/// connections share.
struct Ahead {
    file: Arc<File>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<()>>,
}

impl Ahead {
    fn poll_ready(&mut self, piece: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.reading.is_none() && !self.is_cached(piece) {
            let (file, start) = (Arc::clone(&self.file), self.next);
            self.reading = Some(tokio::task::spawn_blocking(move || {
                read_through(&file, start, piece)
            }));
        }
        if let Some(reading) = &mut self.reading {
            // A disk that fails is found out by whoever sends.
            let _ = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
        }
        self.next = (self.next + piece).min(self.end);
        Poll::Ready(())
    }

    /// Judged by the first and the last byte: files are read from front to back.
    #[cfg(target_os = "linux")]
    fn is_cached(&self, piece: u64) -> bool {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        [self.next, self.next + piece - 1]
            .into_iter()
            .all(|offset| {
                let mut byte = [0];
                let mut slices = [io::IoSliceMut::new(&mut byte)];
                !matches!(
                    preadv2(&*self.file, &mut slices, offset, ReadWriteFlags::NOWAIT),
                    Err(Errno::AGAIN)
                )
            })
    }

    #[cfg(not(target_os = "linux"))]
    fn is_cached(&self, _piece: u64) -> bool {
        true
    }
}

fn read_through(file: &File, start: u64, length: u64) {
    use std::os::unix::fs::FileExt;
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut offset = start;
    while offset < start + length {
        match file.read_at(&mut scratch, offset) {
            Ok(0) | Err(_) => return,
            Ok(read) => offset += read as u64,
        }
    }
}

impl http_body::Body for Blanks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(content) = self.content.take() {
            let (file, range) = (Arc::clone(&content.file), content.range.clone());
            self.ahead = Some(Ahead {
                file,
                next: range.start,
                end: range.end,
                reading: None,
            });
            // Now, and not before: answers before this one come first.
            self.outgoing.files().push_back(content);
        }
        let piece = self.left.min(PIECE_BYTES as u64);
        if let Some(ahead) = &mut self.ahead {
            ready!(ahead.poll_ready(piece, cx));
        }
        self.left -= piece;
        let length = usize::try_from(piece).unwrap_or(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(BLANK.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A connection that sends a file wherever it is given blanks.
pub(super) struct Connection {
    stream: TcpStream,
    outgoing: Outgoing,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> (Self, Outgoing) {
        let outgoing = Outgoing::default();
        (
            Self {
                stream,
                outgoing: outgoing.clone(),
            },
            outgoing,
        )
    }

    /// Sends up to `length` bytes of the first file.
    fn poll_send(&self, length: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut files = self.outgoing.files();
        let Some(content) = files.front_mut() else {
            // Sending the blanks themselves would be a lie.
            return Poll::Ready(Err(io::Error::other("blanks without a file")));
        };
        let length = usize::try_from(content.len()).map_or(length, |left| left.min(length));
        let sent = loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let sent = self
                .stream
                .try_io(Interest::WRITABLE, || send(&self.stream, content, length));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => break other?,
            }
        };
        if sent == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter",
            )));
        }
        content.range.start += sent as u64;
        if content.range.is_empty() {
            files.pop_front();
        }
        Poll::Ready(Ok(sent))
    }
}

#[cfg(target_os = "linux")]
fn send(stream: &TcpStream, content: &FileContent, length: usize) -> io::Result<usize> {
    use rustix::io::Errno;
    let mut offset = content.range.start;
    match rustix::fs::sendfile(stream, &*content.file, Some(&mut offset), length) {
        // Not of this file system, or not to this socket.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => copy(stream, content, length),
        sent => Ok(sent?),
    }
}

#[cfg(not(target_os = "linux"))]
use copy as send;

/// The same by way of memory. Only a part of what is read may be sent: the rest is read again.
fn copy(stream: &TcpStream, content: &FileContent, length: usize) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut scratch = vec![0; length.min(SCRATCH_BYTES)];
    let read = content.file.read_at(&mut scratch, content.range.start)?;
    if read == 0 {
        return Ok(0);
    }
    Ok(rustix::io::write(stream, &scratch[..read])?)
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = slices.iter().position(|slice| !slice.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        if is_blank(&slices[first]) {
            return self.poll_send(slices[first].len(), cx);
        }
        let blank = slices[first..]
            .iter()
            .position(|slice| !slice.is_empty() && is_blank(slice));
        let end = blank.map_or(slices.len(), |offset| first + offset);
        Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[first..end])
    }

    /// Without this hyper would copy what it is given, and blanks would be sent as they are.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
