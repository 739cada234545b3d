//! The suite that every adapter passes: one list of cases over a factory.
//!
//! An adapter's test gives a [`Factory`] and calls [`assert_conforms`]. A case that fails names itself; none can be left out.

mod deletion;
mod ends;
mod model;
mod races;
mod reads;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt;
use futures::future::BoxFuture;
use riwaq_clock::ManualClock;

use crate::{BlobInfo, Blobs, BlobsError, ByteRange, ByteStream, Expected, NewUpload, Upload};

/// Makes stores for the suite.
#[async_trait]
pub trait Factory: Send + Sync {
    /// An empty store of its own that tells the time by `clock`.
    async fn fresh(&self, clock: Arc<ManualClock>) -> Box<dyn Fixture>;
}

/// One store under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The handle.
    fn blobs(&self) -> Arc<dyn Blobs>;

    /// Another handle on the same blobs: that of another replica where the adapter allows several, otherwise
    /// another owner of the same one.
    async fn second(&self) -> Arc<dyn Blobs>;

    /// Forgets everything that is only in memory, as `kill -9` and a start do; [`Fixture::blobs`] is the new handle.
    /// No case holds an older handle when it calls this.
    async fn reopen(&mut self);
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<BlobsError> for Failure {
    fn from(error: BlobsError) -> Self {
        Self(format!("unexpected error: {error:?}"))
    }
}

/// How a case ends.
pub type Verdict = Result<(), Failure>;

/// One case: its name and what it does with a fresh store.
pub struct Case {
    /// What is promised, as a sentence with underscores.
    pub name: &'static str,
    /// The test.
    pub run: for<'a> fn(&'a mut Stage) -> BoxFuture<'a, Verdict>,
}

/// A fresh store and its clock.
pub struct Stage {
    /// The store.
    pub fixture: Box<dyn Fixture>,
    /// The clock that the store tells the time by.
    pub clock: Arc<ManualClock>,
}

impl Stage {
    fn blobs(&self) -> Arc<dyn Blobs> {
        self.fixture.blobs()
    }
}

/// Fails the case unless the condition holds.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure(format!($($message)+)));
        }
    };
}

/// Fails the case unless both are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                let what = format!($($message)+);
                $crate::conformance::check!(left == right, "{what}: {left:?} is not {right:?}");
            }
        }
    };
}

/// Fails the case unless the result is an error of this pattern.
macro_rules! check_err {
    ($result:expr, $pattern:pat, $($message:tt)+) => {
        match $result {
            Err($pattern) => {}
            other => {
                let what = format!($($message)+);
                return Err($crate::conformance::Failure(format!("{what}: got {other:?}")));
            }
        }
    };
}

/// The list of cases of one module.
macro_rules! list_cases {
    ($($name:ident),+ $(,)?) => {
        pub(super) fn cases() -> Vec<$crate::conformance::Case> {
            vec![$($crate::conformance::Case { name: stringify!($name), run: |stage| Box::pin($name(stage)) }),+]
        }
    };
}

use {check, check_eq, check_err, list_cases};

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        uploads::cases(),
        races::cases(),
        ends::cases(),
        reads::cases(),
        deletion::cases(),
        model::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs all cases, each on a fresh store, and returns the names of those that failed with their reasons.
#[expect(
    clippy::print_stdout,
    reason = "the list of cases that passed is part of the output"
)]
pub async fn run(adapter: &str, factory: &dyn Factory) -> Vec<(&'static str, Failure)> {
    let mut failures = Vec::new();
    for case in cases() {
        let clock = ManualClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default());
        let fixture = factory.fresh(Arc::clone(&clock)).await;
        match (case.run)(&mut Stage { fixture, clock }).await {
            Ok(()) => println!("conformance: blobs/{adapter}/{} ok", case.name),
            Err(failure) => failures.push((case.name, failure)),
        }
    }
    failures
}

/// Runs all cases.
///
/// # Panics
/// When one fails, naming all that failed: this is called by tests.
#[expect(clippy::panic, reason = "an assertion of tests")]
pub async fn assert_conforms(adapter: &str, factory: &dyn Factory) {
    let failures = run(adapter, factory).await;
    if !failures.is_empty() {
        let list: Vec<String> = failures
            .iter()
            .map(|(name, why)| format!("  {name}: {why}"))
            .collect();
        panic!(
            "{adapter}: {} of {} cases failed:\n{}",
            failures.len(),
            cases().len(),
            list.join("\n")
        );
    }
}

const MIB: u64 = 1024 * 1024;

fn new_upload(max_bytes: u64) -> NewUpload {
    NewUpload {
        max_bytes,
        expires_after: Duration::from_secs(3_600),
    }
}

fn body(bytes: &[u8]) -> ByteStream<'static> {
    pieces(bytes, 1_000)
}

fn pieces(bytes: &[u8], size: usize) -> ByteStream<'static> {
    let pieces: Vec<_> = bytes
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    futures::stream::iter(pieces).boxed()
}

/// Bytes that do not repeat with any power of two.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect()
}

async fn begun(blobs: &dyn Blobs) -> Result<Upload, BlobsError> {
    blobs.begin(new_upload(64 * MIB)).await
}

/// Stores bytes in one go.
async fn stored(blobs: &dyn Blobs, bytes: &[u8]) -> Result<BlobInfo, BlobsError> {
    let upload = begun(blobs).await?;
    blobs
        .append(&upload.id, upload.fence, 0, pieces(bytes, 64 * 1024))
        .await?;
    blobs
        .complete(&upload.id, upload.fence, Expected::default())
        .await
}

async fn content(
    blobs: &dyn Blobs,
    info: &BlobInfo,
    range: ByteRange,
) -> Result<Bytes, BlobsError> {
    blobs
        .open(&info.key, range)
        .await?
        .read_to_end(64 * MIB)
        .await
}
