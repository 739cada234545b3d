//! The token endpoint (RFC 6749, 3.2).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use riwaq_kit::Problem;
use serde_json::{Value, json};

use super::client_auth::{KnownClient, answer};
use crate::app::Auth;
use crate::domain::client::{Grant, scopes};
use crate::domain::form::Parameters;
use crate::domain::oauth_error::OAuthError;
use crate::domain::pkce;
use crate::flows::tokens::TokenSet;

/// `POST /auth/token`.
pub(crate) async fn exchange(
    State(auth): State<Auth>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let tasks = auth.tasks.clone();
    // To its end, though the client may go away: a code that is used up has its tokens made.
    let outcome: Result<Result<TokenSet, OAuthError>, Problem> = tasks
        .run(async move { Ok(tokens(&auth, &headers, &body).await) })
        .await;
    match outcome {
        Ok(Ok(set)) => answer(StatusCode::OK, &written(&set)),
        Ok(Err(error)) => error.into_response(),
        Err(problem) => OAuthError::from(problem).into_response(),
    }
}

async fn tokens(auth: &Auth, headers: &HeaderMap, body: &[u8]) -> Result<TokenSet, OAuthError> {
    let (parameters, known) = auth.form_of_client(headers, body).await?;
    match parameters.require("grant_type")? {
        "authorization_code" => by_code(auth, &parameters, &known).await,
        "refresh_token" => by_refresh_token(auth, &parameters, &known).await,
        "client_credentials" => for_the_client(auth, &parameters, &known).await,
        _ => Err(OAuthError::new(
            "unsupported_grant_type",
            "authorization_code, refresh_token or client_credentials",
        )),
    }
}

async fn by_code(
    auth: &Auth,
    parameters: &Parameters,
    known: &KnownClient,
) -> Result<TokenSet, OAuthError> {
    expect(known, Grant::AuthorizationCode)?;
    let code = parameters.require("code")?;
    let redirect_uri = parameters.require("redirect_uri")?;
    let verifier = parameters.require("code_verifier")?;
    if !pkce::is_verifier(verifier) {
        return Err(OAuthError::invalid_request(
            "code_verifier has 43 to 128 unreserved characters",
        ));
    }
    let set = auth
        .tokens
        .for_code(code, |grant| {
            grant.matches(&known.client_id, redirect_uri, verifier)
        })
        .await?;
    set.ok_or_else(OAuthError::invalid_grant)
}

async fn by_refresh_token(
    auth: &Auth,
    parameters: &Parameters,
    known: &KnownClient,
) -> Result<TokenSet, OAuthError> {
    expect(known, Grant::AuthorizationCode)?;
    let token = parameters.require("refresh_token")?;
    let narrowed = parameters
        .get("scope")
        .map(|text| scopes(Some(text)).ok_or_else(OAuthError::invalid_scope));
    let narrowed = narrowed.transpose()?;
    let set = auth
        .tokens
        .for_refresh(token, &known.client_id, narrowed.as_ref())
        .await?;
    set.ok_or_else(OAuthError::invalid_grant)
}

async fn for_the_client(
    auth: &Auth,
    parameters: &Parameters,
    known: &KnownClient,
) -> Result<TokenSet, OAuthError> {
    expect(known, Grant::ClientCredentials)?;
    // Scopes are about people; there is none here.
    if parameters.get("scope").is_some() {
        return Err(OAuthError::invalid_scope());
    }
    Ok(auth
        .tokens
        .for_client(&known.client_id, &known.client)
        .await?)
}

fn expect(known: &KnownClient, grant: Grant) -> Result<(), OAuthError> {
    if known.client.may(grant) {
        return Ok(());
    }
    Err(OAuthError::new(
        "unauthorized_client",
        "the client may not use this grant",
    ))
}

fn written(set: &TokenSet) -> Value {
    let mut body = json!({
        "access_token": set.access_token,
        "token_type": "Bearer",
        "expires_in": set.expires_in,
    });
    for (name, value) in [
        ("refresh_token", &set.refresh_token),
        ("id_token", &set.id_token),
    ] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    if !set.scope.is_empty() {
        body["scope"] = json!(set.scope);
    }
    body
}
