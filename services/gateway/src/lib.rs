//! The one public listener: routes, identity at the edge, limits, sessions of browsers, the OpenAPI document.
//!
//! Owns what everything that comes from outside goes through, and the browsers' sessions. Must not know what any
//! request is about: it looks at addresses, heads and sizes, never at the content (save the account that a sign-in is
//! for, to count it). Services do not trust it: each verifies the token again.
//!
//! A request is checked, in this order: can it be read in one way only; is there such a route; who asks (a token wins
//! over a cookie); is it too much; is the body too large. Then everything that only we may say is taken out of its head,
//! and it goes to the service of its route: a router in this process, by value, or a pool of connections to another
//! ([`remote`]).

#![warn(missing_docs)]

mod caller;
mod config;
mod edge;
mod gateway;
mod pages;
mod records;
mod routes;
mod session;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use riwaq_clock::SharedClock;
use riwaq_identity::Identity;
use riwaq_kit::{HttpService, Secret, Service, TaskGroup};
use riwaq_records::Store;
use url::Url;
use utoipa::openapi::OpenApi;

pub use config::{AddressHeader, Config, Limits, SessionConfig};
pub use records::tables;
pub use upstream::{UpstreamError, remote};

use edge::address::Addresses;
use edge::cors::Cors;
use edge::limits::RateLimits;
use gateway::{Gateway, Parts};
use pages::trouble::TroublePage;
use session::cookie::Cookies;
use session::issuer::Issuer;
use session::keys::SessionKeys;
use session::store::Sessions;

/// Where the issuer sends browsers back to, beneath the public address. Must be registered with our client.
pub const CALLBACK: &str = "/api/auth/session/callback";
/// How often counters of those who are gone are forgotten.
const TIDY: Duration = Duration::from_secs(30);

/// What the gateway needs from outside.
pub struct Deps {
    /// Decides what has expired.
    pub clock: SharedClock,
    /// Where sessions are kept.
    pub store: Store,
    /// Verifies tokens.
    pub identity: Identity,
    /// The service of every role: `auth`, `users`, `courses`, `files`, `search`, `chatbot`. A role without one is
    /// answered 501.
    pub upstreams: Vec<(&'static str, HttpService)>,
    /// How the issuer is reached from here; its addresses are the public ones.
    pub issuer_http: HttpService,
    /// The issuer as tokens name it.
    pub issuer: String,
    /// The address that people reach us by, without a path.
    pub public_url: Url,
    /// What sessions are sealed with: at least 32 bytes, the same for every replica.
    pub session_secret: Vec<u8>,
    /// What scrapers of metrics bring, if they may.
    pub metrics_token: Option<Secret>,
    /// The documents of the services.
    pub documents: Vec<OpenApi>,
    /// The gateway's tasks.
    pub tasks: TaskGroup,
}

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The secret is too short.
    #[error("the session secret must have at least 32 bytes")]
    Secret,
    /// An address cannot be used.
    #[error("{0}")]
    Address(#[from] url::ParseError),
    /// The OpenAPI document cannot be written.
    #[error("the OpenAPI document: {0}")]
    Document(#[from] serde_json::Error),
    /// The page cannot be written.
    #[error("the page: {0}")]
    Page(#[from] minijinja::Error),
}

/// The gateway's own part of the OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    pages::openapi::own()
}

/// The gateway, not yet running.
///
/// # Errors
/// See [`GatewayError`].
pub fn service(config: Config, deps: Deps) -> Result<Service, GatewayError> {
    let secure = deps.public_url.scheme() == "https";
    let tasks = deps.tasks.clone();
    let documents = pages::openapi::merged(deps.documents.clone(), &deps.public_url, &deps.issuer);
    let document = pages::openapi::Document::new(&documents)?;
    let roles: Vec<_> = deps
        .upstreams
        .iter()
        .map(|(role, _)| *role)
        .chain([routes::OWN_ROLE])
        .collect();
    let home = pages::home::Home::new(&roles)?;
    let gateway = Gateway(Arc::new(parts(config, deps)?));
    let own = HttpService::local(own_routes(&gateway, document, home));
    let dispatch = any(gateway::dispatch).with_state((gateway.clone(), own));
    let router = Router::new()
        .route("/", dispatch.clone())
        .route("/{*path}", dispatch);
    let (tidied, ready) = (gateway.clone(), gateway.clone());
    Ok(Service::new(routes::OWN_ROLE, tasks)
        .rest(router, openapi())
        .public()
        .finish(move |response| edge::security::finish(response, secure))
        .check("identity", move || {
            let ready = ready.identity.ready();
            async move { ready.map_err(Into::into) }
        })
        .background("tidy limits", move |closing| async move {
            while closing
                .run_until_cancelled(tidied.clock.sleep(TIDY))
                .await
                .is_some()
            {
                tidied.limits.tidy();
            }
        }))
}

fn parts(config: Config, deps: Deps) -> Result<Parts, GatewayError> {
    let keys = SessionKeys::new(&deps.session_secret).map_err(|_| GatewayError::Secret)?;
    let callback = deps.public_url.join(CALLBACK)?;
    let clock = Arc::clone(&deps.clock);
    let issuer = Issuer::new(
        &deps.issuer,
        &callback,
        config.session.clone(),
        deps.issuer_http,
        Arc::clone(&clock),
    )?;
    let sessions = Sessions::new(
        config.session.clone(),
        deps.store,
        Arc::clone(&clock),
        keys,
        issuer,
        deps.tasks,
    );
    Ok(Parts {
        addresses: Addresses::new(&config),
        limits: RateLimits::new(&config, Arc::clone(&clock)),
        cors: Cors::new(&config.cors_origins),
        cookies: Cookies::new(deps.public_url.scheme() == "https"),
        public_url: deps.public_url,
        identity: deps.identity,
        upstreams: deps.upstreams,
        metrics_token: deps.metrics_token,
        config,
        clock,
        sessions,
        trouble: TroublePage::new()?,
    })
}

/// The addresses that the gateway answers itself.
fn own_routes(
    gateway: &Gateway,
    document: pages::openapi::Document,
    home: pages::home::Home,
) -> Router {
    let docs = pages::docs::docs();
    Router::new()
        .route("/", get(pages::home::page).with_state(home))
        .route("/assets/pages.css", get(pages::home::style))
        .route("/assets/icon.svg", get(pages::home::icon))
        .route("/favicon.ico", get(pages::home::icon))
        .route("/robots.txt", get(pages::home::robots))
        .route(
            "/api/openapi.json",
            get(pages::openapi::serve).with_state(document),
        )
        .route("/api/docs", get(pages::docs::enter))
        .route(
            "/api/docs/",
            get(pages::docs::index).with_state(Arc::clone(&docs)),
        )
        .route(
            "/api/docs/{*path}",
            get(pages::docs::asset).with_state(docs),
        )
        .route("/api/auth/config", get(session::http::config))
        .route(
            "/api/auth/session",
            get(session::http::read).delete(session::http::end),
        )
        .route("/api/auth/session/login", get(session::sign_in::login))
        .route(
            "/api/auth/session/callback",
            get(session::sign_in::callback),
        )
        .route("/api/metrics", get(pages::metrics::whole))
        .route("/api/metrics/", get(pages::metrics::whole))
        .route("/api/metrics/{role}", get(pages::metrics::of_role))
        .with_state(gateway.clone())
}

#[cfg(test)]
mod tests;
