//! The revocation endpoint (RFC 7009).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use riwaq_kit::Problem;
use uuid::Uuid;

use crate::app::Auth;
use crate::domain::oauth_error::OAuthError;

/// `POST /auth/revoke`: either kind of token ends its session. What is unknown is as good as revoked.
pub(crate) async fn revoke(State(auth): State<Auth>, headers: HeaderMap, body: Bytes) -> Response {
    let tasks = auth.tasks.clone();
    let outcome: Result<Result<(), OAuthError>, Problem> = tasks
        .run(async move { Ok(revoked(&auth, &headers, &body).await) })
        .await;
    match outcome {
        Ok(Ok(())) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Ok(Err(error)) => error.into_response(),
        Err(problem) => OAuthError::from(problem).into_response(),
    }
}

async fn revoked(auth: &Auth, headers: &HeaderMap, body: &[u8]) -> Result<(), OAuthError> {
    let (parameters, known) = auth.form_of_client(headers, body).await?;
    let token = parameters.require("token")?;
    auth.tokens
        .revoke_refresh_token(token, &known.client_id)
        .await?;
    let claims = auth.keys.claims_of_our_token(token).await?;
    let sid = claims
        .filter(|claims| claims["typ"] == "Bearer" && claims["azp"] == known.client_id.as_str())
        .and_then(|claims| Uuid::parse_str(claims["sid"].as_str()?).ok());
    if let Some(sid) = sid {
        auth.tokens.end_session(sid).await?;
    }
    Ok(())
}
