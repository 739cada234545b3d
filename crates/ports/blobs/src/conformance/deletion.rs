//! Mark and sweep, and its grace.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use riwaq_clock::Clock;

use super::{Stage, Verdict, begun, body, check, check_eq, check_err, list_cases, pattern, stored};
use crate::{
    BlobKey, BlobsError, ByteRange, DELETE_GRACE, Expected, Liveness, SweepReport, mark_and_sweep,
};

list_cases![
    a_blob_is_deleted_only_after_its_grace,
    a_mark_survives_a_crash_and_keeps_its_time,
    a_read_that_began_is_whole_or_fails_when_its_blob_is_deleted,
    deletions_at_once_delete_once,
    a_sweep_takes_what_nobody_refers_to,
    an_owner_in_doubt_stops_the_sweep,
    a_deleted_blob_is_not_completed_again,
];

async fn a_blob_is_deleted_only_after_its_grace(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let info = stored(&*blobs, b"doomed").await?;
    stage.clock.advance(DELETE_GRACE * 2);
    let early = blobs.delete(&info.key).await;
    check_err!(
        early,
        BlobsError::InGrace { until: None },
        "without a mark, however old"
    );
    blobs.mark(&info.key).await?;
    stage.clock.advance(DELETE_GRACE - Duration::from_secs(1));
    let early = blobs.delete(&info.key).await;
    check_err!(
        early,
        BlobsError::InGrace { until: Some(_) },
        "a second too early"
    );
    blobs.open(&info.key, ByteRange::Full).await?;
    blobs.unmark(&info.key).await?;
    check_eq!(blobs.stat(&info.key).await?.marked_at, None, "unmarked");
    blobs.unmark(&info.key).await?;
    blobs.mark(&info.key).await?;
    stage.clock.advance(Duration::from_secs(1));
    let early = blobs.delete(&info.key).await;
    check_err!(
        early,
        BlobsError::InGrace { until: Some(_) },
        "the grace starts again"
    );
    stage.clock.advance(DELETE_GRACE);
    check!(blobs.delete(&info.key).await?, "it was there");
    check!(!blobs.delete(&info.key).await?, "it was there twice");
    check_err!(
        blobs.stat(&info.key).await,
        BlobsError::BlobNotFound,
        "stat"
    );
    check_err!(
        blobs.open(&info.key, ByteRange::Full).await,
        BlobsError::BlobNotFound,
        "open"
    );
    check_eq!(blobs.list(None, 10).await?, vec![], "list");
    Ok(())
}

async fn a_mark_survives_a_crash_and_keeps_its_time(stage: &mut Stage) -> Verdict {
    let info = stored(&*stage.blobs(), b"doomed").await?;
    let at = stage.clock.now();
    stage.blobs().mark(&info.key).await?;
    stage.clock.advance(Duration::from_secs(3_600));
    stage.fixture.reopen().await;
    let blobs = stage.blobs();
    blobs.mark(&info.key).await?;
    check_eq!(
        blobs.stat(&info.key).await?.marked_at,
        Some(at),
        "the first mark counts"
    );
    stage
        .clock
        .advance(DELETE_GRACE - Duration::from_secs(3_600));
    check!(blobs.delete(&info.key).await?, "it was there");
    drop(blobs);
    stage.fixture.reopen().await;
    let after = stage.blobs().stat(&info.key).await;
    check_err!(after, BlobsError::BlobNotFound, "after a restart");
    Ok(())
}

async fn a_read_that_began_is_whole_or_fails_when_its_blob_is_deleted(
    stage: &mut Stage,
) -> Verdict {
    let blobs = stage.blobs();
    let bytes = pattern(1_000_000, 21);
    let info = stored(&*blobs, &bytes).await?;
    let mut stream = blobs.open(&info.key, ByteRange::Full).await?.into_stream();
    let mut read = stream.try_next().await?.unwrap_or_default().to_vec();
    blobs.mark(&info.key).await?;
    stage.clock.advance(DELETE_GRACE);
    blobs.delete(&info.key).await?;
    loop {
        match stream.try_next().await {
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => break,
            Err(BlobsError::Unavailable(_)) => {
                check!(bytes.starts_with(&read), "other bytes");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    check!(read == bytes, "the read was cut");
    Ok(())
}

async fn deletions_at_once_delete_once(stage: &mut Stage) -> Verdict {
    let (blobs, other) = (stage.blobs(), stage.fixture.second().await);
    let info = stored(&*blobs, b"doomed").await?;
    blobs.mark(&info.key).await?;
    stage.clock.advance(DELETE_GRACE);
    let results = futures::future::join_all((0..8).map(|n| {
        let blobs = if n % 2 == 0 { &blobs } else { &other };
        blobs.delete(&info.key)
    }))
    .await;
    let deleted = results
        .iter()
        .filter(|result| matches!(result, Ok(true)))
        .count();
    check_eq!(deleted, 1, "deletions in {results:?}");
    check!(
        results.iter().all(Result::is_ok),
        "a deletion failed: {results:?}"
    );
    Ok(())
}

/// An owner that refers to a set of keys.
#[derive(Default)]
struct Owner {
    refers_to: Mutex<HashSet<BlobKey>>,
    in_doubt: bool,
}

impl Owner {
    fn with<T>(&self, change: impl FnOnce(&mut HashSet<BlobKey>) -> T) -> T {
        change(
            &mut self
                .refers_to
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

#[async_trait]
impl Liveness for Owner {
    async fn live(&self, keys: &[BlobKey]) -> Result<HashSet<BlobKey>, BlobsError> {
        if self.in_doubt {
            return Err(BlobsError::Unavailable("the owner cannot be asked".into()));
        }
        Ok(self.with(|set| {
            keys.iter()
                .filter(|key| set.contains(key))
                .copied()
                .collect()
        }))
    }
}

async fn a_sweep_takes_what_nobody_refers_to(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let owner = Owner::default();
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(stored(&*blobs, &pattern(n, 22)).await?.key);
    }
    // Four are kept, one is referred to late, two are orphans; an upload is still running.
    owner.with(|set| set.extend(&made[..4]));
    let running = begun(&*blobs).await?;
    blobs
        .append(&running.id, running.fence, 0, body(b"running"))
        .await?;
    let first = mark_and_sweep(&*blobs, &owner, 2).await?;
    check_eq!(
        first,
        SweepReport {
            seen: 7,
            marked: 3,
            ..SweepReport::default()
        },
        "first"
    );
    owner.with(|set| set.insert(made[4]));
    stage.clock.advance(DELETE_GRACE - Duration::from_secs(1));
    let second = mark_and_sweep(&*blobs, &owner, 3).await?;
    check_eq!(
        second,
        SweepReport {
            seen: 7,
            unmarked: 1,
            ..SweepReport::default()
        },
        "second"
    );
    stage.clock.advance(Duration::from_secs(1));
    let third = mark_and_sweep(&*blobs, &owner, 100).await?;
    check_eq!(
        third,
        SweepReport {
            seen: 7,
            deleted: 2,
            ..SweepReport::default()
        },
        "third"
    );
    let mut left: Vec<BlobKey> = blobs
        .list(None, 100)
        .await?
        .iter()
        .map(|info| info.key)
        .collect();
    let mut kept = made[..5].to_vec();
    left.sort_unstable();
    kept.sort_unstable();
    check_eq!(left, kept, "what is left");
    Ok(())
}

async fn an_owner_in_doubt_stops_the_sweep(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let info = stored(&*blobs, b"kept").await?;
    let owner = Owner {
        in_doubt: true,
        ..Owner::default()
    };
    let result = mark_and_sweep(&*blobs, &owner, 10).await;
    check_err!(result, BlobsError::Unavailable(_), "the sweep");
    check_eq!(
        blobs.stat(&info.key).await?.marked_at,
        None,
        "nothing was marked"
    );
    Ok(())
}

async fn a_deleted_blob_is_not_completed_again(stage: &mut Stage) -> Verdict {
    let blobs = stage.blobs();
    let week = crate::NewUpload {
        max_bytes: 10,
        expires_after: DELETE_GRACE * 7,
    };
    let upload = blobs.begin(week).await?;
    let info = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await?;
    blobs.mark(&info.key).await?;
    stage.clock.advance(DELETE_GRACE);
    check!(blobs.delete(&info.key).await?, "it was there");
    let again = blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await;
    check_err!(
        again,
        BlobsError::UploadNotFound,
        "completing a deleted blob"
    );
    check_err!(
        blobs.claim(&upload.id).await,
        BlobsError::UploadNotFound,
        "claiming it"
    );
    Ok(())
}
