//! A service as the composition root receives it: its REST routes, its gRPC routes, what it needs to be
//! ready, and what it does in the background.

mod config;
mod grpc_body;
mod head;
mod health;
mod listen;
mod observe;
mod probes;
mod process;
mod request;
mod sendfile;
mod tls;
mod unread;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::Response;
use riwaq_clock::SharedClock;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use utoipa::openapi::OpenApi;

use crate::http_service::{BoxError, HttpService};
use crate::tasks::TaskGroup;

pub use config::{AcmeConfig, ServerConfig, TlsConfig};
pub use health::{CheckReport, Health, Report};
pub use observe::RouteLabel;
pub use process::{Drained, Process, ServeError};
pub use request::{RequestLayer, RequestService};
pub use sendfile::FileContent;
pub use tls::{CertificateFacts, TlsError, inspect as inspect_certificate};

/// A readiness check: an error says, for the log, what is missing.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// A background task, given the token that tells it to end.
pub type Background = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// A finishing touch on every answer of a listener.
pub type Finish = Arc<dyn Fn(&mut Response<Body>) + Send + Sync>;

/// One service, not yet running.
///
/// ```
/// # use riwaq_kit::{Service, TaskGroup};
/// # use axum::{Router, routing::get};
/// let tasks = TaskGroup::new();
/// let service = Service::new("courses", tasks)
///     .rest(Router::new().route("/api/courses", get(async || "[]")), utoipa::openapi::OpenApi::default())
///     .check("records", || async { Ok(()) })
///     .background("relay", |closing| async move { closing.cancelled().await });
/// assert_eq!(service.name(), "courses");
/// ```
pub struct Service {
    name: &'static str,
    rest: Router,
    openapi: OpenApi,
    grpc: Option<Routes>,
    descriptors: Vec<&'static [u8]>,
    checks: Vec<(&'static str, Check)>,
    background: Vec<(&'static str, Background)>,
    finish: Option<Finish>,
    public: bool,
    tasks: TaskGroup,
}

impl Service {
    /// A service without routes. `tasks` is the group that its handlers use for changes.
    #[must_use]
    pub fn new(name: &'static str, tasks: TaskGroup) -> Self {
        Self {
            name,
            rest: Router::new(),
            openapi: OpenApi::default(),
            grpc: None,
            descriptors: Vec::new(),
            checks: Vec::new(),
            background: Vec::new(),
            finish: None,
            public: false,
            tasks,
        }
    }

    /// Sets the REST routes, with their full public paths, and their OpenAPI document. The router needs no
    /// fallback: unknown addresses and methods are answered as problems.
    #[must_use]
    pub fn rest(mut self, router: Router, openapi: OpenApi) -> Self {
        self.rest = router;
        self.openapi = openapi;
        self
    }

    /// Sets the gRPC routes.
    #[must_use]
    pub fn grpc(mut self, routes: Routes) -> Self {
        self.grpc = Some(routes);
        self
    }

    /// Puts layers around the gRPC routes, for what all services have in common.
    #[must_use]
    pub fn map_grpc(mut self, wrap: impl FnOnce(Routes) -> Routes) -> Self {
        self.grpc = self.grpc.map(wrap);
        self
    }

    /// Adds an encoded `FileDescriptorSet` to what gRPC reflection shows.
    #[must_use]
    pub fn descriptor(mut self, encoded: &'static [u8]) -> Self {
        self.descriptors.push(encoded);
        self
    }

    /// Adds something without which the service is not ready.
    #[must_use]
    pub fn check<C, F>(mut self, name: &'static str, check: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.checks
            .push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Adds a task that runs as long as the service; it should end soon after its token is cancelled.
    #[must_use]
    pub fn background<B, F>(mut self, name: &'static str, task: B) -> Self
    where
        B: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.background
            .push((name, Box::new(move |closing| Box::pin(task(closing)))));
        self
    }

    /// Sets what is done to every answer of the listener that serves this service, whoever made the answer.
    #[must_use]
    pub fn finish(mut self, finish: impl Fn(&mut Response<Body>) + Send + Sync + 'static) -> Self {
        self.finish = Some(Arc::new(finish));
        self
    }

    /// Says that its listener is open to everybody: `/metrics` asks for the token, or for a caller on this
    /// machine, and every answer names its request.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// The name: also the name of its role.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The group of its tasks.
    #[must_use]
    pub fn tasks(&self) -> &TaskGroup {
        &self.tasks
    }

    /// Its OpenAPI document.
    #[must_use]
    pub fn openapi(&self) -> &OpenApi {
        &self.openapi
    }

    /// Its REST routes as they are reached within the process, for tests and for whoever hosts it.
    #[must_use]
    pub fn http(&self, config: &ServerConfig, clock: &SharedClock) -> HttpService {
        HttpService::local(process::rest(self, config, clock))
    }

    /// Its gRPC routes, for a channel in the same process.
    #[must_use]
    pub fn grpc_routes(&self) -> Option<Routes> {
        self.grpc.clone()
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
