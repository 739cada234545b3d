//! What the called side puts around its gRPC routes: the deadline that came with the call, and a
//! limit on how many are served at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use futures::future::BoxFuture;
use http::{Request, Response};
use riwaq_clock::SharedClock;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service};

use crate::deadline::{self, Deadline};

/// Limits of a gRPC server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerPolicy {
    /// Longest time that a unary call may take, whatever the caller allows, in milliseconds.
    pub max_deadline_ms: u64,
    /// Calls served at once; one more is refused with `RESOURCE_EXHAUSTED`.
    pub max_concurrent: usize,
}

impl Default for ServerPolicy {
    fn default() -> Self {
        Self {
            max_deadline_ms: 60_000,
            max_concurrent: 1024,
        }
    }
}

/// Puts the layer around `routes`. Both transports need it: tonic reads `grpc-timeout` only inside
/// its own server, and ours is an axum one.
#[must_use]
pub fn limited(routes: Routes, clock: &SharedClock, policy: &ServerPolicy) -> Routes {
    Routes::from(
        routes
            .into_axum_router()
            .layer(ServerLayer::new(clock, policy)),
    )
}

/// See [`limited`].
#[derive(Debug, Clone)]
pub struct ServerLayer {
    clock: SharedClock,
    max_deadline: Duration,
    permits: Arc<Semaphore>,
}

impl ServerLayer {
    /// A layer; its clones share the limit on concurrent calls.
    #[must_use]
    pub fn new(clock: &SharedClock, policy: &ServerPolicy) -> Self {
        Self {
            clock: Arc::clone(clock),
            max_deadline: Duration::from_millis(policy.max_deadline_ms),
            permits: Arc::new(Semaphore::new(policy.max_concurrent)),
        }
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with [`ServerLayer`] around it.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    inner: S,
    layer: ServerLayer,
}

impl<S, B> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response<AxumBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<AxumBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.layer.permits).try_acquire_owned() else {
            return Box::pin(async {
                Ok(refusal(Status::resource_exhausted(
                    "the service is at its limit of calls",
                )))
            });
        };
        // The clone takes our place, so that the one that was polled ready is the one called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let asked = deadline::parse(request.headers());
        let streams = crate::method(request.uri().path()).is_some_and(|method| !method.is_unary());
        let timeout = match (asked, streams) {
            (Some(asked), _) => Some(asked.min(self.layer.max_deadline)),
            (None, true) => None,
            (None, false) => Some(self.layer.max_deadline),
        };
        let deadline = timeout.map(|timeout| Deadline::after(&self.layer.clock, timeout));
        Box::pin(async move {
            let answer = serve(inner.call(request), deadline).await;
            drop(permit);
            answer
        })
    }
}

async fn serve(
    work: impl Future<Output = Result<Response<AxumBody>, Infallible>>,
    deadline: Option<Deadline>,
) -> Result<Response<AxumBody>, Infallible> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    match deadline.race(deadline.clone().scope(work)).await {
        Ok(answer) => answer,
        Err(status) => Ok(refusal(status)),
    }
}

fn refusal(status: Status) -> Response<AxumBody> {
    status.into_http::<Body>().map(AxumBody::new)
}
