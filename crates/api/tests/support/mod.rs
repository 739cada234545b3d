//! A service to call, over either transport.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use riwaq_api::auth::v1::revocations_server::{Revocations, RevocationsServer};
use riwaq_api::auth::v1::{ListRevocationsRequest, ListRevocationsResponse};
use riwaq_api::files::v1::files_server::{Files, FilesServer};
use riwaq_api::files::v1::{
    ContentChunk, GetFilesRequest, GetFilesResponse, ListFileIdsRequest, ListFileIdsResponse,
    ReadContentRequest, ReportExtractionRequest, ReportExtractionResponse,
};
use riwaq_api::search::v1::search_server::{Search, SearchServer};
use riwaq_api::search::v1::{FindPassagesRequest, FindPassagesResponse, Passage};
use riwaq_api::server::{ServerPolicy, limited};
use riwaq_api::users::v1::users_server::{Users, UsersServer};
use riwaq_api::users::v1::{
    CreateUserRequest, GetUsersRequest, GetUsersResponse, ListRolesRequest, ListRolesResponse,
    RecordAuditRequest, RecordAuditResponse, User,
};
use riwaq_api::{
    CallContext, Channel, ChannelOptions, ChannelPolicy, Remote, RetryPolicy, deadline,
};
use riwaq_clock::{ManualClock, SharedClock};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

/// What the handlers saw and how they answer.
#[derive(Default)]
pub struct Script {
    pub calls: AtomicUsize,
    pub cancelled: AtomicUsize,
    /// So many calls are answered with `UNAVAILABLE` first.
    pub failures: AtomicUsize,
    /// How much later it is when one of them is answered.
    pub failing_takes: Mutex<Option<(Arc<ManualClock>, Duration)>>,
    pub entered: Notify,
    pub dropped: Notify,
    pub seen: Mutex<Vec<MetadataMap>>,
    /// A channel that `ListRoles` calls in turn.
    pub next: Mutex<Option<Channel>>,
}

#[derive(Clone, Default)]
pub struct Fake(pub Arc<Script>);

struct DropNote<'a>(&'a Script);

impl Drop for DropNote<'_> {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
        self.0.dropped.notify_one();
    }
}

impl Fake {
    async fn enter<T>(&self, request: &Request<T>) -> Result<(), Status> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        self.0.seen.lock().unwrap().push(request.metadata().clone());
        let failing = |left: usize| left.checked_sub(1);
        if self
            .0
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing)
            .is_ok()
        {
            if let Some((clock, takes)) = &*self.0.failing_takes.lock().unwrap() {
                clock.advance(*takes);
            }
            return Err(Status::unavailable("not now"));
        }
        Ok(())
    }

    async fn hang(&self) -> Status {
        let _note = DropNote(&self.0);
        self.0.entered.notify_one();
        std::future::pending().await
    }

    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub fn fail_next(&self, count: usize) {
        self.0.failures.store(count, Ordering::SeqCst);
    }

    pub fn last_metadata(&self, key: &str) -> Option<String> {
        let seen = self.0.seen.lock().unwrap();
        seen.last()?
            .get(key)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    pub fn routes(&self, clock: &SharedClock, policy: &ServerPolicy) -> Routes {
        let mut routes = Routes::builder();
        routes
            .add_service(UsersServer::new(self.clone()))
            .add_service(SearchServer::new(self.clone()))
            .add_service(FilesServer::new(self.clone()))
            .add_service(RevocationsServer::new(self.clone()));
        limited(routes.routes(), clock, policy)
    }
}

#[tonic::async_trait]
impl Users for Fake {
    /// The first id says what happens.
    async fn get_users(
        &self,
        request: Request<GetUsersRequest>,
    ) -> Result<Response<GetUsersResponse>, Status> {
        self.enter(&request).await?;
        let ids = request.into_inner().ids;
        match ids.first().map(String::as_str) {
            Some("hang") => Err(self.hang().await),
            Some("refuse") => {
                let details = bytes::Bytes::from_static(b"\x01details");
                let mut status =
                    Status::with_details(Code::FailedPrecondition, "éà: not like this", details);
                status
                    .metadata_mut()
                    .insert("x-reason", "because".parse().unwrap());
                Err(status)
            }
            Some("missing") => Err(Status::not_found("no such user")),
            Some("large") => {
                let users = vec![User {
                    first_name: "x".repeat(100_000),
                    ..User::default()
                }];
                Ok(Response::new(GetUsersResponse { users }))
            }
            _ => {
                let users = ids
                    .into_iter()
                    .map(|id| User {
                        id,
                        ..User::default()
                    })
                    .collect();
                let mut response = Response::new(GetUsersResponse { users });
                response
                    .metadata_mut()
                    .insert("x-answer", "yes".parse().unwrap());
                Ok(response)
            }
        }
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<User>, Status> {
        self.enter(&request).await?;
        Ok(Response::new(request.into_inner().user.unwrap_or_default()))
    }

    async fn list_roles(
        &self,
        request: Request<ListRolesRequest>,
    ) -> Result<Response<ListRolesResponse>, Status> {
        self.enter(&request).await?;
        let next = self.0.next.lock().unwrap().clone();
        if let Some(next) = next {
            let request = GetUsersRequest {
                ids: vec!["hang".to_owned()],
            };
            riwaq_api::clients::users(&next).get_users(request).await?;
        }
        // How much time is left, in milliseconds.
        let left =
            deadline::inherited().map_or(-1, |left| i64::try_from(left.as_millis()).unwrap());
        Ok(Response::new(ListRolesResponse {
            roles: Vec::new(),
            version: left,
        }))
    }

    async fn record_audit(
        &self,
        request: Request<RecordAuditRequest>,
    ) -> Result<Response<RecordAuditResponse>, Status> {
        self.enter(&request).await?;
        Ok(Response::new(RecordAuditResponse {}))
    }
}

#[tonic::async_trait]
impl Revocations for Fake {
    async fn list_revocations(
        &self,
        request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        self.enter(&request).await?;
        panic!("a handler that panics");
    }
}

#[tonic::async_trait]
impl Search for Fake {
    async fn find_passages(
        &self,
        request: Request<FindPassagesRequest>,
    ) -> Result<Response<FindPassagesResponse>, Status> {
        self.enter(&request).await?;
        match request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
        {
            Some("Bearer stale") => Err(Status::unauthenticated("the token is not valid")),
            authorization => {
                let text = authorization.unwrap_or("none").to_owned();
                Ok(Response::new(FindPassagesResponse {
                    passages: vec![Passage {
                        text,
                        ..Passage::default()
                    }],
                }))
            }
        }
    }
}

#[tonic::async_trait]
impl Files for Fake {
    async fn get_files(
        &self,
        _: Request<GetFilesRequest>,
    ) -> Result<Response<GetFilesResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }

    type ReadContentStream = BoxStream<'static, Result<ContentChunk, Status>>;

    /// Three chunks, then as `id` says: `end`, `silent` or `break`.
    async fn read_content(
        &self,
        request: Request<ReadContentRequest>,
    ) -> Result<Response<Self::ReadContentStream>, Status> {
        self.enter(&request).await?;
        let chunks =
            futures::stream::iter((0..3_u8).map(|n| Ok(ContentChunk { data: vec![n; 3] })));
        let then = match request.into_inner().id.as_str() {
            "silent" => futures::stream::pending().boxed(),
            "break" => futures::stream::iter([Err(Status::data_loss("the disk is gone"))]).boxed(),
            _ => futures::stream::empty().boxed(),
        };
        Ok(Response::new(chunks.chain(then).boxed()))
    }

    /// Not idempotent for this test's purposes only by being unknown to it.
    async fn report_extraction(
        &self,
        request: Request<ReportExtractionRequest>,
    ) -> Result<Response<ReportExtractionResponse>, Status> {
        self.enter(&request).await?;
        Ok(Response::new(ReportExtractionResponse {}))
    }

    async fn list_file_ids(
        &self,
        _: Request<ListFileIdsRequest>,
    ) -> Result<Response<ListFileIdsResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }
}

/// Serves routes on a free port of the loopback interface; ends when dropped.
pub struct SocketServer {
    pub address: SocketAddr,
    tasks: JoinSet<()>,
}

impl SocketServer {
    pub async fn start(routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // One task for each connection inside, so that ending this one closes them all.
            let mut connections = JoinSet::new();
            let router = routes.into_axum_router();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(socket);
                    let builder = hyper::server::conn::http2::Builder::new(
                        hyper_util::rt::TokioExecutor::new(),
                    );
                    // A client that goes away is not an error of the test.
                    let _ = builder.serve_connection(io, service).await;
                });
            }
        });
        Self { address, tasks }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Local,
    Socket,
}

pub const BOTH: [Mode; 2] = [Mode::Local, Mode::Socket];

/// One fake service, its channel, and the clock of both.
pub struct World {
    pub fake: Fake,
    pub channel: Channel,
    pub clock: Arc<ManualClock>,
    _server: Option<SocketServer>,
}

tokio::task_local! {
    /// What the request that is being handled says: its `traceparent`, and its time left.
    pub static REQUEST: (String, Duration);
}

fn context() -> CallContext {
    CallContext {
        inject: |headers| {
            if let Ok(value) = REQUEST.try_with(|(trace, _)| trace.parse().unwrap()) {
                headers.insert("traceparent", value);
            }
        },
        time_left: || REQUEST.try_with(|(_, left)| *left).ok(),
    }
}

pub fn quick_policy() -> ChannelPolicy {
    let retry = RetryPolicy {
        first_backoff_ms: 0,
        max_backoff_ms: 0,
        ..RetryPolicy::default()
    };
    ChannelPolicy {
        retry,
        ..ChannelPolicy::default()
    }
}

impl World {
    pub async fn new(mode: Mode) -> Self {
        Self::with(mode, quick_policy(), ServerPolicy::default()).await
    }

    pub async fn with(mode: Mode, policy: ChannelPolicy, server: ServerPolicy) -> Self {
        let manual = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let clock: SharedClock = manual.clone();
        let fake = Fake::default();
        let routes = fake.routes(&clock, &server);
        let options = ChannelOptions {
            policy,
            clock,
            context: context(),
            ..ChannelOptions::named("users")
        };
        let (channel, server) = match mode {
            Mode::Local => (Channel::local_with(routes, options), None),
            Mode::Socket => {
                let server = SocketServer::start(routes).await;
                (
                    Channel::remote(Remote::new([server.url()]), options).unwrap(),
                    Some(server),
                )
            }
        };
        Self {
            fake,
            channel,
            clock: manual,
            _server: server,
        }
    }

    pub async fn get(&self, id: &str) -> Result<Response<GetUsersResponse>, Status> {
        get(&self.channel, id).await
    }
}

pub async fn get(channel: &Channel, id: &str) -> Result<Response<GetUsersResponse>, Status> {
    riwaq_api::clients::users(channel)
        .get_users(GetUsersRequest {
            ids: vec![id.to_owned()],
        })
        .await
}

/// Fails the test instead of hanging it.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within 20 s"))
}
