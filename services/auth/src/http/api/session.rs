//! Signing in, refreshing, signing out, and who one is.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use riwaq_identity::Actor;
use riwaq_kit::problem::ProblemBody;
use riwaq_kit::{ApiJson, ApiResult, Code, Problem};
use serde::Serialize;

use super::models::{LoginRequest, LogoutRequest, Me, RefreshRequest, TokenResponse};
use crate::app::Auth;
use crate::flows::tokens::PASSWORD_CLIENT;
use crate::http::browser::Browser;

/// Signs in by password.
///
/// Wrong, unknown, not activated, closed or slowed down: the same answer. Where `GET /api/auth/config` names an issuer
/// elsewhere, passwords are typed at its page only.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "auth", request_body = LoginRequest,
    responses(
        (status = 200, description = "Signed in", body = TokenResponse),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`invalid_credentials`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Tokens are made by an issuer elsewhere", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A field does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn login(
    State(auth): State<Auth>,
    browser: Browser,
    ApiJson(request): ApiJson<LoginRequest>,
) -> ApiResult<Response> {
    request.login()?;
    auth.takes_passwords()?;
    let tasks = auth.tasks.clone();
    let address = browser.address();
    let set = tasks.run(async move {
        let login = request.login()?;
        let verified = auth
            .sign_in
            .verify(login, &request.password, address)
            .await?;
        match verified {
            Some(account) => auth.tokens.for_password(&account).await,
            None => Ok(None),
        }
    });
    let set = set.await?.ok_or_else(invalid_credentials)?;
    Ok(unkept(ApiJson(TokenResponse::from(set))))
}

/// Exchanges a refresh token for the next one.
///
/// The same token may be used again for ten seconds (two tabs); later it ends its session.
#[utoipa::path(
    post, path = "/api/auth/refresh", tag = "auth", request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens", body = TokenResponse),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "The token is unknown, used, expired or revoked", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Tokens are made by an issuer elsewhere", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A field does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn refresh(
    State(auth): State<Auth>,
    ApiJson(request): ApiJson<RefreshRequest>,
) -> ApiResult<Response> {
    auth.makes_tokens()?;
    let tasks = auth.tasks.clone();
    let set = tasks
        .run(async move {
            auth.tokens
                .for_refresh(&request.refresh_token, PASSWORD_CLIENT, None)
                .await
        })
        .await?;
    let set =
        set.ok_or_else(|| Problem::unauthenticated("the refresh token is not good (any more)"))?;
    Ok(unkept(ApiJson(TokenResponse::from(set))))
}

/// Signs out: the session of the access token, and of the refresh token if one is given.
///
/// Every service refuses its access tokens within five seconds. A refresh token of an issuer elsewhere is ended there.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "auth", request_body = Option<LogoutRequest>,
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Signed out"),
        (status = 400, description = "The body is not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token of either kind, or one that is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Tokens are made by an issuer elsewhere", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The CSRF token is missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not declared as JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A field does not fit", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn logout(
    State(auth): State<Auth>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<StatusCode> {
    let request = logout_request(&headers, &body)?;
    let access = bearer(&headers);
    if access.is_none() && request.refresh_token.is_none() {
        return Err(Problem::unauthenticated(
            "send a token: `Authorization: Bearer …`, or `refresh_token`",
        ));
    }
    if access.is_none() {
        auth.makes_tokens()?;
    }
    let tasks = auth.tasks.clone();
    let done: ApiResult<()> = tasks
        .run(async move {
            if let Some(token) = access {
                auth.end_session_of(&token).await?;
            }
            if let Some(token) = request.refresh_token {
                auth.tokens
                    .revoke_refresh_token(&token, PASSWORD_CLIENT)
                    .await?;
            }
            Ok(())
        })
        .await;
    done.map(|()| StatusCode::NO_CONTENT)
}

/// The token of the header, if it is a bearer's.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn logout_request(headers: &HeaderMap, body: &[u8]) -> ApiResult<LogoutRequest> {
    if body.is_empty() {
        return Ok(LogoutRequest::default());
    }
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if media != "application/json" && !media.ends_with("+json") {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the body as application/json",
        ));
    }
    riwaq_kit::extract::parse_json(body)
}

/// The person who asks, with roles and permissions.
#[utoipa::path(
    get, path = "/api/auth/me", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 200, description = "The person", body = Me),
        (status = 401, description = "Nobody is signed in", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token is a service's", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "The person has no profile", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests", body = ProblemBody, content_type = "application/problem+json"),
        Problem,
    ),
)]
pub(super) async fn me(State(auth): State<Auth>, actor: Actor) -> ApiResult<ApiJson<Me>> {
    let person = auth
        .people
        .get(actor.id())
        .await?
        .ok_or_else(|| Problem::not_found("profile"))?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(ApiJson(Me {
        id: actor.id(),
        email: person.email,
        username: some(person.username),
        first_name: person.first_name,
        last_name: person.last_name,
        first_name_ar: some(person.first_name_ar),
        last_name_ar: some(person.last_name_ar),
        roles: actor.roles().map(str::to_owned).collect(),
        permissions: actor.permissions().names(),
        locale: some(person.locale).unwrap_or_else(|| auth.config.default_locale.tag().to_owned()),
    }))
}

fn invalid_credentials() -> Problem {
    Problem::new(
        Code::InvalidCredentials,
        "check the name and the password, and that the account is activated",
    )
}

/// Tokens are kept by nobody in between.
fn unkept<T: Serialize>(body: ApiJson<T>) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
