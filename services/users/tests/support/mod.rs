//! The service over memory stores, with an auth service that a test controls.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it"
)]

mod auth;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use riwaq_aggregates::CursorKey;
use riwaq_api::{Channel, ChannelOptions, ChannelPolicy, RetryPolicy as CallRetries};
use riwaq_clock::SystemClock;
use riwaq_events::{Events, MemoryEvents, RetryPolicy};
use riwaq_identity::testing::TestIssuer;
use riwaq_identity::{Identity, PermissionSet};
use riwaq_kit::{HttpService, MetricsHandle, Process, ServerConfig, Service, TaskGroup};
use riwaq_records::{Memory, Records, Store};
use riwaq_users::{Config, Deps};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

pub use auth::FakeAuth;

pub struct World {
    pub issuer: Arc<TestIssuer>,
    pub identity: Identity,
    pub auth: FakeAuth,
    pub store: Store,
    pub events: Arc<dyn Events>,
    pub grpc: Channel,
    pub admin: Uuid,
    http: HttpService,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn fields(&self) -> Vec<&str> {
        self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| error["field"].as_str().unwrap())
            .collect()
    }

    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

impl World {
    pub async fn new() -> Self {
        Self::over(&Durable::new()).await
    }

    /// The service over stores that may have been used before.
    pub async fn over(durable: &Durable) -> Self {
        let mut world = Self::without_background(durable);
        world.start_background(durable).await;
        world
    }

    /// A service that a crash stops before anything in the background happens.
    pub fn without_background(durable: &Durable) -> Self {
        let service = durable.service();
        let config = ServerConfig::default();
        let http = service.http(&config, &SystemClock::shared());
        let grpc = Channel::local(service.grpc_routes().unwrap());
        Self {
            issuer: durable.issuer.clone(),
            identity: durable.identity.clone(),
            auth: durable.auth.clone(),
            store: durable.store.clone(),
            events: durable.events.clone(),
            grpc,
            admin: durable.admin,
            http,
            stop: None,
            tasks: JoinSet::new(),
        }
    }

    async fn start_background(&mut self, durable: &Durable) {
        let clock = SystemClock::shared();
        let mut process = Process::new(
            clock.clone(),
            ServerConfig::default(),
            MetricsHandle::install(),
        );
        let service = durable.service();
        self.grpc = Channel::local(service.grpc_routes().unwrap());
        self.http = process.host(service);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let front = Service::new("front", TaskGroup::new());
        self.tasks.spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            process.serve(front, listener, shutdown).await.unwrap();
        });
        self.stop = Some(stop);
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    pub fn token(&self, user: Uuid, roles: &[&str]) -> String {
        self.issuer.user_token(user, roles)
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        self.send_with(method, path, token, body, &[]).await
    }

    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(Value::String(raw)) => {
                request = request.header("content-type", "application/json");
                Body::from(raw)
            }
            Some(value) => {
                request = request.header("content-type", "application/json");
                Body::from(value.to_string())
            }
            None => Body::empty(),
        };
        let response = self.http.call(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// As the first administrator.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let token = self.token(self.admin, &["admin"]);
        self.send(method, path, Some(&token), body).await
    }

    pub async fn admin_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let token = self.token(self.admin, &["admin"]);
        self.send_with(method, path, Some(&token), body, headers)
            .await
    }

    /// A user made by the administrator.
    pub async fn create(&self, email: &str, roles: &[&str]) -> Uuid {
        self.admin(Method::POST, "/api/admin/users", Some(person(email, roles)))
            .await
            .expect(201)
            .id()
    }

    /// Nothing waits to be handled.
    pub async fn is_quiet(&self) -> bool {
        let depths = self.events.depths().await.unwrap();
        depths
            .iter()
            .all(|depth| depth.ready + depth.delayed + depth.in_flight == 0)
    }

    pub async fn audit_actions(&self) -> Vec<String> {
        let answer = self
            .admin(Method::GET, "/api/admin/audit?limit=200", None)
            .await
            .expect(200);
        let items = answer.body["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["action"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Makes custom roles known to the verifier, as the event would.
    pub fn know_role(&self, name: &str, permissions: PermissionSet) {
        self.identity
            .roles()
            .replace([(name.to_owned(), permissions)]);
    }
}

/// What outlives a crash: the stores, and the other services.
pub struct Durable {
    pub issuer: Arc<TestIssuer>,
    pub identity: Identity,
    pub auth: FakeAuth,
    pub store: Store,
    pub events: Arc<dyn Events>,
    pub admin: Uuid,
    pub config: Config,
}

impl Durable {
    pub fn new() -> Self {
        let clock = SystemClock::shared();
        let issuer = TestIssuer::new(clock.clone());
        let events: Arc<dyn Events> = Arc::new(MemoryEvents::new(clock, quick_retries()).unwrap());
        let tables = riwaq_users::tables()
            .into_iter()
            .chain(riwaq_aggregates::tables());
        let records: Arc<dyn Records> = Arc::new(Memory::with_tables(tables).unwrap());
        let admin = Uuid::now_v7();
        let auth = FakeAuth::new(events.clone());
        auth.put(admin, "admin@univ.example", &["admin"]);
        let mut config = Config::default();
        config.outbox.walk_interval_seconds = 1;
        config.outbox.grace_seconds = 1;
        config.follow_up_after_seconds = 1;
        config.stats_keep_seconds = 0;
        Self {
            identity: issuer.identity(),
            issuer,
            auth,
            store: Store::new(records),
            events,
            admin,
            config,
        }
    }

    fn service(&self) -> Service {
        let retries = CallRetries {
            first_backoff_ms: 1,
            max_backoff_ms: 1,
            ..CallRetries::default()
        };
        let policy = ChannelPolicy {
            retry: retries,
            deadline_ms: 2_000,
            ..ChannelPolicy::default()
        };
        let options = ChannelOptions {
            policy,
            ..ChannelOptions::named("auth")
        };
        let accounts = Channel::local_with(self.auth.routes(&self.identity), options);
        let deps = Deps {
            clock: SystemClock::shared(),
            store: self.store.clone(),
            events: self.events.clone(),
            identity: self.identity.clone(),
            accounts: accounts.with_tokens(self.issuer.service_tokens("users")),
            cursors: CursorKey::new(&[7; 32]).unwrap(),
            tasks: TaskGroup::new(),
        };
        riwaq_users::service(self.config.clone(), deps).unwrap()
    }

    pub async fn declare_groups(&self) {
        for group in riwaq_users::groups() {
            self.events.declare_group(&group).await.unwrap();
        }
    }
}

fn quick_retries() -> RetryPolicy {
    RetryPolicy {
        backoff_seconds: vec![1],
        max_attempts: 50,
        ..RetryPolicy::default()
    }
}

pub fn person(email: &str, roles: &[&str]) -> Value {
    json!({"email": email, "first_name": "Amal", "last_name": "Alami", "roles": roles})
}

/// Asks until the answer is yes.
pub async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not reached: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Durable {
    pub fn openapi(&self) -> Value {
        serde_json::to_value(self.service().openapi()).unwrap()
    }
}
