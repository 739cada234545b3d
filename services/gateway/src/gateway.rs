//! One request from the listener to the service that answers it, and back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Extensions, Method, Request, StatusCode, header};
use riwaq_clock::SharedClock;
use riwaq_identity::{Actor, Identity};
use riwaq_kit::service::RouteLabel;
use riwaq_kit::{BoxError, Code, HttpService, Problem, Secret, context};
use url::Url;

use crate::caller::{Caller, Scraper};
use crate::config::Config;
use crate::edge::address::Addresses;
use crate::edge::body::{Verdict, too_large, watch_answer, watch_request};
use crate::edge::cors::Cors;
use crate::edge::limits::{RateLimits, Source};
use crate::edge::{compress, headers, login, path};
use crate::pages::trouble::TroublePage;
use crate::routes::{self, BodySize, Counted, OWN_ROLE, Route};
use crate::session::cookie::Cookies;
use crate::session::store::Sessions;
use crate::upstream::{MayRepeat, UpstreamError};

/// Everything that requests need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) public_url: Url,
    pub(crate) clock: SharedClock,
    pub(crate) identity: Identity,
    pub(crate) sessions: Sessions,
    pub(crate) cookies: Cookies,
    pub(crate) upstreams: Vec<(&'static str, HttpService)>,
    pub(crate) addresses: Addresses,
    pub(crate) limits: RateLimits,
    pub(crate) cors: Cors,
    pub(crate) metrics_token: Option<Secret>,
    pub(crate) trouble: TroublePage,
}

impl std::ops::Deref for Gateway {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    /// The service of `role`.
    pub(crate) fn upstream(&self, role: &str) -> Result<&HttpService, Problem> {
        let found = self.upstreams.iter().find(|(name, _)| *name == role);
        let found = found.map(|(_, service)| service);
        found.ok_or_else(|| {
            Problem::new(
                Code::NotImplemented,
                format!("the role {role} is not part of this installation"),
            )
        })
    }
}

/// Answers every request that comes in from outside; `own` answers the gateway's own addresses.
pub(crate) async fn dispatch(
    State((gateway, own)): State<(Gateway, HttpService)>,
    request: Request<Body>,
) -> Response {
    let origin = gateway.cors.allowed(request.headers());
    let mut response = match gateway.cors.preflight(&request) {
        Some(response) => return response,
        None => match gateway.answer(&own, request).await {
            Ok(response) => response,
            Err((problem, route)) => labelled(problem.into_response(), route),
        },
    };
    gateway.cors.mark(&mut response, origin);
    response
}

type Refusal = (Problem, Option<&'static Route>);

impl Gateway {
    async fn answer(
        &self,
        own: &HttpService,
        mut request: Request<Body>,
    ) -> Result<Response, Refusal> {
        let route = checked_route(&request).map_err(|problem| (problem, None))?;
        let refused = |problem| (problem, Some(route));
        let accept = request.headers().get(header::ACCEPT_ENCODING).cloned();
        let address = self.address(&request);
        let source = Source::from(address);
        let caller = self.caller(route, address, &mut request).await;
        // Whoever brings tokens that are none is counted like any stranger.
        let caller = caller
            .map_err(|problem| refused(self.limits.api(None, source).err().unwrap_or(problem)))?;
        self.count(route, &caller, source).map_err(refused)?;
        let mut request = match route.counted {
            Counted::Login => self.count_login(source, request).await.map_err(refused)?,
            _ => request,
        };
        let verdict = self.limit_body(route, &mut request).map_err(refused)?;
        let upgrade = route.websocket && request.headers().contains_key(header::UPGRADE);
        self.prepare(route, &caller, &mut request, upgrade);

        let upstream = if route.role == OWN_ROLE {
            own
        } else {
            self.upstream(route.role).map_err(refused)?
        };
        let answered = self.ask(route, upstream, request).await;
        if let Some((verdict, limit)) = verdict
            && let Some(problem) = verdict.problem(limit)
        {
            // The service saw only a torso, whatever it made of it.
            return Err(refused(problem));
        }
        let mut response = answered.map_err(refused)?;
        if response.status() == StatusCode::UNAUTHORIZED
            && matches!(route.counted, Counted::Login | Counted::Failures)
        {
            self.limits.failed(source);
        }
        headers::prepare_response(response.headers_mut(), upgrade);
        if upgrade {
            return Ok(labelled(response, Some(route)));
        }
        let idle = Duration::from_secs(self.config.answer_idle_seconds);
        let response = response.map(|body| watch_answer(body, idle));
        let response = match route.compress && self.config.compression {
            true => compress::compress(accept, response).await,
            false => response,
        };
        Ok(labelled(response, Some(route)))
    }

    fn count(&self, route: &Route, caller: &Caller, source: Source) -> Result<(), Problem> {
        match route.counted {
            Counted::No => Ok(()),
            Counted::Api => self
                .limits
                .api(caller.actor.as_ref().map(Actor::id), source),
            Counted::Login | Counted::Failures => self.limits.failures(source),
        }
    }

    /// Reads whose password it is about; the body goes on as it came.
    async fn count_login(
        &self,
        source: Source,
        request: Request<Body>,
    ) -> Result<Request<Body>, Problem> {
        if request.method() != Method::POST {
            return Ok(request);
        }
        let (head, body) = request.into_parts();
        let limit = login::MAX_BYTES as u64;
        if body.size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        let (body, verdict) = watch_request(
            body,
            limit,
            Duration::from_secs(self.config.body_idle_seconds),
        );
        let body: Bytes = to_bytes(body, login::MAX_BYTES).await.map_err(|_| {
            let problem = verdict.and_then(|verdict| verdict.problem(limit));
            problem.unwrap_or_else(|| {
                Problem::invalid_request("the body ended before it was complete")
            })
        })?;
        if let Some(account) = login::account(&body) {
            self.limits.login(source, &account)?;
        }
        Ok(Request::from_parts(head, Body::from(body)))
    }

    fn limit_body(
        &self,
        route: &Route,
        request: &mut Request<Body>,
    ) -> Result<Option<(Verdict, u64)>, Problem> {
        let limit = match route.body {
            BodySize::Json => self.config.json_body_bytes,
            BodySize::Upload => self.config.upload_body_bytes,
        };
        if request.body().size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        let idle = Duration::from_secs(self.config.body_idle_seconds);
        let body = std::mem::take(request.body_mut());
        let (body, verdict) = watch_request(body, limit, idle);
        *request.body_mut() = body;
        Ok(verdict.map(|verdict| (verdict, limit)))
    }

    /// Makes it the request that the service gets: nothing that only we may say, nothing of this hop, and no
    /// extension of our own router, which the router of a service in this process would take for its own.
    fn prepare(&self, route: &Route, caller: &Caller, request: &mut Request<Body>, upgrade: bool) {
        headers::prepare_request(request.headers_mut(), caller.address, upgrade);
        context::inject(request.headers_mut());
        let extensions = std::mem::replace(request.extensions_mut(), Extensions::new());
        if route.role == OWN_ROLE {
            if let Some(actor) = &caller.actor {
                request.extensions_mut().insert(actor.clone());
            }
            if let Some(session) = &caller.session {
                request.extensions_mut().insert(session.clone());
            }
            if caller.scraper {
                request.extensions_mut().insert(Scraper);
            }
            return;
        }
        self.cookies
            .keep_from_services(request.headers_mut(), route.cookies);
        if route.retry {
            request.extensions_mut().insert(MayRepeat);
        }
        let mut extensions = extensions;
        if upgrade && let Some(on_upgrade) = extensions.remove::<hyper::upgrade::OnUpgrade>() {
            request.extensions_mut().insert(on_upgrade);
        }
    }

    async fn ask(
        &self,
        route: &Route,
        upstream: &HttpService,
        request: Request<Body>,
    ) -> Result<Response, Problem> {
        let seconds = match route.body {
            BodySize::Json => self.config.head_seconds,
            BodySize::Upload => self.config.upload_head_seconds,
        };
        match tokio::time::timeout(Duration::from_secs(seconds), upstream.call(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(error)),
            Err(_) => Err(Problem::timeout(format!(
                "{} did not begin to answer within {seconds} s",
                route.role
            ))),
        }
    }
}

fn checked_route(request: &Request<Body>) -> Result<&'static Route, Problem> {
    let address = request.uri().path();
    path::check(address)?;
    headers::check(request.headers())?;
    routes::find(address).ok_or_else(|| Problem::new(Code::NotFound, "no such address"))
}

fn unreachable(error: BoxError) -> Problem {
    match error.downcast_ref::<UpstreamError>() {
        Some(UpstreamError::Broken { .. }) => {
            tracing::warn!(cause = %error, "a service did not answer properly");
            Problem::new(Code::BadGateway, "try again shortly")
        }
        _ => Problem::unavailable(error),
    }
}

fn labelled(mut response: Response, route: Option<&'static Route>) -> Response {
    if let Some(route) = route {
        response.extensions_mut().insert(RouteLabel(route.path));
    }
    response
}
