//! The one layer around every route: trace and user of the request, its log line and metrics, the limit on
//! requests at once, panics, and errors of libraries as problems.
//!
//! One layer instead of five, because each costs an allocation at every request.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath};
use axum::response::IntoResponse;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use opentelemetry::trace::SpanKind;
use riwaq_clock::SharedClock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use super::grpc_body::GrpcBody;
use super::observe::{Observation, Observer, Route, RouteLabel};
use super::unread::Unread;
use crate::code::Code;
use crate::context::{self, TraceContext};
use crate::problem::{PROBLEM_JSON, Problem};
use crate::telemetry::traces::Step;

/// Names the request to the client.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Put around a router with `Router::layer`, so that it runs after the route is known.
#[derive(Clone)]
pub struct RequestLayer {
    observer: Arc<Observer>,
    clock: SharedClock,
    permits: Arc<Semaphore>,
    request_id: bool,
}

impl RequestLayer {
    /// A layer for `service` that serves at most `max_requests` at once; its clones share the limit.
    #[must_use]
    pub fn new(service: &'static str, clock: SharedClock, max_requests: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_requests.min(Semaphore::MAX_PERMITS)));
        Self {
            observer: Observer::new(service, Arc::clone(&clock)),
            clock,
            permits,
            request_id: false,
        }
    }

    /// Shows the trace id in every answer as `X-Request-Id`, so that people can report it.
    #[must_use]
    pub fn with_request_id(mut self) -> Self {
        self.request_id = true;
        self
    }
}

impl std::fmt::Debug for RequestLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestLayer")
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with [`RequestLayer`] around it.
#[derive(Debug, Clone)]
pub struct RequestService<S> {
    inner: S,
    layer: RequestLayer,
}

impl<S> Service<Request<Body>> for RequestService<S>
where
    S: Service<Request<Body>, Error = Infallible> + Send,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let route = route(&request);
        let parent = TraceContext::from_headers(request.headers());
        let step = Step::begin(SpanKind::Server, parent, || match &route {
            Route::Rest(path) => Cow::Owned(format!("{} {}", request.method(), path.as_str())),
            Route::Grpc(path) => Cow::Owned(path.trim_start_matches('/').to_owned()),
            Route::Label(_) | Route::Unmatched => Cow::Borrowed("unmatched"),
        });
        let observation = self
            .layer
            .observer
            .begin(request.method(), route, step.clone());
        let Ok(permit) = Arc::clone(&self.layer.permits).try_acquire_owned() else {
            return Box::pin(context::enter(step, overloaded(observation)));
        };
        let request_id = self.layer.request_id.then(|| step.trace.trace_id_hex());
        let (request, unread) = unread(request);
        let clock = Arc::clone(&self.layer.clock);
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(context::enter(step, async move {
            let mut response = match answer.await {
                Ok(Ok(response)) => presentable(response.into_response()),
                Ok(Err(never)) => match never {},
                Err(_) => panicked(&observation.route),
            };
            if let Some(id) = request_id.and_then(|id| HeaderValue::try_from(id).ok()) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            if let Some(unread) = unread {
                unread.read(response.status(), &clock).await;
            }
            Ok(finish(response, observation, permit))
        }))
    }
}

/// Only what comes in over a connection has somebody who is still writing.
fn unread(request: Request<Body>) -> (Request<Body>, Option<Unread>) {
    match request.extensions().get::<ConnectInfo<SocketAddr>>() {
        Some(_) => Unread::lend(request),
        None => (request, None),
    }
}

fn route(request: &Request<Body>) -> Route {
    if is_grpc(request.headers()) {
        return Route::Grpc(request.uri().path().into());
    }
    match request.extensions().get::<MatchedPath>() {
        Some(path) => Route::Rest(path.clone()),
        None => Route::Unmatched,
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

async fn overloaded(observation: Observation) -> Result<Response<Body>, Infallible> {
    let problem = Problem::unavailable("too many requests at once");
    if matches!(observation.route, Route::Grpc(_)) {
        observation.finish(tonic::Code::Unavailable as u16);
        return Ok(refuse_grpc(problem));
    }
    observation.finish(problem.status().as_u16());
    Ok(problem.into_response())
}

/// The panic itself is in the log already, by the panic hook.
fn panicked(route: &Route) -> Response<Body> {
    let problem = Problem::internal("the handler panicked");
    match route {
        Route::Grpc(_) => refuse_grpc(problem),
        _ => problem.into_response(),
    }
}

fn refuse_grpc(problem: Problem) -> Response<Body> {
    tonic::Status::from(problem).into_http()
}

/// The last words are spoken at the head of a REST answer, and at the end of a gRPC answer, where its code is.
fn finish(
    response: Response<Body>,
    mut observation: Observation,
    permit: OwnedSemaphorePermit,
) -> Response<Body> {
    if !matches!(observation.route, Route::Grpc(_)) {
        drop(permit);
        if let Some(label) = response.extensions().get::<RouteLabel>() {
            observation.relabel(*label);
        }
        observation.finish(response.status().as_u16());
        return response;
    }
    if let Some(code) = grpc_code(response.headers()) {
        if code == tonic::Code::Unimplemented as u16 {
            // Not a method of ours: its name must not become a label.
            observation.route = Route::Grpc("unknown".into());
        }
        observation.finish(code);
        return response;
    }
    observation.leave_scope();
    response.map(|body| Body::new(GrpcBody::new(body, observation, permit)))
}

pub(super) fn grpc_code(headers: &HeaderMap) -> Option<u16> {
    let value = headers.get("grpc-status")?;
    Some(tonic::Code::from_bytes(value.as_bytes()) as u16)
}

/// Errors that libraries answer in plain text, or without a word, become problems like all others.
fn presentable(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let plain = match response.headers().get(header::CONTENT_TYPE) {
        None => true,
        Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
    };
    if !plain || response.headers().contains_key("grpc-status") {
        return response;
    }
    let code = Code::ALL
        .iter()
        .copied()
        .find(|code| code.http_status() == status);
    let code = code.unwrap_or(if status.is_server_error() {
        Code::Internal
    } else {
        Code::InvalidRequest
    });
    let problem = Problem::new(code, code.facts().title);
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    // The status stays as it is: a code stands for one that we know.
    let mut body = problem.body();
    body.status = status.as_u16();
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Response::from_parts(head, Body::from(body))
}
