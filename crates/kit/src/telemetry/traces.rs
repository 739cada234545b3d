//! Traces: W3C Trace Context in and out, and OTLP export where it is configured.
//!
//! Without an exporter a step of a trace is two random numbers. With one, sampled steps are spans of the
//! OpenTelemetry SDK, and `tracing` spans made inside of them become their children.

use std::borrow::Cow;
use std::sync::OnceLock;

use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use super::TelemetryConfig;
use crate::context::{self, TraceContext};

#[derive(Debug)]
struct Active {
    tracer: SdkTracer,
    sample_ratio: f64,
}

static ACTIVE: OnceLock<Active> = OnceLock::new();

#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    pub(super) fn build(
        config: &TelemetryConfig,
        role: &str,
    ) -> Result<Option<Self>, ExporterBuildError> {
        let Some(endpoint) = &config.otlp_endpoint else {
            return Ok(None);
        };
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .build()?;
        let resource = Resource::builder()
            .with_service_name(format!("riwaq-{role}"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            // Where a trace begins, `begin` decides; the SDK only keeps to it.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .build();
        Ok(Some(Self(provider)))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer("riwaq")
    }

    pub(super) fn activate(&self, sample_ratio: f64) {
        // A second telemetry in one process was refused before this.
        let _ = ACTIVE.set(Active {
            tracer: self.tracer(),
            sample_ratio,
        });
    }

    pub(super) fn shutdown(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(cause = %error, "the last traces could not be sent");
        }
    }
}

/// A step of a trace that has begun.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) trace: TraceContext,
    /// The context that OpenTelemetry sees, where there is an exporter.
    pub(crate) otel: Option<Context>,
}

impl Step {
    /// Begins a step beneath `parent`, or a new trace. `name` is asked only when the step is recorded.
    pub(crate) fn begin(
        kind: SpanKind,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> Cow<'static, str>,
    ) -> Self {
        let Some(active) = ACTIVE.get() else {
            let trace = parent.map_or_else(|| TraceContext::root(false), |parent| parent.child());
            return Self { trace, otel: None };
        };
        let sampled = parent.map_or_else(
            || rand::random::<f64>() < active.sample_ratio,
            |parent| parent.sampled,
        );
        if !sampled {
            let trace = parent.map_or_else(|| TraceContext::root(false), |parent| parent.child());
            // Attached nevertheless: a span made beneath must not begin a trace of its own.
            let otel = Context::new().with_remote_span_context(span_context(trace));
            return Self {
                trace,
                otel: Some(otel),
            };
        }
        let above = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(span_context(parent))
        });
        let builder = active.tracer.span_builder(name()).with_kind(kind);
        let span = active.tracer.build_with_context(builder, &above);
        let otel = above.with_span(span);
        let trace =
            trace_context(otel.span().span_context()).unwrap_or_else(|| TraceContext::root(false));
        Self {
            trace,
            otel: Some(otel),
        }
    }

    /// Names a recorded step anew, once it is known what it is about.
    pub(crate) fn rename(&self, name: impl FnOnce() -> String) {
        if let Some(otel) = self.otel.as_ref().filter(|_| self.trace.sampled) {
            otel.span().update_name(name());
        }
    }

    /// Ends a recorded step; `attributes` is asked only then.
    pub(crate) fn end(&self, failed: bool, attributes: impl FnOnce() -> Vec<KeyValue>) {
        let Some(otel) = self.otel.as_ref().filter(|_| self.trace.sampled) else {
            return;
        };
        let span = otel.span();
        span.set_attributes(attributes());
        if failed {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

fn span_context(trace: TraceContext) -> SpanContext {
    let flags = if trace.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let (trace_id, span_id) = (TraceId::from(trace.trace_id), SpanId::from(trace.span_id));
    SpanContext::new(trace_id, span_id, flags, true, TraceState::default())
}

fn trace_context(span: &SpanContext) -> Option<TraceContext> {
    span.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(span.span_id().to_bytes()),
        sampled: span.is_sampled(),
    })
}

/// Makes calls that go out by OpenTelemetry's own means carry our trace, with or without an exporter.
pub(super) fn install_propagator() {
    opentelemetry::global::set_text_map_propagator(Propagator::default());
}

#[derive(Debug)]
struct Propagator([String; 1]);

impl Default for Propagator {
    fn default() -> Self {
        Self([context::TRACEPARENT.as_str().to_owned()])
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, otel: &Context, injector: &mut dyn Injector) {
        // Without an exporter spans have no identity: then the request's own place in the trace counts.
        if let Some(trace) = trace_context(otel.span().span_context()).or_else(context::current) {
            injector.set(context::TRACEPARENT.as_str(), trace.traceparent());
        }
    }

    fn extract_with_context(&self, otel: &Context, extractor: &dyn Extractor) -> Context {
        match extractor
            .get(context::TRACEPARENT.as_str())
            .and_then(TraceContext::parse)
        {
            Some(trace) => otel.with_remote_span_context(span_context(trace)),
            None => otel.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::context::within;

    #[tokio::test]
    async fn without_an_exporter_calls_carry_the_requests_trace() {
        let trace = TraceContext::root(false);
        let carried = within(trace, async {
            let mut carrier = HashMap::new();
            Propagator::default().inject_context(&Context::new(), &mut carrier);
            carrier
        })
        .await;
        assert_eq!(carried.get("traceparent"), Some(&trace.traceparent()));
        let back = Propagator::default().extract(&carried);
        assert_eq!(trace_context(back.span().span_context()), Some(trace));
    }

    #[test]
    fn a_step_stays_in_the_trace_of_its_parent() {
        let parent = TraceContext::root(true);
        let step = Step::begin(SpanKind::Server, Some(parent), || "x".into());
        assert_eq!(step.trace.trace_id, parent.trace_id);
        assert_ne!(step.trace.span_id, parent.span_id);
    }
}
