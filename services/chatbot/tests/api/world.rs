//! Two students with the assistant, and the search behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use http::{HeaderMap, Method, Request, StatusCode, header};
use riwaq_aggregates::CursorKey;
use riwaq_api::search::v1::Passage;
use riwaq_api::{Channel, clients};
use riwaq_chatbot::{Config, Deps};
use riwaq_clock::ManualClock;
use riwaq_identity::testing::TestIssuer;
use riwaq_kit::{HttpService, ServerConfig, Service, TaskGroup};
use riwaq_records::{Memory, Store};
use serde_json::{Value, json};
use tonic::service::Routes;
use uuid::Uuid;

use crate::search::FakeSearch;

pub const AMINA: Uuid = Uuid::from_u128(0x2001);
pub const YOUSSEF: Uuid = Uuid::from_u128(0x2002);
pub const ALGORITHMS: Uuid = Uuid::from_u128(0xC001);
pub const NETWORKS: Uuid = Uuid::from_u128(0xC002);
pub const CONVERSATIONS: &str = "/api/chatbot/conversations";

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
        }
        self
    }

    #[track_caller]
    pub fn code(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["code"], code);
        answer
    }

    #[track_caller]
    pub fn field(self, field: &str) {
        let answer = self.code(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
    }

    pub fn header(&self, name: header::HeaderName) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    pub fn id(&self) -> Uuid {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub search: FakeSearch,
    pub issuer: Arc<TestIssuer>,
    service: Service,
    routes: Routes,
    http: HttpService,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let mut tables = riwaq_aggregates::tables();
        tables.extend(riwaq_chatbot::tables());
        let store = Store::new(Arc::new(Memory::with_tables(tables).unwrap()));
        let clock = ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let issuer = TestIssuer::new(clock.clone());
        let identity = issuer.identity();
        let search = FakeSearch::new();
        let channel =
            Channel::local(search.routes(&identity)).with_tokens(issuer.service_tokens("chatbot"));
        let deps = Deps {
            clock: clock.clone(),
            store,
            search: channel,
            identity,
            cursors: CursorKey::new(&[7; 32]).unwrap(),
            tasks: TaskGroup::new(),
        };
        let service = riwaq_chatbot::service(config, deps).unwrap();
        let http = service.http(&ServerConfig::default(), &(clock.clone() as _));
        let routes = service.grpc_routes().unwrap();
        Self {
            clock,
            search,
            issuer,
            service,
            routes,
            http,
        }
    }

    pub fn openapi(&self) -> &utoipa::openapi::OpenApi {
        self.service.openapi()
    }

    pub fn token(&self, user: Uuid) -> String {
        self.issuer.user_token(user, &["student"])
    }

    pub async fn raw(
        &self,
        user: Option<Uuid>,
        request: http::request::Builder,
        body: Body,
    ) -> http::Response<Body> {
        let request = match user {
            Some(user) => request.header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token(user)),
            ),
            None => request,
        };
        self.http.call(request.body(body).unwrap()).await.unwrap()
    }

    pub async fn send(
        &self,
        user: Option<Uuid>,
        request: http::request::Builder,
        body: Body,
    ) -> Answer {
        let (head, body) = self.raw(user, request, body).await.into_parts();
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

    pub async fn call_with(
        &self,
        user: Uuid,
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
                self.send(Some(user), request, Body::from(body.to_string()))
                    .await
            }
            None => self.send(Some(user), request, Body::empty()).await,
        }
    }

    pub async fn get(&self, user: Uuid, path: &str) -> Answer {
        self.call_with(user, Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, user: Uuid, path: &str, body: Value) -> Answer {
        self.call_with(user, Method::POST, path, Some(body), &[])
            .await
    }

    pub async fn patch(&self, user: Uuid, path: &str, body: Value) -> Answer {
        self.call_with(user, Method::PATCH, path, Some(body), &[])
            .await
    }

    pub async fn delete(&self, user: Uuid, path: &str) -> Answer {
        self.call_with(user, Method::DELETE, path, None, &[]).await
    }

    /// A conversation of its own millisecond, so that the order is known.
    pub async fn conversation(&self, user: Uuid) -> Uuid {
        self.clock.advance(Duration::from_millis(1));
        self.post(user, CONVERSATIONS, json!({}))
            .await
            .expect(201)
            .id()
    }

    /// The answer as one document.
    pub async fn ask(&self, user: Uuid, conversation: Uuid, question: Value) -> Answer {
        self.ask_with(user, conversation, question, &[]).await
    }

    pub async fn ask_with(
        &self,
        user: Uuid,
        conversation: Uuid,
        question: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut all = vec![("accept", "application/json")];
        all.extend_from_slice(headers);
        self.call_with(
            user,
            Method::POST,
            &messages(conversation),
            Some(question),
            &all,
        )
        .await
    }

    /// The answer as it streams: the body is not read yet.
    pub async fn stream(
        &self,
        user: Uuid,
        conversation: Uuid,
        question: Value,
        headers: &[(&str, &str)],
    ) -> http::Response<Body> {
        let mut request = Request::post(messages(conversation))
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(Some(user), request, Body::from(question.to_string()))
            .await
    }

    pub async fn messages(&self, user: Uuid, conversation: Uuid) -> Vec<Value> {
        let body = self.get(user, &at(conversation)).await.expect(200).body;
        body["messages"].as_array().unwrap().clone()
    }

    /// A client of the gRPC side, as the service `caller` has it.
    pub fn internal(
        &self,
        caller: &str,
        actor_token: Option<&str>,
    ) -> riwaq_api::chatbot::v1::chatbot_client::ChatbotClient<Channel> {
        let channel =
            Channel::local(self.routes.clone()).with_tokens(self.issuer.service_tokens(caller));
        let channel = match actor_token {
            Some(token) => channel.with_actor_token(token),
            None => channel,
        };
        clients::chatbot(&channel)
    }
}

pub fn at(conversation: Uuid) -> String {
    format!("{CONVERSATIONS}/{conversation}")
}

pub fn messages(conversation: Uuid) -> String {
    format!("{CONVERSATIONS}/{conversation}/messages")
}

/// The name and data of every event until the stream ends.
pub async fn events(response: http::Response<Body>) -> Vec<(String, Value)> {
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut text = Vec::new();
    let mut body = response.into_body().into_data_stream();
    while let Some(chunk) = body.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(text)
        .unwrap()
        .split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'))
        .map(event)
        .collect()
}

fn event(text: &str) -> (String, Value) {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim_start()
    };
    (
        field("event:").to_owned(),
        serde_json::from_str(field("data:")).unwrap(),
    )
}

pub fn passage(course: Uuid, file: u128, page: u32, language: &str, text: &str) -> Passage {
    Passage {
        id: format!("{file}/{page}"),
        course_id: course.to_string(),
        file_id: Uuid::from_u128(file).to_string(),
        file_version: 1,
        title: format!("cours-{file}.pdf"),
        page,
        heading: String::new(),
        text: text.to_owned(),
        language: language.to_owned(),
        score: 1.0,
        coverage: 1.0,
    }
}

pub const TREE: &str = "Ce chapitre traite des arbres. Un arbre binaire est un arbre dont chaque nœud a au plus deux fils. \
                        On le parcourt en largeur ou en profondeur.";

/// Amina may read about trees.
pub fn with_tree(world: &World) {
    world
        .search
        .let_read(AMINA, passage(ALGORITHMS, 1, 4, "fr", TREE));
}
