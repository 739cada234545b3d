//! Identity over HTTP: the layer in front of REST handlers, and the issuer's keys.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use riwaq_clock::SharedClock;
use riwaq_kit::{BoxError, HttpService, Problem};
use tower::{Layer, Service};

use crate::discovery::{ClientError, Endpoint, with_authorities};
use crate::identity::Identity;
use crate::token::{KeyFetchError, KeyFetcher};

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Key sets and token answers are a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Verifies `Authorization: Bearer` and puts an [`crate::Actor`] into the request's extensions. A
/// request without the header goes on as nobody's; one whose token is not valid ends with 401.
#[derive(Debug, Clone)]
pub struct IdentityLayer {
    identity: Identity,
}

impl IdentityLayer {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity }
    }
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Identified<S>;

    fn layer(&self, inner: S) -> Identified<S> {
        Identified {
            inner,
            identity: self.identity.clone(),
        }
    }
}

/// A service with [`IdentityLayer`] around it.
#[derive(Debug, Clone)]
pub struct Identified<S> {
    inner: S,
    identity: Identity,
}

impl<S, B> Service<Request<B>> for Identified<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone takes our place, so that the one that was polled ready is the one called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let identity = self.identity.clone();
        Box::pin(async move {
            if let Some(raw) = bearer(request.headers()) {
                let outcome = match raw {
                    Ok(raw) => identity.actor(raw).await.map_err(Problem::from),
                    Err(problem) => Err(problem),
                };
                match outcome {
                    Ok(actor) => {
                        riwaq_kit::context::set_user(actor.id());
                        request.extensions_mut().insert(actor);
                    }
                    Err(problem) => return Ok(refusal(problem)),
                }
            }
            inner.call(request).await
        })
    }
}

/// The token of an `Authorization` header, if there is one. Two of them are an error: which one
/// counts must not depend on who looks.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Result<&str, Problem>> {
    let malformed = || Problem::unauthenticated("`Authorization` must be `Bearer` and a token");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(Err(malformed()));
    }
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    Some(
        token
            .filter(|token| !token.is_empty())
            .ok_or_else(malformed),
    )
}

/// RFC 6750, section 3: says that it was the token.
fn refusal(problem: Problem) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let value = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// Fetches the issuer's keys over HTTP: from another process, or from the auth service's router in
/// this one.
pub struct HttpKeys {
    service: HttpService,
    endpoint: Endpoint,
    clock: SharedClock,
}

impl HttpKeys {
    /// `endpoint` is the whole address of the key set, or an issuer that tells it.
    #[must_use]
    pub fn new(service: HttpService, endpoint: impl Into<Endpoint>, clock: SharedClock) -> Self {
        Self {
            service,
            endpoint: endpoint.into(),
            clock,
        }
    }
}

impl fmt::Debug for HttpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpKeys")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyFetcher for HttpKeys {
    async fn fetch(&self) -> Result<Bytes, KeyFetchError> {
        let refuse = |reason: String| KeyFetchError {
            reason: format!("{}: {reason}", self.endpoint),
        };
        let address = self.endpoint.address().await;
        let address = address.map_err(|error| refuse(error.to_string()))?;
        let request = Request::get(address).header(ACCEPT, "application/json");
        let request = request
            .body(Body::empty())
            .map_err(|error| refuse(error.to_string()))?;
        exchange(&self.service, &self.clock, request)
            .await
            .map_err(refuse)
    }
}

/// Sends one request to the issuer and reads a successful answer, within its time and size.
pub(crate) async fn exchange(
    service: &HttpService,
    clock: &SharedClock,
    request: Request<Body>,
) -> Result<Bytes, String> {
    let work = async {
        let response = service
            .call(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES)
            .await
            .map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("the answer was {status}"))
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = clock.sleep(PATIENCE) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// An HTTP client for the issuer in another process. Follows no redirects: keys and secrets are
/// exchanged with the configured address only. `authorities` is a file (PEM) of certificate authorities that are
/// believed beside those of the system.
///
/// # Errors
/// When the file cannot be read, or TLS cannot be set up.
pub fn http_client(authorities: Option<&Path>) -> Result<HttpService, ClientError> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE);
    let client = with_authorities(client, authorities)?.build()?;
    Ok(HttpService::new(tower::service_fn(
        move |request: Request<Body>| {
            let client = client.clone();
            async move {
                let (head, body) = request.into_parts();
                // Whole, so that its length is known: what is sent to an issuer is small.
                let body = to_bytes(body, MAX_ANSWER_BYTES).await?;
                let request = Request::from_parts(head, reqwest::Body::from(body));
                let response = client.execute(request.try_into()?).await?;
                Ok::<_, BoxError>(http::Response::<reqwest::Body>::from(response).map(Body::new))
            }
        },
    )))
}
