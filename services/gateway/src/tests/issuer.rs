//! An OpenID Connect issuer in a router: discovery, keys, tokens by code with PKCE, refresh, revocation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::digest::{SHA256, digest};
use riwaq_identity::testing::{TOKEN_SECONDS, TestIssuer};
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;
use uuid::Uuid;

pub(crate) const CLIENT: &str = "riwaq-portal";

/// What it remembers.
#[derive(Clone)]
pub(crate) struct FakeIssuer {
    pub(crate) tokens: Arc<TestIssuer>,
    state: Arc<Mutex<Remembered>>,
}

#[derive(Default)]
struct Remembered {
    /// From a code to nonce, challenge and user.
    codes: HashMap<String, (String, String, Uuid)>,
    /// From a refresh token to its user.
    refresh: HashMap<String, Uuid>,
    refreshed: usize,
    revoked: Vec<String>,
    /// What was said when sessions were ended.
    ended: Vec<HashMap<String, String>>,
    /// Bearers that signed out at the auth role.
    signed_out: Vec<String>,
    down: bool,
    /// Answers to refresh tokens wait for this.
    held: Option<Arc<Notify>>,
    /// Times in whole seconds, as Keycloak writes them.
    whole_seconds: bool,
}

impl FakeIssuer {
    pub(crate) fn new(tokens: Arc<TestIssuer>) -> Self {
        Self {
            tokens,
            state: Arc::default(),
        }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/auth/jwks", get(jwks))
            .route("/auth/token", post(token))
            .route("/auth/revoke", post(revoke))
            .route("/auth/end", post(end))
            .with_state(self.clone())
    }

    /// What the sign-in page does: the code for whoever was sent to `url`.
    pub(crate) fn sign_in(&self, url: &Url, user: Uuid) -> String {
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let code = Uuid::new_v4().to_string();
        let grant = (
            query["nonce"].clone(),
            query["code_challenge"].clone(),
            user,
        );
        self.state.lock().unwrap().codes.insert(code.clone(), grant);
        code
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// Says times in whole seconds only.
    pub(crate) fn say_whole_seconds(&self) {
        self.state.lock().unwrap().whole_seconds = true;
    }

    /// Answers the next refresh token only when told to.
    pub(crate) fn hold(&self) -> Arc<Notify> {
        let held = Arc::new(Notify::new());
        self.state.lock().unwrap().held = Some(Arc::clone(&held));
        held
    }

    /// What was said when sessions were ended.
    pub(crate) fn ended(&self) -> Vec<HashMap<String, String>> {
        self.state.lock().unwrap().ended.clone()
    }

    pub(crate) fn signed_out(&self, bearer: &str) {
        self.state
            .lock()
            .unwrap()
            .signed_out
            .push(bearer.to_owned());
    }

    /// Who signed out at the auth role.
    pub(crate) fn who_signed_out(&self) -> Vec<String> {
        self.state.lock().unwrap().signed_out.clone()
    }

    /// How often tokens were renewed.
    pub(crate) fn refreshed(&self) -> usize {
        self.state.lock().unwrap().refreshed
    }

    pub(crate) fn revoked(&self) -> usize {
        self.state.lock().unwrap().revoked.len()
    }

    /// Refresh tokens are worth nothing any more.
    pub(crate) fn forget_everybody(&self) {
        self.state.lock().unwrap().refresh.clear();
    }

    fn answer(&self, user: Uuid, nonce: Option<&str>) -> Response {
        let refresh = Uuid::new_v4().to_string();
        self.state
            .lock()
            .unwrap()
            .refresh
            .insert(refresh.clone(), user);
        let mut claims = self.tokens.user_claims(user, &["student"]);
        if self.state.lock().unwrap().whole_seconds {
            claims.as_object_mut().unwrap().remove("iat_ms");
        }
        let access = self.tokens.sign(&claims);
        claims["aud"] = json!(CLIENT);
        claims["typ"] = json!("ID");
        claims["nonce"] = json!(nonce);
        let id_token = self.tokens.sign(&claims);
        Json(json!({
            "access_token": access, "refresh_token": refresh, "id_token": id_token,
            "token_type": "Bearer", "expires_in": TOKEN_SECONDS,
        }))
        .into_response()
    }
}

async fn discovery(State(issuer): State<FakeIssuer>) -> Response {
    if issuer.state.lock().unwrap().down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let name = issuer.tokens.name();
    Json(json!({
        "issuer": name,
        "authorization_endpoint": format!("{name}/auth/authorize"),
        "token_endpoint": format!("{name}/auth/token"),
        "jwks_uri": format!("{name}/auth/jwks"),
        "revocation_endpoint": format!("{name}/auth/revoke"),
        "end_session_endpoint": format!("{name}/auth/end"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
    .into_response()
}

async fn jwks(State(issuer): State<FakeIssuer>) -> Json<Value> {
    Json(json!({ "keys": [issuer.tokens.signing_key().jwk] }))
}

async fn token(
    State(issuer): State<FakeIssuer>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = || {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": "invalid_grant" })),
        )
            .into_response()
    };
    if issuer.state.lock().unwrap().down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if form["grant_type"] == "refresh_token" {
        let held = issuer.state.lock().unwrap().held.take();
        if let Some(held) = held {
            held.notified().await;
        }
        let mut state = issuer.state.lock().unwrap();
        state.refreshed += 1;
        // Not removed: an issuer allows the same token for a moment, for two tabs.
        let user = state.refresh.get(&form["refresh_token"]).copied();
        drop(state);
        return user.map_or_else(refused, |user| issuer.answer(user, None));
    }
    let grant = issuer.state.lock().unwrap().codes.remove(&form["code"]);
    let Some((nonce, challenge, user)) = grant else {
        return refused();
    };
    let proof = URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
    if proof != challenge || !form["redirect_uri"].ends_with(crate::CALLBACK) {
        return refused();
    }
    issuer.answer(user, Some(&nonce))
}

async fn end(
    State(issuer): State<FakeIssuer>,
    Form(form): Form<HashMap<String, String>>,
) -> StatusCode {
    issuer.state.lock().unwrap().ended.push(form);
    StatusCode::NO_CONTENT
}

async fn revoke(
    State(issuer): State<FakeIssuer>,
    Form(form): Form<HashMap<String, String>>,
) -> StatusCode {
    let mut state = issuer.state.lock().unwrap();
    state.refresh.remove(&form["token"]);
    state.revoked.push(form["token"].clone());
    StatusCode::OK
}
