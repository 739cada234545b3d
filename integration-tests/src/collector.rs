//! Receives traces as a collector does (OTLP over gRPC).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

/// Receives traces as a collector does, and keeps them; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    spans: Spans,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

#[derive(Debug, Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts it at a free port.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> Result<Self> {
        let spans = Spans::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server =
            tonic::transport::Server::builder().add_service(TraceServiceServer::new(spans.clone()));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            // It ends with the runtime; nobody is left to tell.
            let _ = server.serve_with_incoming(incoming).await;
        });
        Ok(Self {
            spans,
            address,
            _serving: serving,
        })
    }

    /// Where spans are sent.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The services whose spans belong to a trace (its id in hexadecimal).
    #[must_use]
    pub fn services(&self, trace: &str) -> BTreeSet<String> {
        let spans = self.spans.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = spans
            .iter()
            .filter(|span| hex::encode(&span.trace_id) == trace);
        let named = ours
            .flat_map(|span| &span.attributes)
            .filter(|attribute| ["service.role", "service.name"].contains(&attribute.key.as_str()));
        let names =
            named.filter_map(
                |attribute| match attribute.value.as_ref()?.value.as_ref()? {
                    Value::StringValue(name) => Some(name.clone()),
                    _ => None,
                },
            );
        names.collect()
    }
}
