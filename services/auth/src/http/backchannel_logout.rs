//! An issuer elsewhere says who has signed out (OpenID Connect Back-Channel Logout 1.0).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use http::{HeaderMap, StatusCode, header};
use riwaq_identity::{LogoutToken, Refused};
use riwaq_kit::{ApiResult, Problem};
use serde_json::json;

use super::browser::is_form;
use crate::app::Auth;
use crate::domain::form::Parameters;
use crate::domain::oauth_error::OAuthError;
use crate::issuing::Issuing;

/// Why a request ended nothing.
enum NotDone {
    /// It is not what section 2.5 describes, or its token is not to be believed.
    Request(OAuthError),
    /// Not now.
    Problem(Problem),
}

/// `POST /auth/backchannel-logout`: every verifier refuses the session's tokens within seconds. Browsers' sessions over
/// it end with them: their next renewal is refused by the issuer.
pub(crate) async fn submit(State(auth): State<Auth>, headers: HeaderMap, body: Bytes) -> Response {
    let tasks = auth.tasks.clone();
    let outcome: Result<Result<(), NotDone>, Problem> = tasks
        .run(async move { Ok(auth.signed_out(&headers, &body).await) })
        .await;
    let mut response = match outcome {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(NotDone::Request(error))) => refusal(&error),
        Ok(Err(NotDone::Problem(problem))) | Err(problem) => problem.into_response(),
    };
    // Section 2.8.
    let unkept = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, unkept);
    response
}

/// Section 2.8: 400 with an error as JSON.
fn refusal(error: &OAuthError) -> Response {
    let body = json!({ "error": error.code, "error_description": error.description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

impl Auth {
    async fn signed_out(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), NotDone> {
        let Issuing::Elsewhere(elsewhere) = &self.issuing else {
            return Err(NotDone::Problem(Problem::not_found("issuer elsewhere")));
        };
        if !is_form(headers) {
            let error = OAuthError::invalid_request("send a form with logout_token");
            return Err(NotDone::Request(error));
        }
        let form = Parameters::parse(body).map_err(NotDone::Request)?;
        let raw = form.require("logout_token").map_err(NotDone::Request)?;
        let clients: Vec<&str> = elsewhere.clients.iter().map(String::as_str).collect();
        let verified = self.identity.verify_logout(raw, &clients).await;
        let token = verified.map_err(|refused| {
            metrics::counter!("riwaq_auth_backchannel_logouts_total", "outcome" => "refused")
                .increment(1);
            tracing::warn!(%refused, "a logout token is not to be believed");
            match refused {
                Refused::Unavailable => NotDone::Problem(refused.into()),
                _ => NotDone::Request(OAuthError::invalid_request(
                    "the logout token is not valid, or was used before",
                )),
            }
        })?;
        self.end_as_told(&token).await.map_err(NotDone::Problem)?;
        metrics::counter!("riwaq_auth_backchannel_logouts_total", "outcome" => "accepted")
            .increment(1);
        Ok(())
    }

    async fn end_as_told(&self, token: &LogoutToken) -> ApiResult<()> {
        let revocations = &self.tokens.revocations;
        // Issuers say times to the second: what they made within the same one may be of before.
        let until = token.issued_ms.div_euclid(1000).saturating_add(1) * 1000;
        let until = DateTime::from_timestamp_millis(until).unwrap_or_else(|| self.clock.now());
        match (&token.sid, token.subject) {
            (Some(sid), _) => revocations.revoke_session(sid).await?,
            (None, Some(subject)) => revocations.revoke_subject(subject, until).await?,
            (None, None) => return Err(Problem::internal("a logout token that names nobody")),
        }
        // Last, so that one whose effect was cut off is accepted again.
        revocations.revoke_token(&token.jti, until).await
    }
}
