//! The userinfo endpoint (OpenID Connect Core, 5.3).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use riwaq_identity::Actor;
use riwaq_kit::{ApiJson, ApiResult, Problem};
use serde_json::{Value, json};

use crate::app::Auth;

/// `GET` and `POST /auth/userinfo`.
pub(crate) async fn answer(State(auth): State<Auth>, actor: Actor) -> ApiResult<Response> {
    let claims = auth.keys.claims_of_our_token(actor.raw_token()).await?;
    let scope = claims
        .as_ref()
        .and_then(|claims| claims["scope"].as_str())
        .unwrap_or_default();
    let granted = |wanted: &str| scope.split_ascii_whitespace().any(|scope| scope == wanted);
    if !granted("openid") {
        return Ok(insufficient_scope());
    }
    let mut info = json!({ "sub": actor.id() });
    if let Some(person) = auth.people.get(actor.id()).await? {
        if granted("profile") {
            let name = format!("{} {}", person.first_name, person.last_name);
            set(&mut info, "name", name.trim());
            set(&mut info, "given_name", &person.first_name);
            set(&mut info, "family_name", &person.last_name);
            let username = if person.username.is_empty() {
                &person.email
            } else {
                &person.username
            };
            set(&mut info, "preferred_username", username);
            set(&mut info, "locale", &person.locale);
        }
        if granted("email") {
            set(&mut info, "email", &person.email);
            // An account is active only after a mail or the school has reached its person.
            info["email_verified"] = json!(true);
        }
    }
    let mut response = ApiJson(info).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn set(info: &mut Value, name: &str, value: &str) {
    if !value.is_empty() {
        info[name] = json!(value);
    }
}

/// RFC 6750, 3.1.
fn insufficient_scope() -> Response {
    let mut response =
        Problem::forbidden("the token was not made for the scope openid").into_response();
    let challenge =
        HeaderValue::from_static("Bearer error=\"insufficient_scope\", scope=\"openid\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}
