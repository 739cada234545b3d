//! The body of an upload on its way to the parser, held to limits that the parser does not have.
//!
//! The parser takes in all that is there before it gives anything back, and gathers whatever comes before a boundary or
//! within a head. So it gets one piece at a time, and only so much without handing something on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::Bytes;
use futures::TryStreamExt;
use riwaq_clock::SharedClock;
use riwaq_kit::{Code, Problem};

/// How much the parser may take without handing anything on, in bytes: more than a piece and a head ever have.
const MAX_GATHERED_BYTES: usize = 2 * 1024 * 1024;

/// The body, and where it leaves why it ended.
pub(super) struct Body {
    data: BodyDataStream,
    left: u64,
    idle: Duration,
    clock: SharedClock,
    fault: Fault,
    first: bool,
}

/// Why the body ended early, shared with whoever reads what the parser makes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault {
    problem: Arc<Mutex<Option<Problem>>>,
    gathered: Arc<AtomicUsize>,
}

impl Fault {
    /// The parser has handed something on.
    pub(super) fn progress(&self) {
        self.gathered.store(0, Ordering::Relaxed);
    }

    /// Why the body ended early, if it did.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn raise(&self, problem: Problem) -> std::io::Error {
        let text = problem.to_string();
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        std::io::Error::other(text)
    }
}

impl Body {
    pub(super) fn new(
        body: axum::body::Body,
        max_bytes: u64,
        idle_seconds: u64,
        clock: SharedClock,
    ) -> (Self, Fault) {
        let fault = Fault::default();
        let body = Self {
            data: body.into_data_stream(),
            left: max_bytes,
            idle: Duration::from_secs(idle_seconds),
            clock,
            fault: fault.clone(),
            first: true,
        };
        (body, fault)
    }

    pub(super) fn into_body(self) -> axum::body::Body {
        axum::body::Body::from_stream(futures::stream::try_unfold(self, |mut body| async move {
            let piece = body.next().await?;
            Ok::<_, std::io::Error>(piece.map(|piece| (piece, body)))
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, std::io::Error> {
        if !std::mem::take(&mut self.first) {
            // Makes the parser hand on what it has before it asks for more.
            tokio::task::yield_now().await;
        }
        let piece = tokio::select! {
            piece = self.data.try_next() => piece,
            () = self.clock.sleep(self.idle) => {
                let problem = Problem::new(Code::RequestTimeout, "nothing came for too long");
                return Err(self.fault.raise(problem));
            }
        };
        let piece = match piece {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(None),
            Err(_) => {
                let problem = Problem::invalid_request("the body ended before it was complete");
                return Err(self.fault.raise(problem));
            }
        };
        let length = piece.len() as u64;
        let Some(left) = self.left.checked_sub(length) else {
            return Err(self.fault.raise(Problem::new(
                Code::TooLarge,
                "the body is larger than a file may be",
            )));
        };
        self.left = left;
        let gathered = self
            .fault
            .gathered
            .fetch_add(piece.len(), Ordering::Relaxed)
            + piece.len();
        // One piece may be as large as the transport makes it.
        if gathered > MAX_GATHERED_BYTES.max(2 * piece.len()) {
            return Err(self
                .fault
                .raise(Problem::invalid_request("the body is no multipart form")));
        }
        Ok(Some(piece))
    }
}
