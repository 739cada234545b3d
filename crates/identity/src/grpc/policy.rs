//! Which service may call which method, and whether a user must stand behind the call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body as AxumBody;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response};
use riwaq_api::ACTOR_TOKEN;
use riwaq_kit::Problem;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service};

use crate::Refused;
use crate::actor::Actor;
use crate::http::bearer;
use crate::identity::Identity;
use crate::token::TokenOwner;

/// Who may call a method.
#[derive(Debug, Clone, Copy)]
pub struct Callers {
    /// Short names of services; `None`: any of ours.
    services: Option<&'static [&'static str]>,
    user: User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    /// No user is looked for: the method is about the system.
    Ignored,
    Optional,
    Required,
}

impl Callers {
    /// Any of our services.
    #[must_use]
    pub const fn any_service() -> Self {
        Self {
            services: None,
            user: User::Ignored,
        }
    }

    /// Only these services, by their short names (`auth`).
    #[must_use]
    pub const fn only(services: &'static [&'static str]) -> Self {
        Self {
            services: Some(services),
            user: User::Ignored,
        }
    }

    /// A user must stand behind the call (`x-riwaq-actor-token`).
    #[must_use]
    pub const fn for_user(mut self) -> Self {
        self.user = User::Required;
        self
    }

    /// A user may stand behind the call.
    #[must_use]
    pub const fn for_user_or_nobody(mut self) -> Self {
        self.user = User::Optional;
        self
    }

    fn admit(&self, service: &str) -> bool {
        self.services
            .is_none_or(|services| services.contains(&service))
    }
}

/// The table of a gRPC server: method → who may call it. A method that is not in it is refused, and
/// so is every call whose `authorization` is not a token of one of our services.
#[derive(Debug, Clone, Default)]
pub struct CallerPolicy {
    rules: HashMap<&'static str, Callers>,
}

impl CallerPolicy {
    /// Refuses everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows `method`, by its path (`/riwaq.users.v1.Users/GetUsers`).
    #[must_use]
    pub fn allow(mut self, method: &'static str, callers: Callers) -> Self {
        self.rules.insert(method, callers);
        self
    }

    /// Methods of the contract's services named here that have no rule, and rules without a method:
    /// for a test of the service that declares the table.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let services: Vec<_> = self
            .rules
            .keys()
            .filter_map(|path| path.split('/').nth(1))
            .collect();
        let of_ours = riwaq_api::methods().filter(|(_, method)| services.contains(&method.service));
        let missing = of_ours
            .filter(|(path, _)| !self.rules.contains_key(path))
            .map(|(path, _)| path.to_owned());
        let unknown = self
            .rules
            .keys()
            .filter(|path| riwaq_api::method(path).is_none());
        missing
            .chain(unknown.map(|path| (*path).to_owned()))
            .collect()
    }

    /// Puts the table in front of `routes`. Handlers find the caller by [`actor`], [`maybe_actor`]
    /// and [`CallingService`].
    #[must_use]
    pub fn protect(self, routes: Routes, identity: &Identity) -> Routes {
        let layer = PolicyLayer {
            policy: Arc::new(self),
            identity: identity.clone(),
        };
        Routes::from(routes.into_axum_router().layer(layer))
    }
}

/// The service that calls, by its short name; in the extensions of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallingService(pub Box<str>);

/// The user behind a call whose method is declared `for_user`.
///
/// # Errors
/// An internal error when it is not: the table and the handler do not agree.
pub fn actor<T>(request: &tonic::Request<T>) -> Result<Actor, Status> {
    maybe_actor(request)
        .ok_or_else(|| Status::internal("the method is not declared to be for users"))
}

/// The user behind a call, if there is one.
#[must_use]
pub fn maybe_actor<T>(request: &tonic::Request<T>) -> Option<Actor> {
    request.extensions().get::<Actor>().cloned()
}

#[derive(Clone)]
struct PolicyLayer {
    policy: Arc<CallerPolicy>,
    identity: Identity,
}

impl<S> Layer<S> for PolicyLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            policy: Arc::clone(&self.policy),
            identity: self.identity.clone(),
        }
    }
}

/// A service with its [`CallerPolicy`] in front.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    policy: Arc<CallerPolicy>,
    identity: Identity,
}

impl<S, B> Service<Request<B>> for Guarded<S>
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
    type Future = BoxFuture<'static, Result<Response<AxumBody>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone takes our place, so that the one that was polled ready is the one called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (policy, identity) = (Arc::clone(&self.policy), self.identity.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match check(&policy, &identity, &parts).await {
                Ok((service, actor)) => {
                    parts.extensions.insert(service);
                    if let Some(actor) = actor {
                        riwaq_kit::context::set_user(actor.id());
                        parts.extensions.insert(actor);
                    }
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(status) => Ok(status.into_http::<Body>().map(AxumBody::new)),
            }
        })
    }
}

async fn check(
    policy: &CallerPolicy,
    identity: &Identity,
    request: &Parts,
) -> Result<(CallingService, Option<Actor>), Status> {
    let path = request.uri.path();
    let rule = policy
        .rules
        .get(path)
        .ok_or_else(|| Status::permission_denied("no rule allows this method"))?;
    let service = calling_service(identity, request).await?;
    if !rule.admit(&service.0) {
        tracing::warn!(
            method = path,
            service = &*service.0,
            "a service called what it may not"
        );
        return Err(Status::permission_denied(
            "this service may not call this method",
        ));
    }
    let actor = match rule.user {
        User::Ignored => None,
        User::Optional | User::Required => user_behind(identity, request).await?,
    };
    if actor.is_none() && rule.user == User::Required {
        return Err(Problem::unauthenticated("the call needs a user").into());
    }
    Ok((service, actor))
}

async fn calling_service(identity: &Identity, request: &Parts) -> Result<CallingService, Status> {
    let raw = match bearer(&request.headers) {
        Some(Ok(raw)) => raw,
        Some(Err(_)) | None => return Err(Status::unauthenticated("a service token is needed")),
    };
    let token = identity
        .verify(raw)
        .await
        .map_err(|refused| match refused {
            Refused::Unavailable => Status::unavailable("tokens cannot be verified at the moment"),
            _ => Status::unauthenticated("the service token is not valid"),
        })?;
    match &token.owner {
        TokenOwner::Service(name) => Ok(CallingService(name.clone())),
        TokenOwner::User => Err(Status::permission_denied(
            "a user's token does not open internal methods",
        )),
    }
}

/// A problem, unlike the plain statuses above, reaches the caller's own caller as 401: it is the
/// user who has to sign in again.
async fn user_behind(identity: &Identity, request: &Parts) -> Result<Option<Actor>, Status> {
    let Some(raw) = request.headers.get(ACTOR_TOKEN) else {
        return Ok(None);
    };
    let raw = raw
        .to_str()
        .map_err(|_| Problem::from(Refused::Malformed))?;
    let actor = identity.actor(raw).await.map_err(Problem::from)?;
    Ok(Some(actor))
}
