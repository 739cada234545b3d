//! Telemetry of a whole process: one collector, one request, one trace. In a file of its own because logs,
//! metrics and traces can be installed once in a process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use riwaq_clock::SystemClock;
use riwaq_kit::{
    MetricsHandle, Process, ServerConfig, Service, TaskFailed, TaskGroup, Telemetry,
    TelemetryConfig, context,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::service::Routes;
use tonic::{Response, Status};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans);
        let mut received = self
            .0
            .lock()
            .map_err(|_| Status::internal("a test panicked"))?;
        received.extend(spans);
        drop(received);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test joins the collector itself"
)]
async fn one_request_is_one_trace_from_its_caller_to_the_event_it_caused() {
    let clock = SystemClock::shared();
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let receiver = Service::new("collector", TaskGroup::new())
        .grpc(Routes::new(TraceServiceServer::new(collector.clone())));
    let (stop, stopped) = oneshot::channel::<()>();
    let process = Process::new(
        Arc::clone(&clock),
        ServerConfig::default(),
        MetricsHandle::install(),
    );
    let receiving = tokio::spawn(process.serve(receiver, listener, async move {
        let _ = stopped.await;
    }));

    let config = TelemetryConfig {
        otlp_endpoint: Some(endpoint.parse().unwrap()),
        // Only traces that the caller asked for: the exporter's own requests must not be traced.
        trace_sample_ratio: 0.0,
        ..TelemetryConfig::default()
    };
    let telemetry = Telemetry::install(&config, "test", &clock).unwrap();
    assert!(
        Telemetry::install(&config, "test", &clock).is_err(),
        "once in a process"
    );

    let tasks = TaskGroup::new();
    let group = tasks.clone();
    let handler = async move || {
        let change = group.run(async {
            let event = context::traceparent();
            context::consuming("search", "index file.changed", event.as_deref(), async {
                Ok::<_, TaskFailed>(())
            })
            .await
        });
        change
            .await
            .map(|()| "done")
            .map_err(riwaq_kit::Problem::from)
    };
    let service = Service::new("courses", tasks)
        .rest(
            Router::new().route("/api/courses", get(handler)),
            utoipa::openapi::OpenApi::default(),
        )
        .http(&ServerConfig::default(), &clock);
    let trace = context::TraceContext::root(true);
    let request = Request::get("/api/courses").header("traceparent", trace.traceparent());
    service
        .call(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    service
        .call(Request::get("/api/courses").body(Body::empty()).unwrap())
        .await
        .unwrap();
    tokio::task::spawn_blocking(move || telemetry.shutdown())
        .await
        .unwrap();

    let spans = collector.0.lock().unwrap().clone();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        spans.len(),
        2,
        "the second request was not sampled: {names:?}"
    );
    let named = |name: &str| {
        spans
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("{names:?}"))
    };
    let (request, event) = (named("GET /api/courses"), named("index file.changed"));
    for span in [request, event] {
        assert_eq!(span.trace_id, trace.trace_id.to_be_bytes());
    }
    assert_eq!(request.parent_span_id, trace.span_id.to_be_bytes());
    assert_eq!(event.parent_span_id, request.span_id);

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), receiving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
