//! What every test needs: a clock, an issuer, services that say what reached them, and the gateway before them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{any, get};
use axum::{Json, Router};
use chrono::DateTime;
use http::{HeaderMap, StatusCode, header};
use riwaq_clock::{ManualClock, SharedClock};
use riwaq_identity::Identity;
use riwaq_identity::testing::TestIssuer;
use riwaq_kit::{HttpService, Problem, Secret, ServerConfig, Service, TaskGroup};
use riwaq_records::{Memory, Store};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::issuer::FakeIssuer;
use crate::{Config, Deps, service, tables};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tokens: Arc<TestIssuer>,
    pub(crate) issuer: FakeIssuer,
    pub(crate) store: Store,
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    pub(crate) gateway: HttpService,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.text()
        );
        self.json()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The cookies that it sets, as a browser sends them back.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let set = self
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap());
        set.filter(|cookie| !cookie.contains("Max-Age=0"))
            .map(|cookie| cookie.split(';').next().unwrap().to_owned())
            .collect()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let tokens = TestIssuer::new(Arc::clone(&clock) as SharedClock);
        let issuer = FakeIssuer::new(Arc::clone(&tokens));
        let store = Store::new(Arc::new(Memory::with_tables(tables()).unwrap()));
        let identity = tokens.identity();
        let mut world = Self {
            identity,
            clock,
            tokens,
            issuer,
            store,
            config,
            gateway: HttpService::local(Router::new()),
        };
        world.gateway = world.replica();
        world
    }

    /// One more gateway over the same store.
    pub(crate) fn replica(&self) -> HttpService {
        self.service().http(
            &ServerConfig::default(),
            &(Arc::clone(&self.clock) as SharedClock),
        )
    }

    pub(crate) fn service(&self) -> Service {
        let clock = Arc::clone(&self.clock) as SharedClock;
        let local = |router: Router| HttpService::local(router);
        let deps = Deps {
            clock,
            store: self.store.clone(),
            identity: self.identity.clone(),
            upstreams: vec![
                ("auth", local(auth(&self.issuer))),
                ("courses", local(echo())),
                ("files", local(echo())),
                ("chatbot", local(echo())),
            ],
            issuer_http: local(self.issuer.router()),
            issuer: self.tokens.name().to_owned(),
            public_url: Url::parse("https://riwaq.test").unwrap(),
            session_secret: vec![7; 32],
            metrics_token: Some(Secret::new("scrape")),
            documents: Vec::new(),
            tasks: TaskGroup::new(),
        };
        service(self.config.clone(), deps).unwrap()
    }

    pub(crate) fn token(&self, roles: &[&str]) -> String {
        format!("Bearer {}", self.tokens.user_token(Uuid::new_v4(), roles))
    }

    pub(crate) async fn ask(&self, request: http::request::Builder) -> Answer {
        self.send(request, Body::empty()).await
    }

    pub(crate) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> Answer {
        send(&self.gateway, request, body).await
    }
}

pub(crate) async fn send(
    gateway: &HttpService,
    request: http::request::Builder,
    body: impl Into<Body>,
) -> Answer {
    let mut request = request.body(body.into()).unwrap();
    let peer: SocketAddr = "198.51.100.7:4711".parse().unwrap();
    if request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .is_none()
    {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    let response = gateway.call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, 8 << 20)
        .await
        .map(Vec::from)
        .unwrap_or_default();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        bytes,
    }
}

/// A service that answers with what reached it, and misbehaves on demand.
pub(crate) fn echo() -> Router {
    Router::new()
        .route(
            "/api/courses/large",
            get(async || Json(json!({ "text": "x".repeat(5000) }))),
        )
        .route(
            "/api/courses/stuck",
            get(async || std::future::pending::<String>().await),
        )
        .route(
            "/api/courses/internal",
            get(async || ([("x-riwaq-secret", "1"), ("server", "x")], "")),
        )
        .route("/api/chatbot/stream", get(stream))
        .fallback(any(what_came))
}

async fn stream() -> impl IntoResponse {
    let event = axum::response::sse::Event::default().data("x".repeat(3000));
    Sse::new(futures::stream::iter([Ok::<_, std::convert::Infallible>(
        event,
    )]))
}

async fn what_came(request: Request) -> Result<Json<Value>, Problem> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20)
        .await
        .map_err(|_| Problem::invalid_request("torso"))?;
    let headers: serde_json::Map<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                json!(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    Ok(Json(json!({
        "method": head.method.as_str(), "path": head.uri.to_string(), "headers": headers, "bytes": body.len(),
        "extensions": head.extensions.len(),
    })))
}

fn auth(issuer: &FakeIssuer) -> Router {
    issuer
        .router()
        .route(
            "/api/auth/me",
            get(async |headers: HeaderMap| -> Response {
                match headers.contains_key(header::AUTHORIZATION) {
                    true => Json(json!({ "id": "me" })).into_response(),
                    false => StatusCode::UNAUTHORIZED.into_response(),
                }
            }),
        )
        .route(
            "/api/auth/login",
            axum::routing::post(async |body: String| match body.contains("right") {
                true => Json(json!({ "access_token": "t" })).into_response(),
                false => Problem::new(riwaq_kit::Code::InvalidCredentials, "no").into_response(),
            }),
        )
        .route(
            "/api/auth/logout",
            axum::routing::post(logout).with_state(issuer.clone()),
        )
        .fallback(any(what_came))
}

/// Remembers whose tokens are to be refused.
async fn logout(
    axum::extract::State(issuer): axum::extract::State<FakeIssuer>,
    headers: HeaderMap,
) -> StatusCode {
    let token = headers[header::AUTHORIZATION].to_str().unwrap();
    issuer.signed_out(token);
    StatusCode::NO_CONTENT
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
