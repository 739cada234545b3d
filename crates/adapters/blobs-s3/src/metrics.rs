//! What is counted.

use riwaq_calls::Calls;
use riwaq_clock::SharedClock;

use crate::errors::Refusal;

const BACKEND: &str = "s3";
/// Those that are watched; the others are shown when there are any.
const OUTCOMES: &[&str] = &["ok", "timeout", "unavailable"];

/// Requests, each with all its tries, until the answer begins.
pub(crate) fn calls(clock: SharedClock) -> Calls {
    Calls::new(BACKEND, OUTCOMES, clock)
}

/// What it was.
pub(crate) fn outcome<T>(answer: &Result<T, Refusal>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(refusal) => refusal.kind.label(),
    }
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
