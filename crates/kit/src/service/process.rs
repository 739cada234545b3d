//! A running process: the services in it, one listener, and its orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use futures::future::join_all;
use hyper_util::server::graceful::GracefulShutdown;
use riwaq_clock::SharedClock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::config::ServerConfig;
use super::head::HeadLayer;
use super::health::Health;
use super::listen::Listening;
use super::request::RequestLayer;
use super::tls::{self, ListenerTls, TlsError};
use super::{Background, Check, Service, probes};
use crate::code::Code;
use crate::http_service::HttpService;
use crate::problem::Problem;
use crate::tasks::TaskGroup;
use crate::telemetry::MetricsHandle;

/// How often gRPC health is brought up to date.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);

/// Why a process could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of a service cannot be read.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listener has no address.
    #[error("the listener: {0}")]
    Listener(#[from] std::io::Error),
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How many connections and tasks had to be cut off.
    pub cut_off: usize,
}

/// The services of one process, one of which is reached from outside by its listener.
pub struct Process {
    clock: SharedClock,
    config: ServerConfig,
    metrics: MetricsHandle,
    checks: Vec<(&'static str, &'static str, Check)>,
    background: Vec<(&'static str, Background)>,
    groups: Vec<TaskGroup>,
}

impl Process {
    /// A process without services.
    #[must_use]
    pub fn new(clock: SharedClock, config: ServerConfig, metrics: MetricsHandle) -> Self {
        Self {
            clock,
            config,
            metrics,
            checks: Vec::new(),
            background: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Hosts a service that is reached within the process: its checks, background tasks and changes are the
    /// process's. Its REST routes come back as an HTTP service.
    pub fn host(&mut self, service: Service) -> HttpService {
        let rest = rest(&service, &self.config, &self.clock);
        self.adopt(service);
        HttpService::local(rest)
    }

    fn adopt(&mut self, service: Service) {
        let name = service.name;
        self.checks.extend(
            service
                .checks
                .into_iter()
                .map(|(check, ask)| (name, check, ask)),
        );
        self.background.extend(service.background);
        self.groups.push(service.tasks);
    }

    /// Serves `service` on `listener` until `shutdown`; then drains: says that it is not ready and asks clients for
    /// another connection, stops accepting, waits for requests and tasks, and cuts off what stays too long.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn serve(
        mut self,
        mut service: Service,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, ServeError> {
        let name = service.name;
        let mut layer = RequestLayer::new(name, Arc::clone(&self.clock), self.config.max_requests);
        if service.public {
            layer = layer.with_request_id();
        }
        let head = HeadLayer {
            max_bytes: self.config.max_head_bytes,
            finish: service.finish.take(),
        };
        let rest = std::mem::take(&mut service.rest);
        let public = service.public;
        let (reporter, grpc) = grpc(&mut service)?;
        self.adopt(service);
        let health = Health::new(std::mem::take(&mut self.checks), Arc::clone(&self.clock));
        let token = self.config.metrics_token.clone();
        let probes = probes::router(health.clone(), self.metrics.clone(), token, public);
        let router = Router::new()
            .merge(rest)
            .merge(grpc)
            .fallback(not_found)
            .layer(DefaultBodyLimit::max(self.config.max_body_bytes))
            .layer(layer)
            // After the layer: probes are not worth a line each.
            .merge(probes)
            .layer(head);
        let address = listener.local_addr()?;
        let (tls, redirecting) = self.tls(address).await?;
        let mut listeners = vec![Listening {
            listener,
            tls,
            router,
        }];
        listeners.extend(redirecting);
        let health = (health, reporter);
        Ok(self.run(name, address, listeners, health, shutdown).await)
    }

    /// The TLS of the listener, kept fresh in the background, and the listener that sends there.
    async fn tls(
        &mut self,
        address: SocketAddr,
    ) -> Result<(Option<ListenerTls>, Option<Listening>), ServeError> {
        let Some(config) = self.config.tls.clone() else {
            return Ok((None, None));
        };
        let (tls, keeper) = tls::listener(&config, &self.clock).await?;
        let keep: Background = Box::new(|closing| Box::pin(keeper.keep(closing)));
        self.background.push(("certificate", keep));
        let Some(port) = config.redirect_port else {
            return Ok((Some(tls), None));
        };
        let second = SocketAddr::new(address.ip(), port);
        let listener = TcpListener::bind(second).await.map_err(|error| {
            TlsError::config(
                "redirect_port",
                format!("cannot listen at {second}: {error}"),
            )
        })?;
        let router = tls::redirect(config.redirect_to_port.unwrap_or(address.port()));
        let redirecting = Listening {
            listener,
            tls: None,
            router,
        };
        Ok((Some(tls), Some(redirecting)))
    }

    async fn run(
        self,
        name: &'static str,
        address: SocketAddr,
        listeners: Vec<Listening>,
        (health, reporter): (Health, HealthReporter),
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let (work, connections) = (TaskGroup::new(), TaskGroup::new());
        for (task, start) in self.background {
            work.spawn(task, start(work.closing_token()));
        }
        work.spawn(
            "grpc health",
            report_health(
                health.clone(),
                reporter,
                Arc::clone(&self.clock),
                work.clone(),
            ),
        );
        health.set_started();
        tracing::info!(service = name, %address, "serving");

        let (leaving, stop) = (CancellationToken::new(), CancellationToken::new());
        let accept = |listening: Listening| {
            listening.accept(&self.config, &connections, leaving.clone(), stop.clone())
        };
        let accepting = listeners.into_iter().map(accept);
        let accepting = join_all(accepting);
        tokio::pin!(accepting);
        tokio::select! {
            () = shutdown => {}
            _ = &mut accepting => {}
        }
        health.set_draining();
        leaving.cancel();
        tracing::info!(service = name, "draining");
        let delay = Duration::from_secs(self.config.drain_delay_seconds);
        let _ = tokio::time::timeout(delay, &mut accepting).await;
        stop.cancel();
        let graceful = accepting.await;

        // Streams and background tasks end themselves on this; changes go on.
        work.close();
        self.groups.iter().for_each(TaskGroup::close);
        let until = tokio::time::Instant::now() + Duration::from_secs(self.config.drain_seconds);
        let ending = join_all(graceful.into_iter().map(GracefulShutdown::shutdown));
        let _ = tokio::time::timeout_at(until, ending).await;
        let mut cut_off = 0;
        // Connections first: what they run is waited for in the groups after them.
        for group in std::iter::once(&connections)
            .chain(&self.groups)
            .chain([&work])
        {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            cut_off += group.drain(left).await;
        }
        tracing::info!(service = name, cut_off, "drained");
        Drained { cut_off }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Process")
    }
}

/// The REST routes of a service with everything around them that does not depend on the listener.
pub(super) fn rest(service: &Service, config: &ServerConfig, clock: &SharedClock) -> Router {
    let layer = RequestLayer::new(service.name, Arc::clone(clock), config.max_requests);
    service
        .rest
        .clone()
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(config.max_body_bytes))
        .layer(layer)
        // For the gateway, which lets operators only reach it.
        .merge(probes::metrics_only(MetricsHandle::install()))
        .with_state(())
}

/// The gRPC routes with health and reflection.
fn grpc(
    service: &mut Service,
) -> Result<(HealthReporter, Router), tonic_reflection::server::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let routes = service
        .grpc
        .take()
        .unwrap_or_else(|| Routes::from(Router::new()));
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    for descriptor in &service.descriptors {
        reflection = reflection.register_encoded_file_descriptor_set(descriptor);
    }
    let routes = routes
        .add_service(health)
        .add_service(reflection.build_v1()?);
    // Its fallback would answer unknown REST addresses as gRPC errors.
    Ok((reporter, routes.into_axum_router().reset_fallback()))
}

async fn report_health(
    health: Health,
    reporter: HealthReporter,
    clock: SharedClock,
    tasks: TaskGroup,
) {
    let closing = tasks.closing_token();
    loop {
        let ready = health.is_ready().await;
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
        if closing
            .run_until_cancelled(clock.sleep(HEALTH_INTERVAL))
            .await
            .is_none()
        {
            reporter
                .set_service_status("", ServingStatus::NotServing)
                .await;
            return;
        }
    }
}

async fn not_found(request: axum::extract::Request) -> axum::response::Response {
    use axum::response::IntoResponse;
    if super::request::is_grpc(request.headers()) {
        return tonic::Status::unimplemented("no such method").into_http::<axum::body::Body>();
    }
    Problem::new(Code::NotFound, "no such address").into_response()
}
