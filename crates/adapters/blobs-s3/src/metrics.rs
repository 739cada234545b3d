//! What is counted.

use std::time::Duration;

const BACKEND: &str = "s3";

/// One request, with all its tries.
pub(crate) fn called(operation: &'static str, outcome: &'static str, took: Duration) {
    metrics::counter!(
        "riwaq_backend_calls_total",
        "backend" => BACKEND, "operation" => operation, "outcome" => outcome
    )
    .increment(1);
    metrics::histogram!(
        "riwaq_backend_call_seconds",
        "backend" => BACKEND, "operation" => operation
    )
    .record(took);
}

/// Something that runs for long: uploads and downloads. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Running(&'static str);

impl Running {
    pub(crate) fn start(what: &'static str) -> Self {
        metrics::gauge!("riwaq_blobs_s3_running", "what" => what).increment(1.0);
        Self(what)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        metrics::gauge!("riwaq_blobs_s3_running", "what" => self.0).decrement(1.0);
    }
}

/// A download whose connection broke.
pub(crate) fn cut() {
    metrics::counter!("riwaq_blobs_s3_reads_cut_total").increment(1);
}
