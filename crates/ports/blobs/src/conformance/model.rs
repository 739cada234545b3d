//! Random runs: the store under test must answer as the memory version does.

use std::time::Duration;

use futures::StreamExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Failure, Stage, Verdict, check_eq, list_cases, pattern, pieces};
use crate::{
    BlobKey, Blobs, BlobsError, ByteRange, DELETE_GRACE, Expected, Fence, MemoryBlobs, NewUpload,
    Sha256, UploadId,
};

list_cases![random_runs_agree_with_memory];

const RUNS: u32 = 12;
const STEPS: usize = 60;

/// One step. Numbers name what earlier steps made, counted modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Begin {
        max_bytes: u64,
    },
    Claim {
        upload: usize,
    },
    Append {
        upload: usize,
        fence_back: u64,
        offset: Offset,
        bytes: usize,
        piece: usize,
        breaks: bool,
    },
    Complete {
        upload: usize,
        fence_back: u64,
        size: Option<u64>,
        right_digest: bool,
    },
    Abort {
        upload: usize,
    },
    Expire,
    Open {
        blob: usize,
        range: ByteRange,
    },
    Stat {
        blob: usize,
    },
    List {
        limit: usize,
    },
    Mark {
        blob: usize,
    },
    Unmark {
        blob: usize,
    },
    Delete {
        blob: usize,
    },
    Advance {
        seconds: u64,
    },
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum Offset {
    Right,
    Wrong(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..1_000_usize;
    let fence_back = prop_oneof![6 => Just(0_u64), 1 => Just(1)];
    let offset = prop_oneof![6 => Just(Offset::Right), 1 => (0..3_000_u64).prop_map(Offset::Wrong)];
    let range = prop_oneof![
        Just(ByteRange::Full),
        (0..3_000_u64).prop_map(ByteRange::From),
        (0..3_000_u64, 0..3_000_u64).prop_map(|(a, b)| ByteRange::Span(a, b)),
        (0..3_000_u64).prop_map(ByteRange::Suffix),
    ];
    let seconds = prop_oneof![4 => 0..500_u64, 1 => Just(DELETE_GRACE.as_secs())];
    prop_oneof![
        4 => (0..4_000_u64).prop_map(|max_bytes| Step::Begin { max_bytes }),
        2 => any.clone().prop_map(|upload| Step::Claim { upload }),
        8 => (any.clone(), fence_back.clone(), offset, 0..2_000_usize, 1..700_usize, prop::bool::weighted(0.1)).prop_map(
            |(upload, fence_back, offset, bytes, piece, breaks)| Step::Append {
                upload, fence_back, offset, bytes, piece, breaks
            }
        ),
        5 => (any.clone(), fence_back, prop::option::weighted(0.1, 0..3_000_u64), prop::bool::weighted(0.9)).prop_map(
            |(upload, fence_back, size, right_digest)| Step::Complete { upload, fence_back, size, right_digest }
        ),
        1 => any.clone().prop_map(|upload| Step::Abort { upload }),
        1 => Just(Step::Expire),
        4 => (any.clone(), range).prop_map(|(blob, range)| Step::Open { blob, range }),
        2 => any.clone().prop_map(|blob| Step::Stat { blob }),
        1 => (1..20_usize).prop_map(|limit| Step::List { limit }),
        2 => any.clone().prop_map(|blob| Step::Mark { blob }),
        1 => any.clone().prop_map(|blob| Step::Unmark { blob }),
        2 => any.prop_map(|blob| Step::Delete { blob }),
        2 => seconds.prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Reopen),
    ]
}

async fn random_runs_agree_with_memory(stage: &mut Stage) -> Verdict {
    for (run, steps) in random_runs()?.iter().enumerate() {
        let outcome = one_run(stage, steps).await;
        outcome.map_err(|Failure(why)| Failure(format!("run {run} of {steps:?}: {why}")))?;
    }
    Ok(())
}

/// The same runs every time: the seed is fixed.
fn random_runs() -> Result<Vec<Vec<Step>>, Failure> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let steps = prop::collection::vec(step(), STEPS);
    let made = (0..RUNS).map(|_| steps.new_tree(&mut runner).map(|tree| tree.current()));
    made.collect::<Result<_, _>>()
        .map_err(|why| Failure(format!("no steps could be made: {why}")))
}

/// What both sides made so far: pairs of (name there, name in the model).
#[derive(Default)]
struct Made {
    uploads: Vec<(UploadId, UploadId, Fence)>,
    blobs: Vec<(BlobKey, BlobKey)>,
}

async fn one_run(stage: &mut Stage, steps: &[Step]) -> Verdict {
    // Blobs of the run before stay in the store under test, so lists are compared by what this run made.
    let mut model = MemoryBlobs::new(stage.clock.clone());
    let mut made = Made::default();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Advance { seconds } => stage.clock.advance(Duration::from_secs(*seconds)),
            Step::Reopen => {
                stage.fixture.reopen().await;
                model = model.reopened();
            }
            step => {
                let subject = stage.blobs();
                let sides = both(&*subject, &model, step, &mut made).await;
                check_eq!(sides.0, sides.1, "step {number} {step:?}");
            }
        }
    }
    let subject = stage.blobs();
    for (there, here) in &made.blobs {
        let sides = (
            seen(read(&*subject, *there, ByteRange::Full).await),
            seen(read(&model, *here, ByteRange::Full).await),
        );
        check_eq!(sides.0, sides.1, "a blob at the end");
    }
    Ok(())
}

/// An outcome without what is random about it.
fn seen<T: std::fmt::Debug>(result: Result<T, BlobsError>) -> String {
    match result {
        Err(BlobsError::Body(_)) => "Err(Body)".into(),
        other => format!("{other:?}"),
    }
}

async fn read(
    blobs: &dyn Blobs,
    key: BlobKey,
    range: ByteRange,
) -> Result<(u64, Sha256), BlobsError> {
    let content = blobs.open(&key, range).await?;
    let start = content.range.start;
    Ok((start, Sha256::of(&content.read_to_end(10_000).await?)))
}

async fn both(
    subject: &dyn Blobs,
    model: &MemoryBlobs,
    step: &Step,
    made: &mut Made,
) -> (String, String) {
    match step {
        Step::Begin { .. }
        | Step::Claim { .. }
        | Step::Append { .. }
        | Step::Complete { .. }
        | Step::Abort { .. }
        | Step::Expire => upload_step(subject, model, step, made).await,
        _ => blob_step(subject, model, step, made).await,
    }
}

async fn upload_step(
    subject: &dyn Blobs,
    model: &MemoryBlobs,
    step: &Step,
    made: &mut Made,
) -> (String, String) {
    if let Step::Begin { max_bytes } = step {
        let new = NewUpload {
            max_bytes: *max_bytes,
            expires_after: Duration::from_secs(5_000),
        };
        return match (subject.begin(new).await, model.begin(new).await) {
            (Ok(there), Ok(here)) => {
                made.uploads.push((there.id, here.id, there.fence));
                (
                    format!("{:?}", there.expires_at),
                    format!("{:?}", here.expires_at),
                )
            }
            (there, here) => (seen(there), seen(here)),
        };
    }
    if matches!(step, Step::Expire) {
        // Uploads of earlier runs may expire with these: only that it works is compared.
        return (
            subject.expire_uploads().await.is_ok().to_string(),
            model.expire_uploads().await.is_ok().to_string(),
        );
    }
    let count = made.uploads.len();
    let (Step::Claim { upload }
    | Step::Append { upload, .. }
    | Step::Complete { upload, .. }
    | Step::Abort { upload }) = step
    else {
        return Default::default();
    };
    let Some((there, here, newest)) = upload.checked_rem(count).map(|at| &mut made.uploads[at])
    else {
        return Default::default();
    };
    match step {
        Step::Claim { .. } => {
            let (a, b) = (subject.claim(there).await, model.claim(here).await);
            if let Ok(claimed) = &a {
                *newest = claimed.fence;
            }
            let known = |r: Result<crate::Upload, BlobsError>| {
                seen(r.map(|u| {
                    (
                        u.fence,
                        u.offset,
                        u.max_bytes,
                        u.expires_at,
                        u.completed.map(|b| b.sha256),
                    )
                }))
            };
            (known(a), known(b))
        }
        Step::Append {
            fence_back,
            offset,
            bytes,
            piece,
            breaks,
            ..
        } => {
            let fence = Fence(newest.0.saturating_sub(*fence_back));
            let at = match offset {
                Offset::Wrong(at) => *at,
                Offset::Right => end_of(model, here, *newest).await,
            };
            let content = pattern(*bytes, newest.0 as u32);
            let body = || {
                let gone = breaks.then(|| Err(BlobsError::Body("gone".into())));
                pieces(&content, *piece)
                    .chain(futures::stream::iter(gone))
                    .boxed()
            };
            (
                seen(subject.append(there, fence, at, body()).await),
                seen(model.append(here, fence, at, body()).await),
            )
        }
        Step::Complete {
            fence_back,
            size,
            right_digest,
            ..
        } => {
            let fence = Fence(newest.0.saturating_sub(*fence_back));
            let sha256 = (!right_digest).then(|| Sha256::of(b"something else"));
            let expected = Expected {
                size: *size,
                sha256,
            };
            let (a, b) = (
                subject.complete(there, fence, expected).await,
                model.complete(here, fence, expected).await,
            );
            if let (Ok(a), Ok(b)) = (&a, &b)
                && !made.blobs.contains(&(a.key, b.key))
            {
                made.blobs.push((a.key, b.key));
            }
            let known = |r: Result<crate::BlobInfo, BlobsError>| {
                seen(r.map(|i| (i.size, i.sha256, i.marked_at)))
            };
            (known(a), known(b))
        }
        _ => (
            seen(subject.abort(there).await),
            seen(model.abort(here).await),
        ),
    }
}

/// Where the upload ends, found without changing it: an append far beyond the end is refused with the offset.
async fn end_of(model: &MemoryBlobs, id: &UploadId, fence: Fence) -> u64 {
    match model
        .append(id, fence, u64::MAX, futures::stream::empty().boxed())
        .await
    {
        Err(BlobsError::OffsetMismatch { durable }) => durable,
        _ => 0,
    }
}

async fn blob_step(
    subject: &dyn Blobs,
    model: &MemoryBlobs,
    step: &Step,
    made: &Made,
) -> (String, String) {
    if let Step::List { limit } = step {
        // Keys are random on either side, so the order of pages differs: sizes of the whole are compared.
        let sizes = |list: Vec<crate::BlobInfo>, mine: &dyn Fn(&BlobKey) -> bool| {
            let mut sizes: Vec<_> = list
                .iter()
                .filter(|i| mine(&i.key))
                .map(|i| (i.size, i.sha256.to_string()))
                .collect();
            sizes.sort();
            format!("{sizes:?}")
        };
        let there = all(subject, *limit)
            .await
            .map(|l| sizes(l, &|k| made.blobs.iter().any(|(t, _)| t == k)));
        let here = all(model, *limit)
            .await
            .map(|l| sizes(l, &|k| made.blobs.iter().any(|(_, h)| h == k)));
        return (seen(there), seen(here));
    }
    let (Step::Open { blob, .. }
    | Step::Stat { blob }
    | Step::Mark { blob }
    | Step::Unmark { blob }
    | Step::Delete { blob }) = step
    else {
        return Default::default();
    };
    let Some((there, here)) = blob.checked_rem(made.blobs.len()).map(|at| made.blobs[at]) else {
        return Default::default();
    };
    match step {
        Step::Open { range, .. } => (
            seen(read(subject, there, *range).await),
            seen(read(model, here, *range).await),
        ),
        Step::Stat { .. } => {
            let known = |r: Result<crate::BlobInfo, BlobsError>| {
                seen(r.map(|i| (i.size, i.sha256, i.created_at, i.marked_at)))
            };
            (
                known(subject.stat(&there).await),
                known(model.stat(&here).await),
            )
        }
        Step::Mark { .. } => (
            seen(subject.mark(&there).await),
            seen(model.mark(&here).await),
        ),
        Step::Unmark { .. } => (
            seen(subject.unmark(&there).await),
            seen(model.unmark(&here).await),
        ),
        _ => (
            seen(subject.delete(&there).await),
            seen(model.delete(&here).await),
        ),
    }
}

async fn all(blobs: &dyn Blobs, limit: usize) -> Result<Vec<crate::BlobInfo>, BlobsError> {
    let mut all: Vec<crate::BlobInfo> = Vec::new();
    loop {
        let page = blobs.list(all.last().map(|info| info.key), limit).await?;
        let last = page.len() < limit;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}
