//! The session as the portal sees it.

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderValue, Method, Request, StatusCode, header};
use riwaq_identity::Actor;
use riwaq_kit::{ApiJson, Problem};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::cookie::Cookie;
use crate::caller::OpenSession;
use crate::gateway::Gateway;

/// How large a profile may be, in bytes.
const MAX_PROFILE: usize = 64 << 10;

/// Where people sign in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuthConfig {
    /// The OpenID Connect issuer.
    issuer: String,
    /// Where a browser begins to sign in.
    login_url: &'static str,
}

/// A browser's session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// Who is signed in, as `GET /api/auth/me` says it.
    #[schema(value_type = Object)]
    user: Box<RawValue>,
    /// To be sent as `X-CSRF-Token` with every change.
    csrf_token: String,
    /// When the session ends at the latest.
    expires_at: DateTime<Utc>,
}

/// Where to sign in
#[utoipa::path(
    get, path = "/api/auth/config", tag = "session", operation_id = "read_auth_config",
    responses((status = 200, body = AuthConfig), Problem), security(())
)]
pub(crate) async fn config(State(gateway): State<Gateway>) -> ApiJson<AuthConfig> {
    let issuer = gateway.sessions.issuer().name().to_owned();
    ApiJson(AuthConfig {
        issuer,
        login_url: "/api/auth/session/login",
    })
}

/// Read the session
///
/// For the portal: who is signed in by cookie, and the token that changes need.
#[utoipa::path(
    get, path = "/api/auth/session", tag = "session", operation_id = "read_session",
    responses((status = 200, body = SessionBody), Problem), security(("session" = []))
)]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    session: Option<Extension<OpenSession>>,
    actor: Option<Actor>,
) -> Result<Response, Problem> {
    let (Some(Extension(session)), Some(actor)) = (session, actor) else {
        return Err(Problem::unauthenticated(
            "there is no session in this browser",
        ));
    };
    let user = profile(&gateway, &actor).await?;
    let body = SessionBody {
        user,
        csrf_token: gateway.sessions.keys().csrf_token(session.id),
        expires_at: session.expires_at,
    };
    let mut response = ApiJson(body).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The profile, from the service that keeps it.
async fn profile(gateway: &Gateway, actor: &Actor) -> Result<Box<RawValue>, Problem> {
    let answer = ask_auth(gateway, actor, Method::GET, "/api/auth/me").await?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(Problem::unavailable(format!(
            "the profile could not be read: {status}"
        )));
    }
    let body = to_bytes(answer.into_body(), MAX_PROFILE)
        .await
        .map_err(Problem::unavailable)?;
    serde_json::from_slice(&body).map_err(Problem::internal)
}

/// Sign out
///
/// Ends the session here and at the issuer; its tokens are refused everywhere within seconds.
#[utoipa::path(
    delete, path = "/api/auth/session", tag = "session", operation_id = "end_session",
    responses((status = 204, description = "Signed out"), Problem), security(("session" = []))
)]
pub(crate) async fn end(
    State(gateway): State<Gateway>,
    session: Option<Extension<OpenSession>>,
    actor: Option<Actor>,
) -> Result<Response, Problem> {
    let Some(Extension(session)) = session else {
        return Err(Problem::unauthenticated(
            "there is no session in this browser",
        ));
    };
    if let Some(actor) = actor {
        refuse_tokens(&gateway, &actor).await;
    }
    gateway.sessions.end(session.id).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = gateway.cookies.clear(Cookie::Session) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Has the tokens of a session refused everywhere, whoever made them. Without it they would be good for minutes where the
/// issuer is not ours; a failure is for the log only, since the session here ends all the same.
async fn refuse_tokens(gateway: &Gateway, actor: &Actor) {
    let asked = ask_auth(gateway, actor, Method::POST, "/api/auth/logout").await;
    let refused = match asked {
        Ok(answer) if answer.status().is_success() => return,
        Ok(answer) => answer.status().to_string(),
        Err(problem) => problem.to_string(),
    };
    tracing::warn!(cause = refused, "the tokens of a session were not revoked");
}

/// Asks the auth role on somebody's behalf.
async fn ask_auth(
    gateway: &Gateway,
    actor: &Actor,
    method: Method,
    path: &str,
) -> Result<http::Response<Body>, Problem> {
    let request = Request::builder().method(method).uri(path);
    let mut request = request.body(Body::empty()).map_err(Problem::internal)?;
    let token = HeaderValue::try_from(format!("Bearer {}", actor.raw_token()))
        .map_err(Problem::internal)?;
    request.headers_mut().insert(header::AUTHORIZATION, token);
    riwaq_kit::context::inject(request.headers_mut());
    gateway
        .upstream("auth")?
        .call(request)
        .await
        .map_err(Problem::unavailable)
}
