//! How uploads end other than by being completed: crashes, aborts, expiry.

use std::time::Duration;

use super::{
    Stage, Verdict, begun, body, check, check_eq, check_err, content, list_cases, pattern,
};
use crate::{Blobs, BlobsError, ByteRange, Expected, Fence, NewUpload, Sha256, Upload, UploadId};

list_cases![
    a_crash_between_append_and_complete_loses_nothing,
    a_crash_after_complete_loses_nothing,
    an_aborted_upload_is_gone,
    an_upload_expires,
    an_upload_that_could_not_live_is_refused,
    unknown_uploads_are_not_found,
];

async fn a_crash_between_append_and_complete_loses_nothing(stage: &mut Stage) -> Verdict {
    let bytes = pattern(200_000, 5);
    let upload = begun(&*stage.blobs()).await?;
    let end = stage
        .blobs()
        .append(&upload.id, upload.fence, 0, body(&bytes[..150_000]))
        .await?;
    stage.fixture.reopen().await;
    let blobs = stage.blobs();
    let late = blobs.append(&upload.id, Fence(0), end, body(b"x")).await;
    check_err!(late, BlobsError::Fenced, "a stale fence after a restart");
    let again = blobs.claim(&upload.id).await?;
    check!(again.fence > upload.fence, "the fence did not rise");
    check_eq!(
        (again.offset, again.max_bytes),
        (end, upload.max_bytes),
        "after the restart"
    );
    check_eq!(again.expires_at, upload.expires_at, "expiry");
    blobs
        .append(&upload.id, again.fence, end, body(&bytes[150_000..]))
        .await?;
    drop(blobs);
    stage.fixture.reopen().await;
    let blobs = stage.blobs();
    // The fence outlives the restart: its holder may go on.
    let info = blobs
        .complete(&upload.id, again.fence, Expected::default())
        .await?;
    check_eq!(info.sha256, Sha256::of(&bytes), "digest");
    check!(
        content(&*blobs, &info, ByteRange::Full).await? == bytes,
        "content"
    );
    Ok(())
}

async fn a_crash_after_complete_loses_nothing(stage: &mut Stage) -> Verdict {
    let bytes = pattern(70_000, 6);
    let upload = begun(&*stage.blobs()).await?;
    stage
        .blobs()
        .append(&upload.id, upload.fence, 0, body(&bytes))
        .await?;
    let info = stage
        .blobs()
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    stage.fixture.reopen().await;
    let blobs = stage.blobs();
    check_eq!(blobs.stat(&info.key).await?, info, "stat");
    check!(
        content(&*blobs, &info, ByteRange::Full).await? == bytes,
        "content"
    );
    let again = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!(again, info, "completing again");
    check_eq!(
        blobs.claim(&upload.id).await?.completed,
        Some(info),
        "claim"
    );
    Ok(())
}

async fn an_aborted_upload_is_gone(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"gone"))
        .await?;
    blobs.abort(&upload.id).await?;
    blobs.abort(&upload.id).await?;
    gone(&*blobs, &upload).await?;
    drop(blobs);
    stage.fixture.reopen().await;
    gone(&*stage.blobs(), &upload).await
}

async fn gone(blobs: &dyn Blobs, upload: &Upload) -> Verdict {
    check_err!(
        blobs.claim(&upload.id).await,
        BlobsError::UploadNotFound,
        "claim"
    );
    let result = blobs.append(&upload.id, upload.fence, 4, body(b"x")).await;
    check_err!(result, BlobsError::UploadNotFound, "append");
    let result = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await;
    check_err!(result, BlobsError::UploadNotFound, "complete");
    check_eq!(blobs.list(None, 10).await?, vec![], "blobs");
    Ok(())
}

async fn an_upload_expires(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let (old, done) = (begun(&*blobs).await?, begun(&*blobs).await?);
    blobs.append(&old.id, old.fence, 0, body(b"old")).await?;
    let info = blobs
        .complete(&done.id, done.fence, Expected::default())
        .await?;
    stage.clock.advance(Duration::from_secs(3_599));
    let young = begun(&*blobs).await?;
    check_eq!(blobs.expire_uploads().await?, 0, "a second too early");
    check_eq!(blobs.claim(&old.id).await?.offset, 3, "a second too early");
    stage.clock.advance(Duration::from_secs(1));
    // Refused by the clock alone, before anybody tidies up.
    check_err!(
        blobs.claim(&old.id).await,
        BlobsError::UploadNotFound,
        "claim"
    );
    check_eq!(blobs.expire_uploads().await?, 1, "removed");
    check_eq!(blobs.expire_uploads().await?, 0, "removed again");
    check_err!(
        blobs.claim(&done.id).await,
        BlobsError::UploadNotFound,
        "claim of a finished one"
    );
    blobs.claim(&young.id).await?;
    check_eq!(
        blobs.list(None, 10).await?,
        vec![info],
        "finished blobs stay"
    );
    drop(blobs);
    stage.fixture.reopen().await;
    let still = stage.blobs().claim(&old.id).await;
    check_err!(still, BlobsError::UploadNotFound, "claim after a restart");
    stage.blobs().claim(&young.id).await?;
    Ok(())
}

async fn an_upload_that_could_not_live_is_refused(stage: &mut Stage) -> Verdict {
    for expires_after in [Duration::ZERO, Duration::MAX] {
        let result = stage
            .blobs()
            .begin(NewUpload {
                max_bytes: 1,
                expires_after,
            })
            .await;
        check_err!(
            result,
            BlobsError::InvalidInput {
                field: "expires_after",
                ..
            },
            "{expires_after:?}"
        );
    }
    Ok(())
}

async fn unknown_uploads_are_not_found(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let unknown = UploadId::random();
    check_err!(
        blobs.claim(&unknown).await,
        BlobsError::UploadNotFound,
        "claim"
    );
    let result = blobs.append(&unknown, Fence(1), 0, body(b"x")).await;
    check_err!(result, BlobsError::UploadNotFound, "append");
    let result = blobs
        .complete(&unknown, Fence(1), Expected::default())
        .await;
    check_err!(result, BlobsError::UploadNotFound, "complete");
    blobs.abort(&unknown).await?;
    Ok(())
}
