//! An issuer elsewhere, which behaves as Keycloak does: it describes itself by public addresses, publishes an
//! encryption key beside its signing keys, forbids caching, changes keys, and is away at times.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use riwaq_api::TokenSource as _;
use riwaq_clock::{Clock as _, ManualClock, SharedClock};
use riwaq_events::{MemoryEvents, RetryPolicy};
use riwaq_identity::testing::{TestIssuer, TestKey};
use riwaq_identity::{
    ClientCredentials, HttpKeys, Identity, IdentityConfig, IdentityDeps, PermissionSet, Refused,
    RemoteIssuer, Revocation, RevocationSource, RevocationSourceError, RoleSource, RoleSourceError,
    ServiceTokens, TokenOwner,
};
use riwaq_kit::{HttpService, TaskGroup};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const NAME: &str = "https://sso.example.edu/realms/riwaq";
const CLIENTS: [&str; 2] = ["riwaq-portal", "riwaq-cli"];
const INTERNAL: &str = "http://keycloak.internal:8080/realms/riwaq";

/// Keycloak, as far as verifiers see it.
struct Server {
    clock: Arc<ManualClock>,
    keys: Mutex<Vec<TestKey>>,
    called: Mutex<String>,
    asked: Mutex<Vec<String>>,
    away: AtomicBool,
    silent: AtomicBool,
    tokens: AtomicUsize,
}

impl Server {
    fn new(clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(clock),
            keys: Mutex::new(vec![TestKey::ed25519("first")]),
            called: Mutex::new(NAME.to_owned()),
            asked: Mutex::default(),
            away: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            tokens: AtomicUsize::new(0),
        })
    }

    fn http(self: &Arc<Self>) -> HttpService {
        let router = Router::new()
            .route(
                "/realms/riwaq/.well-known/openid-configuration",
                get(describe),
            )
            .route("/realms/riwaq/protocol/openid-connect/certs", get(certs))
            .route("/realms/riwaq/protocol/openid-connect/token", post(token))
            .layer(from_fn_with_state(Arc::clone(self), at_the_door))
            .with_state(Arc::clone(self));
        HttpService::local(router)
    }

    fn sign(&self, claims: &Value) -> String {
        self.keys.lock().unwrap()[0].sign(claims)
    }

    /// A person's token as Keycloak writes it.
    fn user_claims(&self, user: Uuid) -> Value {
        let now = self.clock.now().timestamp();
        json!({
            "exp": now + 300, "iat": now, "auth_time": now - 10, "jti": format!("onrtac:{}", Uuid::new_v4()),
            "iss": NAME, "aud": "riwaq", "sub": user, "typ": "Bearer", "azp": "riwaq-portal",
            "sid": Uuid::new_v4(), "acr": "1", "scope": "openid profile email",
            "realm_access": {"roles": ["teacher", "default-roles-riwaq", "offline_access"]},
        })
    }

    fn asked(&self, part: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|address| address.contains(part))
            .count()
    }
}

async fn at_the_door(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    server.asked.lock().unwrap().push(request.uri().to_string());
    if server.silent.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    if server.away.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting").into_response();
    }
    next.run(request).await
}

async fn describe(State(server): State<Arc<Server>>) -> Json<Value> {
    let name = server.called.lock().unwrap().clone();
    let at = |end: &str| format!("{name}/protocol/openid-connect/{end}");
    Json(json!({
        "issuer": name, "authorization_endpoint": at("auth"), "token_endpoint": at("token"), "jwks_uri": at("certs"),
        "end_session_endpoint": at("logout"), "backchannel_logout_supported": true,
    }))
}

async fn certs(State(server): State<Arc<Server>>) -> Response {
    let mut keys: Vec<Value> = vec![json!({
        "kid": "enc-1", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB", "x5c": ["MIIB"],
    })];
    keys.extend(
        server
            .keys
            .lock()
            .unwrap()
            .iter()
            .map(|key| key.jwk.clone()),
    );
    (
        [(header::CACHE_CONTROL, "no-cache")],
        Json(json!({"keys": keys})),
    )
        .into_response()
}

/// Client credentials: no session, the subject is the client's own account.
async fn token(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    // `riwaq-users:secret`
    if headers[header::AUTHORIZATION] != "Basic cml3YXEtdXNlcnM6c2VjcmV0" {
        let error = json!({"error": "unauthorized_client"});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    server.tokens.fetch_add(1, Ordering::SeqCst);
    let mut claims = server.user_claims(Uuid::from_u128(0xacc0));
    let map = claims.as_object_mut().unwrap();
    map.remove("sid");
    map.insert("azp".into(), json!("riwaq-users"));
    map.insert("client_id".into(), json!("riwaq-users"));
    map.insert("realm_access".into(), json!({"roles": ["service"]}));
    let token = server.sign(&claims);
    Json(json!({
        "access_token": token, "expires_in": 300, "refresh_expires_in": 0, "token_type": "Bearer",
        "not-before-policy": 0, "scope": "email profile",
    }))
    .into_response()
}

#[derive(Debug)]
struct Nothing;

#[async_trait::async_trait]
impl RevocationSource for Nothing {
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError> {
        Ok(Vec::new())
    }
}

#[async_trait::async_trait]
impl RoleSource for Nothing {
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError> {
        Ok(Vec::new())
    }
}

struct World {
    clock: Arc<ManualClock>,
    server: Arc<Server>,
    issuer: RemoteIssuer,
    identity: Identity,
}

fn config() -> IdentityConfig {
    IdentityConfig {
        issuer: NAME.to_owned(),
        internal_url: INTERNAL.to_owned(),
        ..IdentityConfig::default()
    }
}

fn world() -> World {
    let clock = ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap());
    let server = Server::new(&clock);
    let shared: SharedClock = clock.clone();
    let issuer = RemoteIssuer::new(&config(), server.http(), shared.clone());
    let deps = IdentityDeps {
        clock: shared.clone(),
        keys: Arc::new(HttpKeys::new(issuer.http(), issuer.keys(), shared)),
        revocations: Arc::new(Nothing),
        roles: Arc::new(Nothing),
    };
    let identity = Identity::new(config(), deps);
    identity.preload(Vec::new(), Vec::new());
    World {
        clock,
        server,
        issuer,
        identity,
    }
}

impl World {
    fn token(&self) -> String {
        self.server.sign(&self.server.user_claims(Uuid::new_v4()))
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn its_tokens_are_believed_and_it_is_asked_where_it_is_reached_from_here() {
    let world = world();
    let user = Uuid::new_v4();
    let token = world.server.sign(&world.server.user_claims(user));
    let actor = world.identity.actor(&token).await.unwrap();
    assert_eq!(actor.id(), user);
    assert!(actor.may(riwaq_identity::Permission::CoursesCreate));
    let asked = world.server.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            format!("{INTERNAL}/.well-known/openid-configuration"),
            format!("{INTERNAL}/protocol/openid-connect/certs"),
        ]
    );
}

#[tokio::test]
async fn what_is_not_beneath_its_address_is_asked_as_it_is() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let echo = HttpService::local(Router::new().fallback(move |request: Request| {
        let log = Arc::clone(&log);
        async move { log.lock().unwrap().push(request.uri().to_string()) }
    }));
    let clock = ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap());
    let issuer = RemoteIssuer::new(&config(), echo, clock);
    for address in [
        format!("{NAME}/a?b=c"),
        format!("{NAME}?x"),
        format!("{NAME}x/a"),
        "https://other.example.edu/realms/riwaq/a".to_owned(),
    ] {
        let request = Request::get(address).body(axum::body::Body::empty());
        issuer.http().call(request.unwrap()).await.unwrap();
    }
    assert_eq!(
        *seen.lock().unwrap(),
        [
            format!("{INTERNAL}/a?b=c"),
            format!("{INTERNAL}?x"),
            format!("{NAME}x/a"),
            "https://other.example.edu/realms/riwaq/a".to_owned(),
        ]
    );
}

#[tokio::test]
async fn keys_live_as_long_as_we_say_and_its_encryption_key_signs_nothing() {
    let world = world();
    world.identity.verify(&world.token()).await.unwrap();
    for _ in 0..10 {
        world.pass(20);
        world.identity.verify(&world.token()).await.unwrap();
    }
    assert_eq!(world.server.asked("certs"), 1, "`no-cache` is not obeyed");
    world.pass(101);
    world.identity.verify(&world.token()).await.unwrap();
    assert_eq!(world.server.asked("certs"), 2);

    let forged = TestKey::ed25519("enc-1").sign(&world.server.user_claims(Uuid::new_v4()));
    assert_eq!(
        world.identity.verify(&forged).await.unwrap_err(),
        Refused::UnknownKey
    );
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_a_withdrawn_one_no_more() {
    let world = world();
    let old = world.token();
    world.identity.verify(&old).await.unwrap();
    world.pass(2);
    world
        .server
        .keys
        .lock()
        .unwrap()
        .insert(0, TestKey::ed25519("second"));
    let tokens: Vec<_> = (0..20).map(|_| world.token()).collect();
    let all = tokens.iter().map(|token| world.identity.verify(token));
    let believed = futures::future::join_all(all).await;
    assert!(believed.iter().all(Result::is_ok));
    assert_eq!(world.server.asked("certs"), 2, "one fetch for all of them");
    world.identity.verify(&old).await.unwrap();

    world.server.keys.lock().unwrap().truncate(1);
    world.pass(2);
    world.identity.refresh_keys().await.unwrap();
    assert_eq!(
        world.identity.verify(&old).await.unwrap_err(),
        Refused::UnknownKey
    );
}

#[tokio::test]
async fn while_it_is_away_tokens_in_hand_are_believed() {
    let world = world();
    world.identity.verify(&world.token()).await.unwrap();
    world.server.away.store(true, Ordering::SeqCst);
    for _ in 0..30 {
        world.pass(120);
        world.identity.verify(&world.token()).await.unwrap();
    }
    let stranger = TestKey::ed25519("unknown").sign(&world.server.user_claims(Uuid::new_v4()));
    assert_eq!(
        world.identity.verify(&stranger).await.unwrap_err(),
        Refused::UnknownKey
    );
    world.server.away.store(false, Ordering::SeqCst);
    world.pass(5);
    world.identity.verify(&world.token()).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_takes_connections_and_says_nothing_delays_nobody() {
    let world = world();
    let events = MemoryEvents::new(world.clock.clone(), RetryPolicy::default()).unwrap();
    let closing = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let following = world.identity.clone();
    tasks.spawn(following.follow(Arc::new(events), "here".into(), closing.clone()));
    until("the keys are there", || world.server.asked("certs") == 1).await;
    world.identity.verify(&world.token()).await.unwrap();

    world.server.silent.store(true, Ordering::SeqCst);
    world.pass(400);
    until("it is asked", || world.server.asked("well-known") == 2).await;
    for _ in 0..5 {
        // Would hang: time stands still.
        world.identity.verify(&world.token()).await.unwrap();
    }
    closing.cancel();
    tasks.join_next().await.unwrap().unwrap();
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("not reached: {what}");
}

#[tokio::test]
async fn an_issuer_of_another_name_is_not_believed() {
    let world = world();
    for name in [
        "https://sso.example.edu/realms/other",
        "",
        "https://sso.example.edu/realms/riwaq/",
    ] {
        name.clone_into(&mut world.server.called.lock().unwrap());
        world.pass(2);
        let error = world.issuer.described().await.unwrap_err();
        assert!(error.reason.contains("calls itself"), "{error}");
    }
    let refused = world.identity.verify(&world.token()).await.unwrap_err();
    assert_eq!(refused, Refused::Unavailable);
}

#[tokio::test]
async fn a_service_gets_its_token_there_and_is_known_by_it() {
    let world = world();
    let credentials = |secret: &str| ClientCredentials {
        token_endpoint: world.issuer.tokens(),
        client_id: "riwaq-users".into(),
        client_secret: secret.into(),
    };
    let clock: SharedClock = world.clock.clone();
    let tokens = ServiceTokens::new(
        world.issuer.http(),
        credentials("secret"),
        clock.clone(),
        TaskGroup::new(),
    );
    let token = tokens.token().await.unwrap();
    let verified = world.identity.verify(&token).await.unwrap();
    assert_eq!(verified.owner, TokenOwner::Service("users".into()));
    assert_eq!(
        world.identity.actor(&token).await.unwrap_err(),
        Refused::NotAUser
    );
    tokens.token().await.unwrap();
    assert_eq!(world.server.tokens.load(Ordering::SeqCst), 1);

    let wrong = ServiceTokens::new(
        world.issuer.http(),
        credentials("wrong"),
        clock,
        TaskGroup::new(),
    );
    let error = wrong.token().await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert!(!format!("{wrong:?} {error}").contains("wrong"));
}

/// What Keycloak sends to `riwaq-portal` when a session ends.
fn logout_claims(world: &World) -> Value {
    let now = world.clock.now().timestamp();
    json!({
        "iat": now, "exp": now + 120, "jti": Uuid::new_v4(), "iss": NAME, "aud": "riwaq-portal",
        "sub": Uuid::from_u128(7), "typ": "Logout", "sid": "c0ffee-session",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}, "urn:other": {"revoke": true}},
    })
}

#[tokio::test]
async fn a_logout_token_names_who_is_gone() {
    let world = world();
    let verify = async |claims: &Value| {
        let token = world.server.sign(claims);
        world.identity.verify_logout(&token, &CLIENTS).await
    };
    let claims = logout_claims(&world);
    let gone = verify(&claims).await.unwrap();
    assert_eq!(gone.sid.as_deref(), Some("c0ffee-session"));
    assert_eq!(gone.subject, Some(Uuid::from_u128(7)));
    assert_eq!(gone.issued_ms, world.clock.now().timestamp_millis());
    let with = |name: &str, value: Value| {
        let mut claims = logout_claims(&world);
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = logout_claims(&world);
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    assert!(verify(&without("sid")).await.unwrap().sid.is_none());
    assert!(verify(&without("sub")).await.unwrap().subject.is_none());
    assert!(
        verify(&with("aud", json!(["other", "riwaq-cli"])))
            .await
            .is_ok()
    );

    let mut nobody = without("sid");
    nobody.as_object_mut().unwrap().remove("sub");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let now = world.clock.now().timestamp();
    for (claims, why) in [
        (nobody, Refused::Subject),
        (with("sub", json!("admin")), Refused::Subject),
        (with("iss", json!("https://evil.example")), Refused::Issuer),
        (with("aud", json!("riwaq")), Refused::Audience),
        (with("aud", json!([])), Refused::Audience),
        (with("nonce", json!("n")), Refused::Kind),
        (with("nonce", json!(null)), Refused::Kind),
        (without("events"), Refused::Malformed),
        (with("events", json!({})), Refused::Malformed),
        (with("events", json!({ event: "x" })), Refused::Malformed),
        (with("events", json!([event])), Refused::Malformed),
        (without("jti"), Refused::Malformed),
        (with("jti", json!("")), Refused::Malformed),
        (with("jti", json!("x".repeat(1000))), Refused::Malformed),
        (with("sid", json!("")), Refused::Malformed),
        (without("iat"), Refused::Malformed),
        (without("exp"), Refused::Malformed),
        (with("exp", json!(now - 5)), Refused::Expired),
        (with("iat", json!(now - 300)), Refused::Expired),
        (with("iat", json!(now + 60)), Refused::NotYet),
    ] {
        assert_eq!(verify(&claims).await.unwrap_err(), why, "{claims}");
    }
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let world = world();
    let claims = logout_claims(&world);
    let token = world.server.sign(&claims);
    let gone = world
        .identity
        .verify_logout(&token, &CLIENTS)
        .await
        .unwrap();
    world.identity.revoke(Revocation {
        kind: riwaq_identity::RevocationKind::Jti,
        value: gone.jti,
        not_before_unix_ms: gone.issued_ms + 1_000,
        expires_unix_ms: gone.expires_ms,
    });
    let again = world.identity.verify_logout(&token, &CLIENTS).await;
    assert_eq!(again.unwrap_err(), Refused::Revoked);
}

#[tokio::test]
async fn neither_kind_of_token_passes_for_the_other() {
    let world = world();
    let logout = world.server.sign(&logout_claims(&world));
    let audience = world.identity.verify(&logout).await.unwrap_err();
    assert_eq!(audience, Refused::Audience);
    let mut claims = logout_claims(&world);
    claims["aud"] = json!(["riwaq", "riwaq-portal"]);
    let both = world.server.sign(&claims);
    assert_eq!(
        world.identity.verify(&both).await.unwrap_err(),
        Refused::Kind
    );

    let access = world.token();
    let refused = world.identity.verify_logout(&access, &CLIENTS).await;
    assert!(refused.is_err());
    let strangers = TestKey::ed25519("first").sign(&logout_claims(&world));
    let refused = world.identity.verify_logout(&strangers, &CLIENTS).await;
    assert_eq!(refused.unwrap_err(), Refused::Signature);
    let clock: SharedClock = world.clock.clone();
    let other = TestIssuer::new(clock);
    let refused = world
        .identity
        .verify_logout(&other.sign(&logout_claims(&world)), &CLIENTS)
        .await;
    assert_eq!(refused.unwrap_err(), Refused::UnknownKey);
}
