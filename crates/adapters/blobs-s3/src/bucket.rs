//! The bucket at start: found or made, tried out, and its rule for unfinished uploads.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
};
use bytes::Bytes;
use tokio::time::Instant;

use crate::OpenError;
use crate::errors::{Kind, Refusal};
use crate::layout::{Layout, fresh_name};
use crate::store::{Condition, Store};

/// How long is waited between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// A tag that no object has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// The region whose buckets are made without saying where (S3's rule).
const FIRST_REGION: &str = "us-east-1";

/// Why the bucket is not ready.
enum NotReady {
    /// Trying again may help.
    Yet(String),
    Ever(OpenError),
}

/// Waits for the server, sees to the bucket, and makes sure that the server keeps what this crate relies on.
pub(crate) async fn make_ready(store: &Store, layout: &Layout) -> Result<(), OpenError> {
    let config = store.config();
    let deadline = Instant::now() + config.startup_timeout();
    loop {
        let why = match try_once(store, layout).await {
            Ok(()) => break,
            Err(NotReady::Ever(error)) => return Err(error),
            Err(NotReady::Yet(why)) => why,
        };
        if Instant::now() >= deadline {
            return Err(OpenError::Unavailable {
                endpoint: config.endpoint.clone(),
                reason: why,
            });
        }
        tracing::warn!(why, "the object storage does not answer, trying again");
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    if config.abort_unfinished_after_days > 0
        && let Err(refusal) = keep_rule(store, layout).await
    {
        tracing::info!(
            why = refusal.text,
            "the bucket has no rule for unfinished uploads of ours; they are swept all the same"
        );
    }
    Ok(())
}

async fn try_once(store: &Store, layout: &Layout) -> Result<(), NotReady> {
    match store.list(layout.root(), None, 1).await {
        Ok(_) => {}
        Err(refusal) if matches!(refusal.kind, Kind::NoSuchBucket | Kind::NotFound) => {
            create(store).await?
        }
        Err(refusal) => return Err(not_ready(store, refusal)),
    }
    try_out(store, layout).await
}

fn not_ready(store: &Store, refusal: Refusal) -> NotReady {
    let endpoint = store.config().endpoint.clone();
    let reason = refusal.text;
    match refusal.kind {
        Kind::Denied => NotReady::Ever(OpenError::Denied { endpoint, reason }),
        Kind::Certificate => NotReady::Ever(OpenError::Certificate { endpoint, reason }),
        Kind::NotImplemented | Kind::Rejected => {
            NotReady::Ever(OpenError::Unsuitable { endpoint, reason })
        }
        _ => NotReady::Yet(reason),
    }
}

async fn create(store: &Store) -> Result<(), NotReady> {
    let config = store.config();
    if !config.create_bucket {
        return Err(NotReady::Ever(OpenError::NoBucket(config.bucket.clone())));
    }
    let place = (config.region != FIRST_REGION).then(|| {
        CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(config.region.as_str()))
            .build()
    });
    let request = store
        .client()
        .create_bucket()
        .bucket(&config.bucket)
        .set_create_bucket_configuration(place);
    let created = store.call("create_bucket", async {
        match request.send().await {
            // Another replica was faster.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            other => other.map(|_| ()),
        }
    });
    created.await.map_err(|refusal| not_ready(store, refusal))?;
    tracing::info!(bucket = config.bucket, "the bucket was made");
    Ok(())
}

/// Writes under conditions that hold and that do not: a server that ignores them would let two writers win.
async fn try_out(store: &Store, layout: &Layout) -> Result<(), NotReady> {
    let name = layout.probe(&fresh_name());
    let put = async |condition: Condition<'_>| {
        store
            .put(&name, Bytes::from_static(b"riwaq"), condition)
            .await
    };
    let etag = put(Condition::Absent)
        .await
        .map_err(|refusal| not_ready(store, refusal))?;
    let mut ignored = None;
    for (condition, what) in [
        (Condition::Absent, "If-None-Match"),
        (Condition::Is(NO_TAG), "If-Match"),
    ] {
        match put(condition).await {
            Ok(_) => ignored = Some(what),
            Err(refusal) if refusal.kind == Kind::Precondition => {}
            Err(refusal) => return Err(not_ready(store, refusal)),
        }
    }
    if ignored.is_none() {
        put(Condition::Is(&etag))
            .await
            .map_err(|refusal| not_ready(store, refusal))?;
    }
    let deleted = store.delete(&name).await;
    deleted.map_err(|error| NotReady::Yet(error.to_string()))?;
    match ignored {
        None => Ok(()),
        Some(header) => Err(NotReady::Ever(OpenError::Unsuitable {
            endpoint: store.config().endpoint.clone(),
            reason: format!("it ignores {header} when an object is written"),
        })),
    }
}

/// Adds our rule to those of the bucket, or changes it; the others stay.
async fn keep_rule(store: &Store, layout: &Layout) -> Result<(), Refusal> {
    let bucket = &store.config().bucket;
    let client = store.client();
    let reading = client.get_bucket_lifecycle_configuration().bucket(bucket);
    let present = store.call("get_lifecycle", async {
        match reading.send().await {
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(None),
            other => other.map(Some),
        }
    });
    let (mut rules, least) = match present.await? {
        Some(present) => (
            present.rules.unwrap_or_default(),
            present.transition_default_minimum_object_size,
        ),
        None => (Vec::new(), None),
    };
    let Some(rule) = rule(store, layout) else {
        return Ok(());
    };
    if rules.contains(&rule) {
        return Ok(());
    }
    rules.retain(|other| other.id() != rule.id());
    rules.push(rule);
    let Ok(rules) = BucketLifecycleConfiguration::builder()
        .set_rules(Some(rules))
        .build()
    else {
        return Ok(());
    };
    let writing = client
        .put_bucket_lifecycle_configuration()
        .bucket(bucket)
        .set_transition_default_minimum_object_size(least)
        .lifecycle_configuration(rules);
    store
        .call("put_lifecycle", writing.send())
        .await
        .map(|_| ())
}

fn rule(store: &Store, layout: &Layout) -> Option<LifecycleRule> {
    let days = i32::try_from(store.config().abort_unfinished_after_days).ok()?;
    let contents = layout.contents();
    LifecycleRule::builder()
        .id(format!("riwaq: unfinished uploads in {contents}"))
        .filter(LifecycleRuleFilter::builder().prefix(contents).build())
        .status(ExpirationStatus::Enabled)
        .abort_incomplete_multipart_upload(
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(days)
                .build(),
        )
        .build()
        .ok()
}
