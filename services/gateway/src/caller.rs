//! Who asks, and from where: by token, by cookie, or nobody.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use riwaq_identity::{Actor, Refused};
use riwaq_kit::{Code, Problem, context};
use url::Url;

use crate::gateway::Gateway;
use crate::pages::metrics::is_scraper;
use crate::routes::{Identify, METRICS, Route};
use crate::session::cookie::Cookie;
use crate::session::issuer::{MOST_WAITS, NEXT_SECOND};
use crate::session::keys::SessionId;
use crate::session::store::Session;

/// The header that says that a change was meant.
const CSRF: &str = "x-csrf-token";

/// The session that a request came with.
#[derive(Clone)]
pub(crate) struct OpenSession {
    pub(crate) id: SessionId,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Who asks, and from where.
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) actor: Option<Actor>,
    pub(crate) session: Option<OpenSession>,
    /// Not a person: somebody who collects metrics.
    pub(crate) scraper: bool,
}

/// In the extensions of a request to our own addresses: it is a scraper's, who is no person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scraper;

impl Gateway {
    /// Where the request comes from.
    pub(crate) fn address(&self, request: &Request<Body>) -> IpAddr {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| *peer);
        self.addresses.client(peer, request.headers())
    }

    /// Who asks: by token, which wins, or by cookie, which becomes its token.
    pub(crate) async fn caller(
        &self,
        route: &Route,
        address: IpAddr,
        request: &mut Request<Body>,
    ) -> Result<Caller, Problem> {
        let mut caller = Caller {
            address,
            actor: None,
            session: None,
            scraper: false,
        };
        if route.identify == Identify::No {
            return Ok(caller);
        }
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            if route.path == METRICS && is_scraper(self, request.headers()) {
                caller.scraper = true;
                return Ok(caller);
            }
            caller.actor = Some(self.identity.actor(bearer(value)?).await?);
        } else {
            let cookie = self.cookies.get(request.headers(), Cookie::Session);
            let Some(id) = cookie.and_then(SessionId::parse) else {
                return Ok(caller);
            };
            let Some((session, actor)) = self.open(id).await? else {
                return Ok(caller);
            };
            self.guard(id, request)?;
            let value = HeaderValue::try_from(format!("Bearer {}", session.access_token));
            let mut value = value.map_err(Problem::internal)?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
            caller.session = Some(OpenSession {
                id,
                expires_at: session.expires_at,
            });
            caller.actor = Some(actor);
        }
        if let Some(actor) = &caller.actor {
            context::set_user(actor.id());
        }
        Ok(caller)
    }

    /// The session with a token that is accepted. One that was revoked, because somebody's roles changed, is
    /// exchanged for a new one; if it was because of a sign-out, there is none to be had.
    async fn open(&self, id: SessionId) -> Result<Option<(Session, Actor)>, Problem> {
        let Some(mut session) = self.sessions.open(id).await? else {
            return Ok(None);
        };
        let mut exchanges = 0;
        let refused = loop {
            match self.identity.actor(&session.access_token).await {
                // An issuer that gives somebody else's token is not believed.
                Ok(actor) if actor.id() != session.user => return Ok(None),
                Ok(actor) => return Ok(Some((session, actor))),
                Err(Refused::Unavailable) => break Refused::Unavailable,
                Err(_) if exchanges == 0 => {}
                Err(Refused::Revoked) if exchanges <= MOST_WAITS => {
                    self.clock.sleep(NEXT_SECOND).await;
                }
                Err(refused) => break refused,
            }
            exchanges += 1;
            match self.sessions.replace(id, &session.access_token).await? {
                Some(another) => session = another,
                None => return Ok(None),
            }
        };
        Err(refused.into())
    }

    /// Whether it is the portal that uses the cookie, and not a page of another site.
    fn guard(&self, id: SessionId, request: &Request<Body>) -> Result<(), Problem> {
        let headers = request.headers();
        // Browsers let pages of any site open a WebSocket, cookies included.
        if headers.contains_key(header::UPGRADE) && !self.is_from_here(headers) {
            return Err(Problem::new(
                Code::Csrf,
                "a page of another site cannot use the session",
            ));
        }
        if is_safe(request.method()) {
            return Ok(());
        }
        let token = headers.get(CSRF).and_then(|value| value.to_str().ok());
        if token.is_some_and(|token| self.sessions.keys().is_csrf_token(id, token)) {
            return Ok(());
        }
        Err(Problem::new(
            Code::Csrf,
            "send the session's `csrf_token` as `X-CSRF-Token`",
        ))
    }

    fn is_from_here(&self, headers: &HeaderMap) -> bool {
        let origin = headers
            .get(header::ORIGIN)
            .and_then(|value| value.to_str().ok());
        origin
            .and_then(|origin| Url::parse(origin).ok())
            .is_some_and(|url| url.origin() == self.public_url.origin())
    }
}

fn bearer(value: &HeaderValue) -> Result<&str, Problem> {
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    token.ok_or_else(|| Problem::unauthenticated("`Authorization` must be `Bearer` and a token"))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
