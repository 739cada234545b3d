//! Staged uploads: offsets, fences, races, crashes, limits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;

use super::{
    MIB, Stage, Verdict, begun, body, check, check_eq, check_err, content, list_cases, new_upload,
    pattern, pieces, stored,
};
use crate::{
    Blobs, BlobsError, ByteRange, ByteStream, Expected, Fence, NewUpload, Sha256, Sha256Hasher,
    Upload, UploadId,
};

list_cases![
    an_upload_in_parts_becomes_one_blob,
    an_empty_upload_becomes_an_empty_blob,
    pieces_of_any_size_arrive_in_order,
    a_large_blob_keeps_every_byte,
    an_append_elsewhere_than_at_the_end_is_refused,
    a_claim_shuts_out_the_writer_before,
    a_claim_stops_an_append_that_is_running,
    of_appends_at_once_one_wins,
    of_appends_at_once_on_two_handles_one_wins,
    an_append_that_is_dropped_leaves_the_upload_usable,
    a_body_that_breaks_off_keeps_what_came,
    bytes_beyond_the_limit_are_refused,
    a_crash_between_append_and_complete_loses_nothing,
    a_crash_after_complete_loses_nothing,
    a_wrong_digest_or_size_makes_no_blob,
    completing_again_gives_the_same_blob,
    a_complete_upload_takes_no_more_bytes,
    completions_at_once_make_one_blob,
    an_aborted_upload_is_gone,
    an_upload_expires,
    an_upload_that_could_not_live_is_refused,
    unknown_uploads_are_not_found,
    a_hundred_uploads_at_once_do_not_mix,
];

async fn an_upload_in_parts_becomes_one_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(10_000, 1);
    let upload = begun(&*blobs).await?;
    check_eq!(upload.offset, 0, "a new upload");
    check_eq!(upload.completed, None, "a new upload");
    let mut offset = 0;
    for part in bytes.chunks(3_333) {
        offset = blobs
            .append(&upload.id, upload.fence, offset, body(part))
            .await?;
    }
    check_eq!(offset, 10_000, "the durable offset");
    check_eq!(
        blobs.list(None, 10).await?,
        vec![],
        "nothing is visible before completion"
    );
    let sha256 = Sha256::of(&bytes);
    let expected = Expected {
        size: Some(10_000),
        sha256: Some(sha256),
    };
    let info = blobs.complete(&upload.id, upload.fence, expected).await?;
    check_eq!(
        (info.size, info.sha256, info.marked_at),
        (10_000, sha256, None),
        "the blob"
    );
    check_eq!(blobs.stat(&info.key).await?, info, "stat");
    check!(
        info.key.to_string() != upload.id.to_string(),
        "the upload's name tells the key"
    );
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        bytes,
        "content"
    );
    Ok(())
}

async fn an_empty_upload_becomes_an_empty_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!((info.size, info.sha256), (0, Sha256::of(b"")), "the blob");
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        Bytes::new(),
        "content"
    );
    let upload = begun(&*blobs).await?;
    let end = blobs.append(&upload.id, upload.fence, 0, body(b"")).await?;
    check_eq!(end, 0, "an empty append");
    check_eq!(
        blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?
            .size,
        0,
        "size"
    );
    Ok(())
}

async fn pieces_of_any_size_arrive_in_order(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(300_000, 2);
    for size in [1, 511, 65_536, 300_000] {
        let upload = begun(&*blobs).await?;
        let part = if size == 1 {
            &bytes[..2_000]
        } else {
            &bytes[..]
        };
        let with_gaps = pieces(part, size)
            .flat_map(|piece| futures::stream::iter([Ok(Bytes::new()), piece, Ok(Bytes::new())]));
        blobs
            .append(&upload.id, upload.fence, 0, with_gaps.boxed())
            .await?;
        let info = blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?;
        check!(
            content(&*blobs, &info, ByteRange::Full).await? == part,
            "pieces of {size} bytes"
        );
    }
    Ok(())
}

async fn a_large_blob_keeps_every_byte(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(32 * MIB as usize + 17, 3);
    let info = stored(&*blobs, &bytes).await?;
    check_eq!(info.size, bytes.len() as u64, "size");
    check_eq!(info.sha256, Sha256::of(&bytes), "digest");
    let mut stream = blobs.open(&info.key, ByteRange::Full).await?.into_stream();
    let mut hasher = Sha256Hasher::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        check!(
            piece.len() as u64 <= MIB,
            "a piece of {} bytes",
            piece.len()
        );
        hasher.update(&piece);
    }
    check_eq!(hasher.finish(), info.sha256, "digest of what was read");
    Ok(())
}

async fn an_append_elsewhere_than_at_the_end_is_refused(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"0123456789"))
        .await?;
    for offset in [0, 9, 11, u64::MAX] {
        let result = blobs
            .append(&upload.id, upload.fence, offset, body(b"x"))
            .await;
        check_err!(
            result,
            BlobsError::OffsetMismatch { durable: 10 },
            "append at {offset}"
        );
    }
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "0123456789",
        "content"
    );
    Ok(())
}

async fn a_claim_shuts_out_the_writer_before(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let other = stage.fixture.second().await;
    let first = begun(&*blobs).await?;
    blobs
        .append(&first.id, first.fence, 0, body(b"one "))
        .await?;
    let second = other.claim(&first.id).await?;
    check!(second.fence > first.fence, "the fence did not rise");
    check_eq!(second.offset, 4, "what the new writer finds");
    let late = blobs.append(&first.id, first.fence, 4, body(b"bad")).await;
    check_err!(late, BlobsError::Fenced, "append of the writer before");
    let late = blobs
        .complete(&first.id, first.fence, Expected::default())
        .await;
    check_err!(late, BlobsError::Fenced, "complete of the writer before");
    let early = blobs
        .append(&first.id, Fence(second.fence.0 + 1), 4, body(b"bad"))
        .await;
    check_err!(early, BlobsError::Fenced, "a fence that was never given");
    other
        .append(&first.id, second.fence, 4, body(b"two"))
        .await?;
    let info = other
        .complete(&first.id, second.fence, Expected::default())
        .await?;
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "one two",
        "content"
    );
    Ok(())
}

/// A body that the test feeds by hand.
fn fed() -> (
    mpsc::UnboundedSender<Result<Bytes, BlobsError>>,
    ByteStream<'static>,
) {
    let (sender, receiver) = mpsc::unbounded();
    (sender, receiver.boxed())
}

async fn a_claim_stops_an_append_that_is_running(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let other = stage.fixture.second().await;
    let first = begun(&*blobs).await?;
    let (feed, half_open) = fed();
    let _ = feed.unbounded_send(Ok(Bytes::from_static(b"first")));
    let running = blobs.append(&first.id, first.fence, 0, half_open);
    let taking_over = async {
        // Once the append runs, another of the same fence is refused; only then is it half-open.
        loop {
            let probe = other
                .append(&first.id, first.fence, u64::MAX, body(b""))
                .await;
            if matches!(probe, Err(BlobsError::Busy)) {
                break;
            }
            tokio::task::yield_now().await;
        }
        let second = other.claim(&first.id).await?;
        other
            .append(&first.id, second.fence, second.offset, body(b"!second"))
            .await?;
        let _ = feed.unbounded_send(Ok(Bytes::from_static(b"never")));
        drop(feed);
        Ok::<Upload, BlobsError>(second)
    };
    let (late, second) = futures::join!(running, taking_over);
    let second = second?;
    check_err!(
        late,
        BlobsError::Fenced,
        "the append of the half-open writer"
    );
    let info = other
        .complete(&first.id, second.fence, Expected::default())
        .await?;
    let bytes = content(&*blobs, &info, ByteRange::Full).await?;
    let kept = usize::try_from(second.offset).unwrap_or(usize::MAX);
    check_eq!(bytes, [&b"first"[..kept], b"!second"].concat(), "content");
    Ok(())
}

async fn race(one: Arc<dyn Blobs>, two: Arc<dyn Blobs>) -> Verdict {
    for round in 0..20_u8 {
        let upload = begun(&*one).await?;
        let append = |n: u8| {
            let blobs = if n.is_multiple_of(2) { &one } else { &two };
            // A body that takes turns, so that the appends really overlap.
            let slow = pieces(&[n; 40], 10).then(|piece| async {
                tokio::task::yield_now().await;
                piece
            });
            blobs.append(&upload.id, upload.fence, 0, slow.boxed())
        };
        let results = futures::future::join_all((0..6).map(append)).await;
        let winners: Vec<u8> = (0..6)
            .filter(|n| results[usize::from(*n)].is_ok())
            .collect();
        check_eq!(winners.len(), 1, "winners in round {round} of {results:?}");
        for lost in results.iter().filter_map(|result| result.as_ref().err()) {
            let expected = matches!(lost, BlobsError::Busy | BlobsError::OffsetMismatch { .. });
            check!(expected, "a loser got {lost:?}");
        }
        let info = one
            .complete(&upload.id, upload.fence, Expected::default())
            .await?;
        check_eq!(
            content(&*two, &info, ByteRange::Full).await?,
            vec![winners[0]; 40],
            "content"
        );
    }
    Ok(())
}

async fn of_appends_at_once_one_wins(stage: &mut Stage) -> Verdict {
    race(stage.blobs(), stage.blobs()).await
}

async fn of_appends_at_once_on_two_handles_one_wins(stage: &mut Stage) -> Verdict {
    race(stage.blobs(), stage.fixture.second().await).await
}

async fn an_append_that_is_dropped_leaves_the_upload_usable(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    let (feed, half_open) = fed();
    let _ = feed.unbounded_send(Ok(Bytes::from_static(b"some")));
    {
        let mut running = blobs.append(&upload.id, upload.fence, 0, half_open);
        for _ in 0..50 {
            let polled = futures::poll!(running.as_mut());
            check!(polled.is_pending(), "an append ended before its body");
            tokio::task::yield_now().await;
        }
    }
    let again = blobs.claim(&upload.id).await?;
    check!(
        again.offset == 0 || again.offset == 4,
        "offset {}",
        again.offset
    );
    let rest = &b"some more"[usize::try_from(again.offset).unwrap_or(0)..];
    blobs
        .append(&upload.id, again.fence, again.offset, body(rest))
        .await?;
    let info = blobs
        .complete(&upload.id, again.fence, Expected::default())
        .await?;
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "some more",
        "content"
    );
    Ok(())
}

async fn a_body_that_breaks_off_keeps_what_came(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    let gone = futures::stream::iter([Err(BlobsError::Body("gone".into()))]);
    let broken = body(&pattern(5_000, 4)).chain(gone).boxed();
    let result = blobs.append(&upload.id, upload.fence, 0, broken).await;
    check_err!(result, BlobsError::Body(_), "a body that breaks off");
    let again = blobs.claim(&upload.id).await?;
    check_eq!(again.offset, 5_000, "what came");
    let rest = &pattern(8_000, 4)[5_000..];
    blobs
        .append(&upload.id, again.fence, 5_000, body(rest))
        .await?;
    let info = blobs
        .complete(&upload.id, again.fence, Expected::default())
        .await?;
    check_eq!(info.sha256, Sha256::of(&pattern(8_000, 4)), "digest");
    Ok(())
}

async fn bytes_beyond_the_limit_are_refused(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let exact = blobs.begin(new_upload(1_000)).await?;
    check_eq!(
        blobs
            .append(&exact.id, exact.fence, 0, body(&[7; 1_000]))
            .await?,
        1_000,
        "end"
    );
    let more = blobs
        .append(&exact.id, exact.fence, 1_000, body(&[7]))
        .await;
    check_err!(
        more,
        BlobsError::TooLarge { max_bytes: 1_000 },
        "one byte more"
    );
    check_eq!(
        blobs
            .complete(&exact.id, exact.fence, Expected::default())
            .await?
            .size,
        1_000,
        "size"
    );
    let over = blobs.begin(new_upload(1_000)).await?;
    let result = blobs
        .append(&over.id, over.fence, 0, pieces(&[7; 5_000], 300))
        .await;
    check_err!(
        result,
        BlobsError::TooLarge { max_bytes: 1_000 },
        "too many bytes"
    );
    check!(
        blobs.claim(&over.id).await?.offset <= 1_000,
        "more was kept than allowed"
    );
    Ok(())
}

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

async fn a_wrong_digest_or_size_makes_no_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"content"))
        .await?;
    let wrong = Expected {
        sha256: Some(Sha256::of(b"other")),
        size: None,
    };
    let result = blobs.complete(&upload.id, upload.fence, wrong).await;
    check_err!(
        result,
        BlobsError::Mismatch {
            field: "sha256",
            ..
        },
        "a wrong digest"
    );
    let wrong = Expected {
        sha256: None,
        size: Some(8),
    };
    let result = blobs.complete(&upload.id, upload.fence, wrong).await;
    check_err!(
        result,
        BlobsError::Mismatch { field: "size", .. },
        "a wrong size"
    );
    check_eq!(blobs.list(None, 10).await?, vec![], "blobs");
    let right = Expected {
        sha256: Some(Sha256::of(b"content")),
        size: Some(7),
    };
    blobs.complete(&upload.id, upload.fence, right).await?;
    Ok(())
}

async fn completing_again_gives_the_same_blob(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"once"))
        .await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    stage.clock.advance(Duration::from_secs(60));
    check_eq!(
        blobs
            .complete(&upload.id, upload.fence, Expected::default())
            .await?,
        info,
        "again"
    );
    check_eq!(blobs.list(None, 10).await?, vec![info], "blobs");
    Ok(())
}

async fn a_complete_upload_takes_no_more_bytes(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(b"whole"))
        .await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    let more = blobs
        .append(&upload.id, upload.fence, 5, body(b"more"))
        .await;
    check_err!(more, BlobsError::AlreadyComplete, "append");
    check_err!(
        blobs.abort(&upload.id).await,
        BlobsError::AlreadyComplete,
        "abort"
    );
    let claimed = blobs.claim(&upload.id).await?;
    check_eq!(
        (claimed.offset, claimed.completed),
        (5, Some(info.clone())),
        "claim"
    );
    let more = blobs
        .append(&upload.id, claimed.fence, 5, body(b"more"))
        .await;
    check_err!(more, BlobsError::AlreadyComplete, "append after a claim");
    check_eq!(
        content(&*blobs, &info, ByteRange::Full).await?,
        "whole",
        "content"
    );
    Ok(())
}

async fn completions_at_once_make_one_blob(stage: &mut Stage) -> Verdict {
    let (blobs, other) = (stage.blobs(), stage.fixture.second().await);
    let upload = begun(&*blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, body(&pattern(100_000, 7)))
        .await?;
    let complete = |n: u8| {
        let blobs = if n.is_multiple_of(2) { &blobs } else { &other };
        blobs.complete(&upload.id, upload.fence, Expected::default())
    };
    let results = futures::future::join_all((0..8).map(complete)).await;
    let stored = blobs.list(None, 10).await?;
    check_eq!(stored.len(), 1, "blobs after {results:?}");
    for result in results {
        match result {
            Ok(info) => check_eq!(info, stored[0], "what a completion gave"),
            Err(error) => check!(error.is_retryable(), "a completion got {error:?}"),
        }
    }
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

async fn a_hundred_uploads_at_once_do_not_mix(stage: &mut Stage) -> Verdict {
    let (blobs, other) = (stage.blobs(), stage.fixture.second().await);
    let one = |n: u32| {
        let blobs = if n.is_multiple_of(2) { &blobs } else { &other };
        async move { stored(&**blobs, &pattern(20_000 + n as usize, n)).await }
    };
    let results = futures::future::join_all((0..100).map(one)).await;
    for (n, result) in (0..100).zip(results) {
        let info = result?;
        let bytes = content(&*blobs, &info, ByteRange::Full).await?;
        check!(bytes == pattern(20_000 + n as usize, n), "upload {n}");
    }
    Ok(())
}
