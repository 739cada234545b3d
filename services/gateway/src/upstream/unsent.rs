//! A body that can be had back as long as nothing of it was read.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::Request;
use http_body::{Frame, SizeHint};

/// The body of a request that was handed to a client, until the client reads of it.
pub(super) struct Unsent(Arc<Mutex<Option<Body>>>);

/// The body as the client has it.
struct Handed {
    waiting: Arc<Mutex<Option<Body>>>,
    reading: Option<Body>,
}

impl Unsent {
    /// The request for the client, and what is needed to have its body back.
    pub(super) fn wrap(request: Request<Body>) -> (Request<Body>, Self) {
        let (parts, body) = request.into_parts();
        let waiting = Arc::new(Mutex::new(Some(body)));
        let handed = Handed {
            waiting: Arc::clone(&waiting),
            reading: None,
        };
        let request = Request::from_parts(parts, Body::new(handed));
        (request, Self(waiting))
    }

    /// The body, unless anything of it was read.
    pub(super) fn take(&self) -> Option<Body> {
        lock(&self.0).take()
    }
}

impl HttpBody for Handed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let handed = self.get_mut();
        if handed.reading.is_none() {
            handed.reading = lock(&handed.waiting).take();
        }
        match &mut handed.reading {
            Some(body) => Pin::new(body).poll_frame(cx),
            // Taken back: whoever still holds this one sends nothing.
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.reading {
            Some(body) => body.is_end_stream(),
            None => lock(&self.waiting)
                .as_ref()
                .is_none_or(HttpBody::is_end_stream),
        }
    }

    // The client writes the length into the head before it reads anything.
    fn size_hint(&self) -> SizeHint {
        match &self.reading {
            Some(body) => body.size_hint(),
            None => lock(&self.waiting)
                .as_ref()
                .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint),
        }
    }
}

fn lock(body: &Mutex<Option<Body>>) -> MutexGuard<'_, Option<Body>> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_body_is_had_back_until_something_of_it_was_read() {
        let (request, unsent) = Unsent::wrap(Request::new(Body::from("words")));
        assert_eq!(request.body().size_hint().exact(), Some(5));
        assert!(!request.body().is_end_stream());
        let back = unsent.take().unwrap();
        assert_eq!(to_bytes(back, 10).await.unwrap(), "words");
        assert!(to_bytes(request.into_body(), 10).await.unwrap().is_empty());

        let (request, unsent) = Unsent::wrap(Request::new(Body::from("words")));
        assert_eq!(to_bytes(request.into_body(), 10).await.unwrap(), "words");
        assert!(unsent.take().is_none());
    }

    #[tokio::test]
    async fn an_empty_body_stays_one() {
        let (request, _) = Unsent::wrap(Request::new(Body::empty()));
        assert!(request.body().is_end_stream());
        assert_eq!(request.body().size_hint().exact(), Some(0));
    }
}
