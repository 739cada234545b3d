//! What the issuer says about itself.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use riwaq_kit::{ApiResult, Locale};
use serde_json::{Value, json};

use super::paths;
use crate::app::Auth;
use crate::config::Config;
use crate::domain::client::SCOPES;

/// `GET /.well-known/openid-configuration`.
pub(crate) async fn configuration(State(auth): State<Auth>) -> Response {
    published(&document(&auth.config), 3600)
}

/// `GET /auth/jwks`.
pub(crate) async fn jwks(State(auth): State<Auth>) -> ApiResult<Response> {
    Ok(published(&auth.keys.jwks().await?, 300))
}

fn published(body: &Value, max_age_seconds: u32) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (
            header::CACHE_CONTROL,
            format!("public, max-age={max_age_seconds}"),
        ),
        // Both documents are for everybody, also for programs in browsers.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
    ];
    (headers, body.to_string()).into_response()
}

fn document(config: &Config) -> Value {
    let locales: Vec<&str> = Locale::ALL.iter().map(|locale| locale.tag()).collect();
    let client_auth = ["client_secret_basic", "client_secret_post", "none"];
    json!({
        "issuer": config.issuer(),
        "authorization_endpoint": config.address(paths::AUTHORIZE),
        "token_endpoint": config.address(paths::TOKEN),
        "userinfo_endpoint": config.address(paths::USERINFO),
        "jwks_uri": config.address(paths::JWKS),
        "revocation_endpoint": config.address(paths::REVOKE),
        "end_session_endpoint": config.address(paths::LOGOUT),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": client_auth,
        "revocation_endpoint_auth_methods_supported": client_auth,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "ui_locales_supported": locales,
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "azp", "at_hash",
            "name", "given_name", "family_name", "preferred_username", "email", "email_verified", "locale",
        ],
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    })
}
