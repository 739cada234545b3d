//! One trace from the request at the gateway to the last consumer of the event that it caused.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::Method;
use riwaq_integration_tests::Engine;
use riwaq_test_kit::multipart;
use tonic::{Request, Response, Status};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Receives OTLP as a collector does. Each span is kept with the service that sent it.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.spans.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            spans.extend(
                resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans),
            );
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_holds_the_upload_and_the_indexing_that_it_caused() -> Result<()> {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let server =
        tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));

    let Some(builder) = Engine::Sqlite.program()? else {
        return Ok(());
    };
    let program = builder
        .variable("RIWAQ_TELEMETRY_OTLP_ENDPOINT", &endpoint)
        .start()
        .await?;
    let teacher = program.signed_in("teacher").await?;
    let course = teacher
        .post(
            "/api/courses",
            &serde_json::json!({"title": "Trace", "description": ""}),
        )
        .await?
        .expect(201)?;
    let path = format!(
        "/api/courses/{}/files",
        course["id"].as_str().unwrap_or_default()
    );
    let request = teacher
        .request(Method::POST, &path)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .multipart(multipart(
            "a.txt",
            "text/plain",
            b"une trace traverse tout",
        )?);
    teacher.send(request).await?.expect(201)?;

    let wanted = ["gateway", "files", "courses", "search"];
    let started = Instant::now();
    loop {
        let seen = services(&collector);
        if wanted.iter().all(|service| seen.contains(*service)) {
            break;
        }
        ensure!(
            started.elapsed() < Duration::from_secs(30),
            "{wanted:?} were wanted, only {seen:?} came"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    serving.abort();
    Ok(())
}

/// The services whose spans belong to the trace that the client began.
fn services(collector: &Collector) -> BTreeSet<String> {
    let spans = collector.spans.lock().unwrap();
    let ours = spans
        .iter()
        .filter(|span| hex::encode(&span.trace_id) == TRACE);
    ours.flat_map(|span| &span.attributes)
        .filter(|attribute| attribute.key == "service.role" || attribute.key == "service.name")
        .filter_map(
            |attribute| match attribute.value.as_ref()?.value.as_ref()? {
                opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(name) => {
                    Some(name.clone())
                }
                _ => None,
            },
        )
        .collect()
}
