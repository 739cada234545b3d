//! The metrics of the process, in Prometheus' text format.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// From a tenth of a millisecond to a minute, in seconds.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
/// From a kilobyte to a gigabyte, in bytes.
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Renders the metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetricsHandle(PrometheusHandle);

impl MetricsHandle {
    /// The recorder of the process, installed at the first call.
    #[must_use]
    pub fn install() -> Self {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        Self(INSTALLED.get_or_init(install).clone())
    }

    /// Everything counted so far.
    #[must_use]
    pub fn render(&self) -> String {
        // Without a listener of its own the recorder has no thread that would do this.
        self.0.run_upkeep();
        self.0.render()
    }
}

fn install() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let by_suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    // Refused only for an empty list of buckets.
    let builder = builder
        .set_buckets_for_metric(by_suffix("_seconds"), SECONDS)
        .unwrap_or_default();
    let builder = builder
        .set_buckets_for_metric(by_suffix("_bytes"), BYTES)
        .unwrap_or_default();
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed: /metrics stays empty");
    }
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_buckets() {
        let handle = MetricsHandle::install();
        metrics::counter!("riwaq_test_total", "kind" => "a").increment(3);
        metrics::histogram!("riwaq_test_seconds").record(0.003);
        let text = handle.render();
        assert!(text.contains("riwaq_test_total{kind=\"a\"} 3"), "{text}");
        assert!(
            text.contains("riwaq_test_seconds_bucket{le=\"0.005\"} 1"),
            "{text}"
        );
    }
}
