//! The body of an answer: keeps the call's place and limits until it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use riwaq_clock::SharedClock;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::balance::Place;
use crate::deadline::{self, Deadline};

/// When a body that does not end is cut.
pub(crate) enum Limit {
    /// The whole call has a deadline.
    Total(Deadline),
    /// Only silence has.
    Idle(SharedClock, Duration),
}

/// Dropping it cancels what is left, here and at the other end.
pub(crate) struct AnswerBody {
    inner: Body,
    over: BoxFuture<'static, ()>,
    limit: Limit,
    finished: bool,
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

impl AnswerBody {
    pub(crate) fn new(
        inner: Body,
        limit: Limit,
        place: Place,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            over: wait(&limit),
            limit,
            finished: false,
            _place: place,
            _permit: permit,
        }
    }
}

fn wait(limit: &Limit) -> BoxFuture<'static, ()> {
    match limit {
        Limit::Total(deadline) => Box::pin(deadline.clone().passed()),
        Limit::Idle(clock, longest) => {
            let (clock, longest) = (Arc::clone(clock), *longest);
            Box::pin(async move { clock.sleep(longest).await })
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            match &frame {
                Some(Ok(_)) if matches!(self.limit, Limit::Idle(..)) => {
                    self.over = wait(&self.limit)
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.finished = true,
            }
            return Poll::Ready(frame);
        }
        if self.over.as_mut().poll(cx).is_ready() {
            self.finished = true;
            self.inner = Body::empty();
            let status = match self.limit {
                Limit::Total(_) => deadline::exceeded(),
                Limit::Idle(..) => Status::deadline_exceeded("the stream was silent for too long"),
            };
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.finished || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
