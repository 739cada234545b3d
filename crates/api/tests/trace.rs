//! One trace goes through a call.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use support::{BOTH, World, soon};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::test]
async fn the_called_service_sees_the_callers_trace() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    for mode in BOTH {
        let world = World::new(mode).await;
        let span = tracing::info_span!("request");
        let trace_id = span.context().span().span_context().trace_id().to_string();
        soon("the call", world.get("a").instrument(span))
            .await
            .unwrap();
        let seen = world.fake.last_metadata("traceparent").unwrap();
        assert_eq!(seen.split('-').nth(1).unwrap(), trace_id, "{mode:?}");
    }
}
