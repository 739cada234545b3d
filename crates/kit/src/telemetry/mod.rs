//! Logs, metrics and traces of the process.
//!
//! Installed once by the program; everything else logs through `tracing`, counts through `metrics`, and
//! never learns where either goes.

mod config;
mod log;
mod metrics;
pub(crate) mod traces;
mod writer;

use std::sync::Arc;

use riwaq_clock::SharedClock;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

pub use config::{LogFormat, TelemetryConfig};
pub use metrics::MetricsHandle;

use writer::LogWriter;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log_level` is not a filter.
    #[error("telemetry.log_level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The OTLP exporter could not be built.
    #[error("telemetry.otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Telemetry was installed before.
    #[error("telemetry is already installed in this process")]
    Twice,
}

/// The installed telemetry; ask it to shut down last of all, so that nothing is lost.
#[derive(Debug)]
pub struct Telemetry {
    metrics: MetricsHandle,
    writer: Arc<LogWriter>,
    traces: Option<traces::Exporter>,
}

impl Telemetry {
    /// Installs logs, metrics, traces and a panic hook for the process. Must be called inside of the tokio
    /// runtime when an OTLP endpoint is configured.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn install(
        config: &TelemetryConfig,
        role: &str,
        clock: &SharedClock,
    ) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&config.log_level)?;
        let metrics = MetricsHandle::install();
        let writer = Arc::new(LogWriter::start(std::io::stderr()));
        let lines = log::LogLayer::new(config, Arc::clone(clock), Arc::clone(&writer));
        // Spans cost; without a layer that wants them they are never made.
        let lines = lines.with_filter(filter_fn(|meta| meta.is_event()));
        let traces = traces::Exporter::build(config, role)?;
        let spans = traces.as_ref().map(|exporter| {
            tracing_opentelemetry::layer()
                .with_tracer(exporter.tracer())
                .with_filter(filter_fn(|meta| {
                    meta.is_span() && meta.target().starts_with("riwaq")
                }))
        });
        let subscriber = Registry::default().with(filter).with(lines).with(spans);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
        traces::install_propagator();
        if let Some(exporter) = &traces {
            exporter.activate(config.trace_sample_ratio);
        }
        log_panics(Arc::clone(&writer));
        Ok(Self {
            metrics,
            writer,
            traces,
        })
    }

    /// The metrics of the process, for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &MetricsHandle {
        &self.metrics
    }

    /// Sends what has not been sent yet. Blocks for at most a few seconds.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces {
            traces.shutdown();
        }
        self.writer.flush();
    }
}

/// A panic is a line of the log like any other error, under the trace of its request.
fn log_panics(writer: Arc<LogWriter>) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("not a text");
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(cause = message, at, "panic");
        writer.flush();
    }));
}
