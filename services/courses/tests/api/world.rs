//! A school to test in: people, their tokens, and the service behind its own router.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use chrono::{DateTime, TimeDelta};
use http::{HeaderMap, Method, Request, StatusCode, header};
use riwaq_aggregates::CursorKey;
use riwaq_aggregates::records::{Memory, Store};
use riwaq_api::users::v1 as users;
use riwaq_api::users::v1::users_server::{Users, UsersServer};
use riwaq_api::{Channel, clients};
use riwaq_clock::ManualClock;
use riwaq_courses::{Config, Deps};
use riwaq_events::{CloudEvent, Events, Group, MemoryEvents, RetryPolicy, Subscription};
use riwaq_identity::testing::TestIssuer;
use riwaq_kit::{HttpService, MetricsHandle, Process, ServerConfig, Service, TaskGroup};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::service::Routes;
use uuid::Uuid;

pub const OWNER: Uuid = Uuid::from_u128(0x1001);
pub const OTHER_TEACHER: Uuid = Uuid::from_u128(0x1002);
pub const STUDENT: Uuid = Uuid::from_u128(0x2001);
pub const OTHER_STUDENT: Uuid = Uuid::from_u128(0x2002);
pub const ADMIN: Uuid = Uuid::from_u128(0x3001);
/// An empty list.
pub const NONE: [Uuid; 0] = [];
pub const NOBODY: Uuid = Uuid::from_u128(0x9999);
const GROUP: &str = "tests.courses";

/// Knows everybody but [`NOBODY`].
struct Directory;

#[tonic::async_trait]
impl Users for Directory {
    async fn get_users(
        &self,
        request: tonic::Request<users::GetUsersRequest>,
    ) -> Result<tonic::Response<users::GetUsersResponse>, tonic::Status> {
        let ids = request.into_inner().ids;
        assert!(ids.len() <= 200, "the contract's limit");
        let known = ids.into_iter().filter(|id| *id != NOBODY.to_string());
        let users = known
            .map(|id| users::User {
                id,
                ..users::User::default()
            })
            .collect();
        Ok(tonic::Response::new(users::GetUsersResponse { users }))
    }

    async fn create_user(
        &self,
        _: tonic::Request<users::CreateUserRequest>,
    ) -> Result<tonic::Response<users::User>, tonic::Status> {
        Err(tonic::Status::unimplemented("not asked for here"))
    }

    async fn list_roles(
        &self,
        _: tonic::Request<users::ListRolesRequest>,
    ) -> Result<tonic::Response<users::ListRolesResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented("not asked for here"))
    }

    async fn record_audit(
        &self,
        _: tonic::Request<users::RecordAuditRequest>,
    ) -> Result<tonic::Response<users::RecordAuditResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented("not asked for here"))
    }
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    Anonymous,
    Teacher(Uuid),
    Student(Uuid),
    Admin(Uuid),
}

pub const ANONYMOUS: Person = Person::Anonymous;
pub const BY_OWNER: Person = Person::Teacher(OWNER);
pub const BY_OTHER_TEACHER: Person = Person::Teacher(OTHER_TEACHER);
pub const BY_STUDENT: Person = Person::Student(STUDENT);
pub const BY_OTHER_STUDENT: Person = Person::Student(OTHER_STUDENT);
pub const BY_ADMIN: Person = Person::Admin(ADMIN);

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        if status >= 400 {
            assert_eq!(
                self.headers[header::CONTENT_TYPE],
                "application/problem+json"
            );
            assert_eq!(self.body["status"], status);
        }
        self
    }

    #[track_caller]
    pub fn code(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["code"], code);
        answer
    }

    pub fn header(&self, name: header::HeaderName) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    pub fn fields(&self) -> Vec<String> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn ids(&self) -> Vec<Uuid> {
        let items = self.body["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub events: MemoryEvents,
    issuer: Arc<TestIssuer>,
    service: Option<Service>,
    routes: Routes,
    http: HttpService,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let mut tables = riwaq_aggregates::tables();
        tables.extend(riwaq_courses::tables());
        let records = Memory::with_tables(tables).unwrap();
        Self::over(Store::new(Arc::new(records)), config).await
    }

    pub async fn over(store: Store, config: Config) -> Self {
        // In the middle of a half-year, and in the middle of a millisecond.
        let start = TimeDelta::days(365 * 56 + 100) + TimeDelta::nanoseconds(123_456);
        let clock = ManualClock::at(DateTime::UNIX_EPOCH + start);
        let events = MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap();
        let types = [
            riwaq_courses::events::COURSE_CHANGED,
            riwaq_courses::events::ENROLMENT_CHANGED,
        ];
        events
            .declare_group(&Group::new(GROUP, types))
            .await
            .unwrap();
        let issuer = TestIssuer::new(clock.clone());
        let deps = Deps {
            clock: clock.clone(),
            store: store.clone(),
            events: Arc::new(events.clone()),
            users: Channel::local(Routes::new(UsersServer::new(Directory))),
            identity: issuer.identity(),
            cursors: CursorKey::new(&[7; 32]).unwrap(),
            tasks: TaskGroup::new(),
        };
        let service = riwaq_courses::service(config, deps).unwrap();
        let http = service.http(&ServerConfig::default(), &(clock.clone() as _));
        let routes = service.grpc_routes().unwrap();
        Self {
            clock,
            store,
            events,
            issuer,
            service: Some(service),
            routes,
            http,
        }
    }

    pub fn openapi(&self) -> &utoipa::openapi::OpenApi {
        self.service.as_ref().unwrap().openapi()
    }

    pub fn token(&self, person: Person) -> Option<String> {
        let (id, role) = match person {
            Person::Anonymous => return None,
            Person::Teacher(id) => (id, "teacher"),
            Person::Student(id) => (id, "student"),
            Person::Admin(id) => (id, "admin"),
        };
        Some(self.issuer.user_token(id, &[role]))
    }

    pub async fn send(
        &self,
        person: Person,
        request: http::request::Builder,
        body: Body,
    ) -> Answer {
        let request = match self.token(person) {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        };
        let response = self.http.call(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub async fn call(
        &self,
        person: Person,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        self.call_with(person, method, path, body, &[]).await
    }

    pub async fn call_with(
        &self,
        person: Person,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json");
                self.send(person, request, Body::from(body.to_string()))
                    .await
            }
            None => self.send(person, request, Body::empty()).await,
        }
    }

    pub async fn get(&self, person: Person, path: &str) -> Answer {
        self.call(person, Method::GET, path, None).await
    }

    pub async fn post(&self, person: Person, path: &str, body: Value) -> Answer {
        self.call(person, Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, person: Person, path: &str, body: Value) -> Answer {
        self.call(person, Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, person: Person, path: &str, body: Value) -> Answer {
        self.call(person, Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, person: Person, path: &str) -> Answer {
        self.call(person, Method::DELETE, path, None).await
    }

    /// A course of the owner, made a millisecond after the last one so that their order is known.
    pub async fn course(&self, visibility: &str, status: &str) -> Uuid {
        self.course_by(BY_OWNER, visibility, status).await
    }

    pub async fn course_by(&self, person: Person, visibility: &str, status: &str) -> Uuid {
        self.clock.advance(Duration::from_millis(1));
        let body = json!({"title": "Algèbre", "description": "Matrices", "visibility": visibility});
        let made = self.post(person, "/api/courses", body).await.expect(201);
        let id: Uuid = made.body["id"].as_str().unwrap().parse().unwrap();
        if status != "draft" {
            self.patch(person, &path(id), json!({"status": status}))
                .await
                .expect(200);
        }
        id
    }

    pub async fn enrol(&self, course: Uuid, user: Uuid) {
        let body = json!({"user_id": user});
        self.post(BY_ADMIN, &format!("{}/enrolments", path(course)), body)
            .await
            .expect(201);
    }

    /// A client of the gRPC side, as another service has it.
    pub fn internal(&self) -> riwaq_api::courses::v1::courses_client::CoursesClient<Channel> {
        clients::courses(
            &self
                .internal_channel()
                .with_tokens(self.issuer.service_tokens("search")),
        )
    }

    pub fn internal_channel(&self) -> Channel {
        Channel::local(self.routes.clone())
    }

    /// The service's background work, on a real listener, until the sender is dropped.
    pub fn start(&mut self) -> (impl Future<Output = ()> + use<>, oneshot::Sender<()>) {
        let service = self.service.take().unwrap();
        let process = Process::new(
            self.clock.clone(),
            ServerConfig::default(),
            MetricsHandle::install(),
        );
        let (stop, stopped) = oneshot::channel();
        let serving = async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let shutdown = async {
                let _dropped = stopped.await;
            };
            assert_eq!(
                process
                    .serve(service, listener, shutdown)
                    .await
                    .unwrap()
                    .cut_off,
                0
            );
        };
        (serving, stop)
    }

    /// The next events, without their ids and times.
    pub async fn published(&self, count: usize) -> Vec<CloudEvent> {
        let types = [
            riwaq_courses::events::COURSE_CHANGED,
            riwaq_courses::events::ENROLMENT_CHANGED,
        ];
        let mut consumer = self
            .events
            .subscribe(Subscription::group(GROUP, types))
            .await
            .unwrap();
        let mut events = Vec::new();
        for _ in 0..count {
            let delivery = consumer.next().await.unwrap();
            events.push((*delivery.event).clone());
            delivery.ack().await.unwrap();
        }
        events
    }
}

pub fn path(course: Uuid) -> String {
    format!("/api/courses/{course}")
}

pub fn set(ids: &[Uuid]) -> HashSet<Uuid> {
    ids.iter().copied().collect()
}
