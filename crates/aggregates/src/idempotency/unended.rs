//! Keys whose request is over in this process, and whose row could not be told so: the store was away, or the request's
//! task was cut off.
//!
//! Their rows say that the request is still running, or may come to say so when a write of which nothing was heard
//! arrives late. This process knows better: a repetition need not wait, it goes on with the same effect id, exactly as
//! after a crash. No answer is kept here: whoever could not write the answer may not have written what belongs to
//! it either, and the repetition makes that good. Once the store is back the rows are told; if the process dies before,
//! they show no beat any more, and are taken over after `abandoned_after_seconds`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::KeyRow;

/// How many are remembered; of more, the oldest are forgotten.
const MOST: usize = 1024;

/// A row that is to be left open, if it still carries the operation.
#[derive(Debug, Clone)]
pub(super) struct Unended {
    pub(super) row: KeyRow,
    pub(super) op_id: Uuid,
}

/// Those of one service in this process; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct UnendedKeys(Arc<Mutex<VecDeque<Unended>>>);

impl UnendedKeys {
    pub(super) fn add(&self, row: KeyRow, op_id: Uuid) {
        let mut keys = self.lock();
        if keys.len() == MOST {
            keys.pop_front();
        }
        keys.push_back(Unended { row, op_id });
    }

    pub(super) fn oldest(&self) -> Option<Unended> {
        self.lock().front().cloned()
    }

    /// Its row was told.
    pub(super) fn remove(&self, op_id: Uuid) {
        self.lock().retain(|unended| unended.op_id != op_id);
    }

    /// Whether the request that holds a row under this operation is over.
    pub(super) fn has(&self, op_id: Uuid) -> bool {
        self.lock().iter().any(|unended| unended.op_id == op_id)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Unended>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
