//! Changes of one account take turns: within this process by a lock, over all replicas by a lease in the records.

use std::sync::Arc;
use std::time::Duration;

use riwaq_aggregates::records::Store;
use riwaq_aggregates::{Lease, Leases};
use riwaq_clock::SharedClock;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::error::CallError;

/// Locks of this process; accounts share them, so that they are not counted one by one.
const LOCKS: usize = 128;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Gives turns.
#[derive(Debug)]
pub(crate) struct Turns {
    locks: Vec<Mutex<()>>,
    leases: Leases,
    clock: SharedClock,
    patience: Duration,
}

/// The right to change one account.
pub(crate) struct Turn<'a> {
    lease: Lease,
    /// A change was begun, and its end was not seen.
    under_way: bool,
    _lock: MutexGuard<'a, ()>,
}

impl Turns {
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        duration: Duration,
        patience: Duration,
    ) -> Self {
        let owner = format!("directory-{}", Uuid::new_v4());
        Self {
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            leases: Leases::new(store, Arc::clone(&clock), owner, duration),
            clock,
            patience,
        }
    }

    /// Waits for the turn, but not for ever.
    pub(crate) async fn take(&self, account: Uuid) -> Result<Turn<'_>, CallError> {
        let begun = self.clock.monotonic();
        // The last bytes are random in every version of UUID.
        let place = usize::from(account.as_bytes()[15]) % LOCKS;
        let lock = self.locks[place].lock();
        let Ok(lock) = tokio::time::timeout(self.patience, lock).await else {
            return Err(too_many());
        };
        let name = format!("directory/{account}");
        let mut pause = FIRST_PAUSE;
        loop {
            match self.leases.try_acquire(&name, 0).await {
                Ok(Some(lease)) => {
                    return Ok(Turn {
                        lease,
                        under_way: false,
                        _lock: lock,
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(CallError::Turn(format!("the records: {error}")));
                }
            }
            if self.clock.monotonic().saturating_sub(begun) >= self.patience {
                return Err(too_many());
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Turn<'_> {
    /// Makes one change within the turn: so much of it is left that the change ends within it.
    pub(crate) async fn change(
        &mut self,
        change: impl Future<Output = Result<(), CallError>>,
    ) -> Result<(), CallError> {
        if self.lease.is_beat_due() {
            self.lease
                .beat(0)
                .await
                .map_err(|error| CallError::Turn(format!("the turn is over: {error}")))?;
        }
        self.under_way = true;
        let outcome = change.await;
        self.under_way = matches!(&outcome, Err(error) if error.is_outcome_unknown());
        outcome
    }

    /// Ends the turn. Where the end of a change is not known it is kept until it lapses: that change may still be
    /// carried out, and the next must not read before it.
    pub(crate) async fn end(self) {
        if self.under_way {
            tracing::warn!(
                "an account stays closed for changes until it is sure that the last one is over"
            );
            return;
        }
        if let Err(error) = self.lease.release(0).await {
            tracing::debug!(%error, "a turn lapses by itself");
        }
    }
}

fn too_many() -> CallError {
    CallError::Turn("the account is changed by others, or the last change has not ended".into())
}
