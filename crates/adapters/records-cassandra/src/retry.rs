//! What the driver may send again by itself: only what may be repeated, and only to another node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use scylla::errors::{DbError, RequestAttemptError, WriteType};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

use crate::errors;

/// Sends beyond the first: with three copies, every node that has the row was asked then.
const MOST_REPETITIONS: u8 = 2;

/// Reads, which change nothing.
#[derive(Debug)]
pub(crate) struct RetryReads;

impl RetryPolicy for RetryReads {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Session::default())
    }
}

/// One timestamped write, which may be repeated; remembers whether any attempt may have begun it, since the
/// driver tells of the last alone.
#[derive(Debug, Default)]
pub(crate) struct RetryWrite {
    begun: Arc<AtomicBool>,
}

impl RetryWrite {
    /// A policy for one write, and the mark that it sets.
    pub(crate) fn watched() -> (Arc<dyn RetryPolicy>, Arc<AtomicBool>) {
        let policy = Self::default();
        let begun = Arc::clone(&policy.begun);
        (Arc::new(policy), begun)
    }
}

impl RetryPolicy for RetryWrite {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Session {
            begun: Some(Arc::clone(&self.begun)),
            ..Session::default()
        })
    }
}

#[derive(Default)]
struct Session {
    repetitions: u8,
    begun: Option<Arc<AtomicBool>>,
}

impl RetrySession for Session {
    fn decide_should_retry(&mut self, failed: RequestInfo<'_>) -> RetryDecision {
        if let Some(begun) = &self.begun
            && !errors::is_not_begun(failed.error)
        {
            begun.store(true, Ordering::Release);
        }
        let may = failed.is_idempotent && self.repetitions < MOST_REPETITIONS;
        if !may || !is_of_one_node(failed.error) {
            return RetryDecision::DontRetry;
        }
        self.repetitions += 1;
        RetryDecision::RetryNextTarget(None)
    }

    fn reset(&mut self) {
        self.repetitions = 0;
    }
}

/// Whether another node may answer otherwise.
fn is_of_one_node(error: &RequestAttemptError) -> bool {
    match error {
        RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::UnableToAllocStreamId => true,
        RequestAttemptError::DbError(db, text) => match db {
            DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::ServerError
            | DbError::TruncateError
            | DbError::ReadTimeout { .. }
            | DbError::ReadFailure { .. }
            | DbError::WriteFailure { .. } => true,
            // The next node would wait for the same logs.
            DbError::WriteTimeout { write_type, .. } => *write_type != WriteType::BatchLog,
            DbError::Unauthorized => errors::is_blind(text),
            _ => false,
        },
        _ => false,
    }
}
