//! The service among fakes of its neighbours: files and courses that a test fills, real gRPC
//! messages, the index in a folder, events in memory, and a child of a few lines of shell.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod neighbours;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use riwaq_aggregates::CursorKey;
use riwaq_api::search::v1::{FindPassagesRequest, Passage};
use riwaq_api::{Channel, clients};
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_events::{CloudEvent, Events, MemoryEvents, RetryPolicy};
use riwaq_identity::Identity;
use riwaq_identity::testing::TestIssuer;
use riwaq_index::Index;
use riwaq_index_tantivy::TantivyIndex;
use riwaq_kit::{HttpService, MetricsHandle, Process, ServerConfig, TaskGroup};
use riwaq_search::{Config, Deps, Rebuild};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) use neighbours::{Courses, Files};

/// Reads "documents" of lines, each line a page. `FAIL:reason` fails with the reason, `MACHINE`
/// behaves as a program that does not work.
const CHILD: &str = r#"body=$(cat)
case "$body" in MACHINE*) exit 3;; esac
echo '{"confined":{"landlock":true,"seccomp":true}}'
number=0
printf '%s\n' "$body" | while IFS= read -r line; do
  case "$line" in
    FAIL:*) printf '{"end":{"reason":"%s","detail":""}}\n' "${line#FAIL:}"; exit 9;;
  esac
  number=$((number + 1))
  printf '{"page":{"number":%d,"blocks":[{"text":"%s"}]}}\n' "$number" "$line"
done
if [ $? -ne 9 ]; then echo '{"end":null}'; fi
"#;

pub(crate) struct World {
    pub(crate) files: Files,
    pub(crate) courses: Courses,
    pub(crate) events: Arc<MemoryEvents>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) issuer: Arc<TestIssuer>,
    pub(crate) config: Config,
    clock: SharedClock,
    identity: Identity,
    folder: TempDir,
    sent: std::sync::atomic::AtomicU64,
}

/// The service at work.
pub(crate) struct Running {
    rest: HttpService,
    grpc: Channel,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    issuer: Arc<TestIssuer>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let child = folder.path().join("child.sh");
        std::fs::write(&child, CHILD).expect("writes");
        let mut config = Config::default();
        // Read by the shell, not executed: a file that was just written cannot be executed
        // (ETXTBSY) while a child that another test forked in that moment holds it open.
        config.extraction.program = "/bin/sh".into();
        config.extraction.args = vec![child.to_str().expect("UTF-8").to_owned()];
        // It would race with the events that a test sends; the test of it switches it on.
        config.rebuild_when_empty = false;
        let clock = SystemClock::shared();
        let issuer = TestIssuer::new(Arc::clone(&clock));
        let retries = RetryPolicy {
            backoff_seconds: vec![0],
            max_attempts: 5,
            ..RetryPolicy::default()
        };
        let events = MemoryEvents::new(Arc::clone(&clock), retries).expect("a policy");
        let index = riwaq_index_tantivy::Config::in_folder(folder.path().join("index"));
        let index = TantivyIndex::open(&index).expect("opens");
        Self {
            files: Files::default(),
            courses: Courses::default(),
            events: Arc::new(events),
            index: Arc::new(index),
            identity: issuer.identity(),
            issuer,
            config,
            clock,
            folder,
            sent: std::sync::atomic::AtomicU64::new(0),
        }
    }

    pub(crate) fn deps(&self) -> Deps {
        let channel = |channel: Channel| channel.with_tokens(self.issuer.service_tokens("search"));
        Deps {
            clock: Arc::clone(&self.clock),
            index: Arc::clone(&self.index),
            events: self.events.clone(),
            files: channel(self.files.channel()),
            courses: channel(self.courses.channel()),
            identity: self.identity.clone(),
            cursor_key: CursorKey::new(&[7; 32]).expect("a key"),
            tasks: TaskGroup::new(),
        }
    }

    pub(crate) fn rebuild(&self) -> Rebuild {
        Rebuild::new(&self.config, &self.deps()).expect("is configured")
    }

    pub(crate) async fn start(&self) -> Running {
        for group in riwaq_search::groups() {
            self.events.declare_group(&group).await.expect("declares");
        }
        let service = riwaq_search::service(&self.config, self.deps()).expect("builds");
        let server = ServerConfig::default();
        let rest = service.http(&server, &self.clock);
        let routes = service.grpc_routes().expect("has gRPC");
        let grpc = Channel::local(routes).with_tokens(self.issuer.service_tokens("chatbot"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (stop, stopped) = oneshot::channel::<()>();
        let process = Process::new(Arc::clone(&self.clock), server, MetricsHandle::install());
        #[expect(clippy::disallowed_methods, reason = "a test has no task group")]
        let ended = tokio::spawn(async move {
            let until = async move {
                let _ = stopped.await;
            };
            process
                .serve(service, listener, until)
                .await
                .expect("serves");
        });
        Running {
            rest,
            grpc,
            stop,
            ended,
            issuer: Arc::clone(&self.issuer),
        }
    }

    async fn tell(&self, kind: &str, id: Uuid, version: i64) {
        let number = self.sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let event = CloudEvent::new(format!("e{number}"), "/riwaq/test", kind, self.clock.now())
            .with_data(serde_json::json!({"id": id, "version": version}));
        self.events.publish(event).await.expect("publishes");
    }

    pub(crate) async fn file_changed(&self, id: Uuid, version: i64) {
        self.tell("riwaq.files.file.changed", id, version).await;
    }

    pub(crate) async fn course_changed(&self, id: Uuid, version: i64) {
        self.tell("riwaq.courses.course.changed", id, version).await;
    }

    /// Waits until every event was handled or given up.
    pub(crate) async fn settled(&self) {
        until("all events are handled", async || {
            let depths = self.events.depths().await.expect("counts");
            depths
                .iter()
                .all(|depth| depth.ready + depth.delayed + depth.in_flight == 0)
        })
        .await;
    }

    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let page = self
            .events
            .dead_letters("search", None, 100)
            .await
            .expect("lists");
        page.items.into_iter().map(|letter| letter.reason).collect()
    }
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Running {
    /// `GET /api/search?` as this user.
    pub(crate) async fn ask(&self, user: Uuid, roles: &[&str], query: &str) -> (StatusCode, Value) {
        self.ask_with(Some(&self.issuer.user_token(user, roles)), query)
            .await
    }

    pub(crate) async fn ask_with(&self, token: Option<&str>, query: &str) -> (StatusCode, Value) {
        let mut request = Request::get(format!("/api/search?{query}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.rest.call(request).await.expect("answers");
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// What a student finds; fails on anything but 200.
    pub(crate) async fn found(&self, user: Uuid, query: &str) -> Vec<Value> {
        let (status, body) = self.ask(user, &["student"], query).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["items"].as_array().expect("items").clone()
    }

    pub(crate) async fn passages(
        &self,
        user: Uuid,
        question: &str,
        course: &str,
        limit: u32,
    ) -> Result<Vec<Passage>, tonic::Status> {
        let channel = self
            .grpc
            .clone()
            .with_actor_token(&self.issuer.user_token(user, &["student"]));
        self.passages_by(&channel, question, course, limit).await
    }

    pub(crate) async fn passages_by(
        &self,
        channel: &Channel,
        question: &str,
        course: &str,
        limit: u32,
    ) -> Result<Vec<Passage>, tonic::Status> {
        let request = FindPassagesRequest {
            query: question.to_owned(),
            course_id: course.to_owned(),
            limit,
        };
        Ok(clients::search(channel)
            .find_passages(request)
            .await?
            .into_inner()
            .passages)
    }

    pub(crate) fn grpc(&self) -> &Channel {
        &self.grpc
    }

    /// Stops and waits for the drain.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.expect("ends");
    }
}

/// Text as it stands in an address.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
