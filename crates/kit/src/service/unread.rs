//! What a handler left unread of a request's body is read before the answer goes out.
//!
//! Whoever answers early (say, because the caller may not) and closes the connection over what still comes in makes
//! the kernel reset it: the caller is still writing, and learns of a broken connection instead of the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use futures::StreamExt as _;
use http::{Request, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use riwaq_clock::SharedClock;

/// No more than this is read for nobody, in bytes; nor for longer.
const MOST_BYTES: usize = 16 << 20;
const LONGEST: Duration = Duration::from_secs(5);

type Place = Arc<Mutex<Option<Body>>>;

/// Where a body comes back to that was not read to its end.
pub(super) struct Unread(Place);

impl Unread {
    /// The request for the handler; `None` beside it where nothing is to be read: there is no body, the stream can be
    /// ended on its own (HTTP/2), or the caller waits to be asked for it.
    pub(super) fn lend(request: Request<Body>) -> (Request<Body>, Option<Self>) {
        let waits = request.headers().contains_key(header::EXPECT);
        if request.body().is_end_stream() || request.version() >= Version::HTTP_2 || waits {
            return (request, None);
        }
        let place = Place::default();
        let lend = |body| {
            Body::new(Lent {
                body,
                place: Arc::clone(&place),
            })
        };
        let request = request.map(lend);
        (request, Some(Self(place)))
    }

    /// Reads the rest, unless the handler still has it, or the caller had stopped sending.
    pub(super) async fn read(self, status: StatusCode, clock: &SharedClock) {
        let rest = lock(&self.0).take();
        let Some(body) = rest.filter(|_| status != StatusCode::REQUEST_TIMEOUT) else {
            return;
        };
        let mut pieces = body.into_data_stream();
        let read = async {
            let mut left = MOST_BYTES;
            while let Some(Ok(piece)) = pieces.next().await {
                match left.checked_sub(piece.len()) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = clock.sleep(LONGEST) => {}
        }
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    place: Place,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            *lock(&self.place) = Some(std::mem::take(&mut self.body));
        }
    }
}

fn lock(place: &Place) -> std::sync::MutexGuard<'_, Option<Body>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
