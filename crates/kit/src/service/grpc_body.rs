//! The body of a gRPC answer, watched for the code in its trailers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::observe::Observation;
use super::request::grpc_code;

pub(super) struct GrpcBody {
    body: Body,
    /// Taken when the code is known; dropped with the body when the client goes away first.
    observation: Option<Observation>,
    /// A streaming call counts as long as it streams.
    _permit: OwnedSemaphorePermit,
}

impl GrpcBody {
    pub(super) fn new(body: Body, observation: Observation, permit: OwnedSemaphorePermit) -> Self {
        Self {
            body,
            observation: Some(observation),
            _permit: permit,
        }
    }
}

impl http_body::Body for GrpcBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let code = match &frame {
            Some(Ok(frame)) => frame
                .trailers_ref()
                .map(|trailers| grpc_code(trailers).unwrap_or_default()),
            Some(Err(_)) => Some(tonic::Code::Internal as u16),
            None => Some(tonic::Code::Unknown as u16),
        };
        if let Some(code) = code
            && let Some(observation) = self.observation.take()
        {
            observation.finish(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
