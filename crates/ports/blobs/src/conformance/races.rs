//! Several writers at once, and writers that were replaced.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;

use super::{
    Stage, Verdict, begun, body, check, check_eq, check_err, content, list_cases, pattern, pieces,
    stored,
};
use crate::{Blobs, BlobsError, ByteRange, ByteStream, Expected, Fence, Upload};

list_cases![
    a_claim_shuts_out_the_writer_before,
    a_claim_stops_an_append_that_is_running,
    of_appends_at_once_one_wins,
    of_appends_at_once_on_two_handles_one_wins,
    an_append_that_is_dropped_leaves_the_upload_usable,
    completions_at_once_make_one_blob,
    a_hundred_uploads_at_once_do_not_mix,
];

/// A body that the test feeds by hand.
fn fed() -> (
    mpsc::UnboundedSender<Result<Bytes, BlobsError>>,
    ByteStream<'static>,
) {
    let (sender, receiver) = mpsc::unbounded();
    (sender, receiver.boxed())
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
