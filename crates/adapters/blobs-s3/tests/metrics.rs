//! What an operator sees of the calls.

mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use riwaq_blobs::{BlobKey, Blobs, ByteRange};
use riwaq_clock::{SharedClock, SystemClock};
use support::{Bucket, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_by_operation_and_outcome_and_timed() {
    let Some(server) = support::minio() else {
        return;
    };
    let shown = PrometheusBuilder::new()
        .install_recorder()
        .expect("the only recorder");
    let bucket = Bucket::new(&server);
    let clock: SharedClock = SystemClock::shared();
    let blobs = open(bucket.config.clone(), &clock).await;
    let info = support::stored(&blobs, b"content").await;
    let reading = blobs.open(&info.key, ByteRange::Full).await.expect("open");
    blobs.stat(&BlobKey::random()).await.expect_err("unknown");
    let text = shown.render();
    let value = |name: &str, labels: &[&str]| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        let line = line.unwrap_or_else(|| panic!("no {name} with {labels:?} in\n{text}"));
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a number")
    };
    let calls = |operation: &str, outcome: &str| {
        let operation = format!("operation=\"{operation}\"");
        let outcome = format!("outcome=\"{outcome}\"");
        value(
            "riwaq_backend_calls_total{",
            &["backend=\"s3\"", &operation, &outcome],
        )
    };
    // The start tries out conditions that hold and that do not.
    assert!(calls("put_object", "ok") >= 5.0);
    assert!((calls("put_object", "precondition") - 2.0).abs() < 0.1);
    assert!((calls("get_object", "not_found") - 1.0).abs() < 0.1);
    assert!(
        value(
            "riwaq_backend_call_seconds",
            &["_count", "operation=\"put_object\""]
        ) >= 7.0
    );
    assert!((value("riwaq_blobs_s3_running{", &["what=\"read\""]) - 1.0).abs() < 0.1);
    drop(reading);
    assert!(
        shown
            .render()
            .contains("riwaq_blobs_s3_running{what=\"read\"} 0")
    );
    assert!(!text.contains(&server.config.secret_key));
    bucket.remove().await;
}
