//! Callers over HTTP and over gRPC, and services' own tokens.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::FutureExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use riwaq_api::users::v1::users_server::{Users, UsersServer};
use riwaq_api::users::v1::{
    CreateUserRequest, GetUsersRequest, GetUsersResponse, ListRolesRequest, ListRolesResponse,
    RecordAuditRequest, RecordAuditResponse, User,
};
use riwaq_api::{Channel, TokenSource, clients};
use riwaq_clock::ManualClock;
use riwaq_identity::testing::TestIssuer;
use riwaq_identity::{
    Actor, CallerPolicy, Callers, CallingService, ClientCredentials, MaybeActor, Permission,
    ServiceTokens, grpc,
};
use riwaq_kit::{Code, HttpService, Problem, TaskGroup};
use tonic::service::Routes;
use tonic::{Response, Status};
use tower::ServiceExt as _;
use uuid::Uuid;

fn world() -> (Arc<ManualClock>, Arc<TestIssuer>) {
    let clock = ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap());
    let issuer = TestIssuer::new(clock.clone());
    (clock, issuer)
}

async fn admin_only(actor: Actor) -> Result<String, Problem> {
    actor.require(Permission::UsersManage)?;
    Ok(actor.id().to_string())
}

fn app(issuer: &TestIssuer) -> Router {
    Router::new()
        .route(
            "/open",
            get(async |MaybeActor(actor): MaybeActor| {
                actor.map_or("nobody".into(), |a| a.id().to_string())
            }),
        )
        .route("/mine", get(async |actor: Actor| actor.id().to_string()))
        .route(
            "/maybe",
            get(async |actor: Option<Actor>| actor.is_some().to_string()),
        )
        .route("/admin", get(admin_only))
        .layer(issuer.identity().layer())
}

async fn ask(app: &Router, path: &str, authorization: &[&str]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let response = app
        .clone()
        .oneshot(request.body(axum::body::Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn a_handler_knows_who_asks() {
    let (_, issuer) = world();
    let app = app(&issuer);
    let user = Uuid::now_v7();
    let bearer = format!("Bearer {}", issuer.user_token(user, &["student"]));
    for path in ["/open", "/mine"] {
        assert_eq!(
            ask(&app, path, &[&bearer]).await.2,
            user.to_string(),
            "{path}"
        );
    }
    assert_eq!(ask(&app, "/open", &[]).await.2, "nobody");
    assert_eq!(ask(&app, "/maybe", &[]).await.2, "false");
    assert_eq!(
        ask(&app, "/maybe", &[&bearer.replacen("Bearer", "bearer", 1)])
            .await
            .2,
        "true"
    );
    let (status, headers, body) = ask(&app, "/mine", &[]).await;
    assert_eq!(
        (status, &headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    assert!(body.contains(r#""code":"unauthenticated""#), "{body}");
}

#[tokio::test]
async fn a_bad_token_is_refused_even_where_nobody_need_sign_in() {
    let (_, issuer) = world();
    let app = app(&issuer);
    let good = issuer.user_token(Uuid::new_v4(), &[]);
    let bad = format!("Bearer {}x", &good[..good.len() - 1]);
    let basic = "Basic dXNlcjpwYXNz".to_owned();
    let good = format!("Bearer {good}");
    for values in [
        &[bad.as_str()][..],
        &[&basic],
        &["Bearer"],
        &["Bearer "],
        &[""],
        &[&good, &good],
        &[&good[7..]],
    ] {
        for path in ["/open", "/mine", "/admin"] {
            let (status, headers, body) = ask(&app, path, values).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {values:?}");
            assert_eq!(
                headers["www-authenticate"],
                r#"Bearer error="invalid_token""#
            );
            assert_eq!(headers["content-type"], "application/problem+json");
            assert!(
                !body.contains("signature"),
                "the reason is not told: {body}"
            );
        }
    }
}

#[tokio::test]
async fn rights_are_asked_by_permission() {
    let (_, issuer) = world();
    let app = app(&issuer);
    for (role, expected) in [
        ("student", 403),
        ("teacher", 403),
        ("admin", 200),
        ("service", 403),
        ("Admin", 403),
    ] {
        let bearer = format!("Bearer {}", issuer.user_token(Uuid::new_v4(), &[role]));
        let (status, _, body) = ask(&app, "/admin", &[&bearer]).await;
        assert_eq!(status.as_u16(), expected, "{role}: {body}");
    }
    let service = format!("Bearer {}", issuer.service_token("users"));
    assert_eq!(
        ask(&app, "/mine", &[&service]).await.0,
        StatusCode::FORBIDDEN
    );
}

/// Answers with who called.
struct Who;

fn who<T>(request: &tonic::Request<T>) -> String {
    let service = request
        .extensions()
        .get::<CallingService>()
        .map_or("?", |service| &service.0);
    let actor = grpc::maybe_actor(request).map_or("-".to_owned(), |actor| actor.id().to_string());
    format!("{service} {actor}")
}

#[tonic::async_trait]
impl Users for Who {
    async fn get_users(
        &self,
        request: tonic::Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        let users = vec![User {
            id: who(&request),
            ..User::default()
        }];
        Ok(Response::new(GetUsersResponse { users }))
    }

    async fn create_user(
        &self,
        request: tonic::Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        let actor = grpc::actor(&request)?;
        Ok(Response::new(User {
            id: actor.id().to_string(),
            ..User::default()
        }))
    }

    async fn list_roles(
        &self,
        _: tonic::Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        Ok(Response::new(ListRolesResponse::default()))
    }

    async fn record_audit(
        &self,
        _: tonic::Request<RecordAuditRequest>,
    ) -> Result<Response<RecordAuditResponse>, Status> {
        Err(Status::internal("it must not be reached"))
    }
}

fn policy() -> CallerPolicy {
    CallerPolicy::new()
        .allow(
            "/riwaq.users.v1.Users/GetUsers",
            Callers::any_service().for_user_or_nobody(),
        )
        .allow(
            "/riwaq.users.v1.Users/CreateUser",
            Callers::only(&["auth"]).for_user(),
        )
        .allow("/riwaq.users.v1.Users/ListRoles", Callers::any_service())
}

fn channel(issuer: &TestIssuer) -> Channel {
    let routes = Routes::new(UsersServer::new(Who));
    Channel::local(policy().protect(routes, &issuer.identity()))
}

#[tokio::test]
async fn a_method_is_open_to_those_whom_the_table_names() {
    let (_, issuer) = world();
    let open = channel(&issuer);
    let courses = open.clone().with_tokens(issuer.service_tokens("courses"));
    let auth = open.clone().with_tokens(issuer.service_tokens("auth"));
    let user = Uuid::now_v7();
    let token = issuer.user_token(user, &["student"]);

    let who = clients::users(&courses)
        .get_users(GetUsersRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(who.users[0].id, "courses -");
    let for_user = courses.clone().with_actor_token(&token);
    let who = clients::users(&for_user)
        .get_users(GetUsersRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(who.users[0].id, format!("courses {user}"));

    let code = async |channel: &Channel| {
        clients::users(channel)
            .create_user(CreateUserRequest::default())
            .await
            .map_or_else(|s| s.code(), |_| tonic::Code::Ok)
    };
    assert_eq!(
        code(&for_user).await,
        tonic::Code::PermissionDenied,
        "another service"
    );
    assert_eq!(
        code(&auth.clone().with_actor_token(&token)).await,
        tonic::Code::Ok
    );
    let status = clients::users(&auth)
        .create_user(CreateUserRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        Problem::from(status).code(),
        Code::Unauthenticated,
        "no user"
    );

    // In no table.
    let status = clients::users(&auth)
        .record_audit(RecordAuditRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
}

#[derive(Debug)]
struct Fixed(String);

#[tonic::async_trait]
impl TokenSource for Fixed {
    async fn token(&self) -> Result<Arc<str>, riwaq_api::TokenError> {
        Ok(self.0.as_str().into())
    }

    fn refused(&self, _: &str) {}
}

#[tokio::test]
async fn internal_methods_refuse_users_and_strangers() {
    let (_, issuer) = world();
    let open = channel(&issuer);
    let call = async |channel: Channel| {
        clients::users(&channel)
            .list_roles(ListRolesRequest {})
            .await
            .unwrap_err()
    };

    assert_eq!(
        call(open.clone()).await.code(),
        tonic::Code::Unauthenticated
    );
    let user = issuer.user_token(Uuid::new_v4(), &["admin", "service"]);
    let status = call(open.clone().with_tokens(Arc::new(Fixed(user)))).await;
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    let status = call(open.with_tokens(Arc::new(Fixed("a.b.c".to_owned())))).await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(
        Problem::from(status).code(),
        Code::Internal,
        "not the user's fault"
    );
}

#[tokio::test]
async fn a_bad_user_token_behind_a_call_is_the_users_to_renew() {
    let (_, issuer) = world();
    let courses = channel(&issuer).with_tokens(issuer.service_tokens("courses"));
    for bad in ["a.b.c", &issuer.service_token("auth")] {
        let channel = courses.clone().with_actor_token(bad);
        let status = clients::users(&channel)
            .get_users(GetUsersRequest::default())
            .await
            .unwrap_err();
        let code = Problem::from(status).code();
        assert!(
            matches!(code, Code::Unauthenticated | Code::Forbidden),
            "{bad}: {code}"
        );
    }
    // A method about the system does not look at it.
    let channel = courses.with_actor_token("a.b.c");
    clients::users(&channel)
        .list_roles(ListRolesRequest {})
        .await
        .unwrap();
}

#[test]
fn a_table_that_forgets_a_method_is_noticed() {
    assert_eq!(policy().gaps(), ["/riwaq.users.v1.Users/RecordAudit"]);
    let whole = policy().allow("/riwaq.users.v1.Users/RecordAudit", Callers::any_service());
    assert!(whole.gaps().is_empty());
    assert_eq!(
        whole
            .allow("/riwaq.users.v1.Users/Nothing", Callers::any_service())
            .gaps()
            .len(),
        1
    );
}

/// A token endpoint.
#[derive(Default)]
struct Endpoint {
    asked: AtomicUsize,
    failing: AtomicUsize,
    /// Nothing is answered while somebody writes.
    silent: tokio::sync::RwLock<()>,
    seen: Mutex<Vec<(String, String)>>,
}

fn tokens(endpoint: &Arc<Endpoint>, clock: &Arc<ManualClock>) -> ServiceTokens {
    async fn answer(
        State(endpoint): State<Arc<Endpoint>>,
        headers: HeaderMap,
        body: String,
    ) -> Result<Json<serde_json::Value>, StatusCode> {
        let n = endpoint.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let authorization = headers["authorization"].to_str().unwrap().to_owned();
        endpoint.seen.lock().unwrap().push((authorization, body));
        drop(endpoint.silent.read().await);
        if endpoint.failing.load(Ordering::SeqCst) > 0 {
            return Err(StatusCode::UNAUTHORIZED);
        }
        Ok(Json(
            serde_json::json!({"access_token": format!("token-{n}"), "token_type": "Bearer", "expires_in": 300}),
        ))
    }
    let router = Router::new()
        .route("/token", post(answer))
        .with_state(endpoint.clone());
    let credentials = ClientCredentials {
        token_endpoint: "http://auth.internal/token".into(),
        client_id: "riwaq-users".to_owned(),
        client_secret: "s3cret:é%".to_owned(),
    };
    ServiceTokens::new(
        HttpService::local(router),
        credentials,
        clock.clone(),
        TaskGroup::new(),
    )
}

#[tokio::test]
async fn a_service_token_is_kept_and_renewed_ahead_of_its_end() {
    let (clock, _) = world();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = tokens(&endpoint, &clock);
    let first = futures::future::join_all((0..20).map(|_| tokens.token())).await;
    assert!(
        first
            .iter()
            .all(|token| **token.as_ref().unwrap() == *"token-1"),
        "one fetch for all"
    );
    let seen = endpoint.seen.lock().unwrap()[0].clone();
    // `riwaq-users:s3cret%3A%C3%A9%25`, as RFC 6749 writes it.
    assert_eq!(
        seen,
        (
            "Basic cml3YXEtdXNlcnM6czNjcmV0JTNBJUMzJUE5JTI1".to_owned(),
            "grant_type=client_credentials".to_owned()
        )
    );

    clock.advance(Duration::from_secs(224));
    assert_eq!(&*tokens.token().await.unwrap(), "token-1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(&*tokens.token().await.unwrap(), "token-1", "nobody waits");
    while &*tokens.token().await.unwrap() != "token-2" {
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 2, "one for all");
    assert!(!format!("{tokens:?}").contains("s3cret"));
}

#[tokio::test]
async fn while_the_issuer_is_silent_nobody_waits_for_a_token_that_is_not_needed_yet() {
    let (clock, _) = world();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = tokens(&endpoint, &clock);
    tokens.token().await.unwrap();
    let silence = endpoint.silent.write().await;
    clock.advance(Duration::from_secs(230));
    for _ in 0..100 {
        let token = tokens.token().now_or_never().expect("at once").unwrap();
        assert_eq!(&*token, "token-1");
        tokio::task::yield_now().await;
    }
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 2);
    drop(silence);
    while &*tokens.token().await.unwrap() != "token-2" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_the_issuer_says_to_somebody_who_has_gone_serves_the_next() {
    let (clock, _) = world();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = tokens(&endpoint, &clock);
    let silence = endpoint.silent.write().await;
    {
        let mut impatient = tokens.token();
        while endpoint.asked.load(Ordering::SeqCst) == 0 {
            assert!(futures::poll!(&mut impatient).is_pending());
            tokio::task::yield_now().await;
        }
    }
    drop(silence);
    assert_eq!(&*tokens.token().await.unwrap(), "token-1");
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_the_issuer_is_down_the_old_token_serves_until_its_end() {
    let (clock, _) = world();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = tokens(&endpoint, &clock);
    tokens.token().await.unwrap();
    endpoint.failing.store(1, Ordering::SeqCst);
    clock.advance(Duration::from_secs(250));
    assert_eq!(&*tokens.token().await.unwrap(), "token-1");
    clock.advance(Duration::from_secs(45));
    tokens.token().await.unwrap_err();
    let asked = endpoint.asked.load(Ordering::SeqCst);
    tokens.token().await.unwrap_err();
    assert_eq!(
        endpoint.asked.load(Ordering::SeqCst),
        asked,
        "not again within a second"
    );
    endpoint.failing.store(0, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn a_refused_token_is_thrown_away_unless_it_is_new() {
    let (clock, _) = world();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = tokens(&endpoint, &clock);
    let first = tokens.token().await.unwrap();
    tokens.refused(&first);
    assert_eq!(
        tokens.token().await.unwrap(),
        first,
        "it is not its age that it was refused for"
    );
    clock.advance(Duration::from_secs(1));
    tokens.refused("another");
    assert_eq!(tokens.token().await.unwrap(), first);
    tokens.refused(&first);
    assert_eq!(&*tokens.token().await.unwrap(), "token-2");
}
