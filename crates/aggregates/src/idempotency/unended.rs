//! Keys whose request is over, and whose row could not be told so: the store was away.
//!
//! Their rows say that the request is still running, or may come to say so when a write of which nothing was heard
//! arrives late. This process knows better: it takes them for ended, and writes it down when the store is back. If
//! it dies before, the row is given up after `abandoned_after_seconds`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::KeyRow;

/// How many are remembered; of more, the oldest are forgotten.
const MOST: usize = 1024;

/// What a row is to become, if it still carries the operation.
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

    /// The oldest, which is the caller's to end now.
    pub(super) fn take(&self) -> Option<Unended> {
        self.lock().pop_front()
    }

    /// What the row that carries this operation should say.
    pub(super) fn of(&self, op_id: Uuid) -> Option<KeyRow> {
        let keys = self.lock();
        let found = keys.iter().find(|unended| unended.op_id == op_id);
        found.map(|unended| unended.row.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Unended>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
