//! Stores that fail now and then: whoever repeats an upload with its key gets one file, whole.

use std::sync::Arc;

use riwaq_aggregates::records::faults::{FaultRates, Faulty};
use riwaq_blobs::{Blobs, ByteRange, FaultPlan, FaultyBlobs};
use serde_json::Value;

use super::support::{Beneath, Form, World, id};

#[tokio::test]
async fn an_upload_that_is_repeated_through_faults_is_one_file() {
    let beneath = Beneath {
        wrap_blobs: Box::new(|blobs| {
            let plan = FaultPlan {
                seed: 11,
                fail_before: 0.05,
                fail_after: 0.05,
                cut_body: 0.1,
                delay: 0.1,
            };
            Arc::new(FaultyBlobs::new(blobs, plan))
        }),
        wrap_records: Box::new(|records| {
            let rates = FaultRates {
                fail_before: 0.03,
                fail_after: 0.03,
                ..FaultRates::default()
            };
            Arc::new(Faulty::new(Arc::new(records), rates, 12))
        }),
        ..Beneath::default()
    };
    let world = World::with(beneath).await;
    let (mut failures, mut ids) = (0, Vec::new());
    for n in 0..40 {
        let bytes = vec![b'a' + n % 26; 10_000 + usize::from(n)];
        let form = Form::new().file("a.txt", "text/plain", &bytes);
        let key = format!("upload-{n}");
        let file: Value = loop {
            let answer = world
                .post(
                    world.teacher,
                    &world.files_path(),
                    &form,
                    &[("idempotency-key", &key)],
                )
                .await;
            if answer.status == 201 {
                break answer.json();
            }
            failures += 1;
            assert!(failures < 2_000, "it never gets through");
            assert!(
                matches!(answer.status.as_u16(), 400 | 409 | 503 | 504),
                "{answer:?}"
            );
            // Whoever was cut off may still hold the key.
            world.clock.advance(std::time::Duration::from_secs(121));
        };
        let stored = world.app.files.load(&id(&file).parse().unwrap()).await;
        let Ok(Some(stored)) = stored else { continue };
        let content = stored.state.current().unwrap();
        let read = world
            .blobs
            .open(&content.blob, ByteRange::Full)
            .await
            .unwrap();
        assert!(
            read.read_to_end(1 << 20).await.unwrap() == bytes,
            "upload {n}"
        );
        assert_eq!(stored.version, 1);
        ids.push(id(&file));
    }
    assert!(failures > 5, "only {failures} faults were met");
    let before = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), before, "two uploads are one file");
}
