//! Claims: what must be unique is a row that names the aggregate that has it.
//!
//! The claim comes first, the aggregate second. A crash in between leaves a claim whose
//! aggregate never appears (or never took the value); after a grace another may take it over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_records::{Decision, Expect, ReadLevel, Store, Stored, Table};

use crate::id::later;
use crate::{Error, Result, new_op_id};

/// The grace that services use unless they have a reason: five minutes. It covers half a grace for
/// the claimant until it writes its aggregate, the write's own budget, and two clocks off by a minute.
pub const CLAIM_GRACE: Duration = Duration::from_secs(300);

/// A claim as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(name = "claims", write = "conditional", partition(scope, value))]
pub(crate) struct ClaimRow {
    /// What is unique: `users.email`.
    scope: String,
    /// The unique value, in its canonical form.
    value: String,
    /// The aggregate that has it, or is going to.
    holder: String,
    /// By the claimant's clock.
    claimed_at: DateTime<Utc>,
}

/// Claims of unique values.
#[derive(Debug, Clone)]
pub struct Claims {
    store: Store,
    clock: SharedClock,
    grace: Duration,
}

/// A claim that was granted. Write the aggregate while it [`is fresh`](Claim::is_fresh).
#[derive(Debug)]
pub struct Claim {
    clock: SharedClock,
    claimed: Duration,
    grace: Duration,
}

impl Claim {
    /// Whether the aggregate may still be written under this claim. To be asked right before the
    /// write: an older claim may be taken over while the write is under way.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.clock.monotonic().saturating_sub(self.claimed) < self.grace / 2
    }
}

impl Claims {
    /// Claims with [`CLAIM_GRACE`], or another.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, grace: Duration) -> Self {
        Self {
            store,
            clock,
            grace,
        }
    }

    /// Claims `value` for `holder` (an aggregate's id). Repeating it is harmless. `holds` is asked, about
    /// another holder whose claim is older than the grace, whether it really has the value; if
    /// not, its claim is taken over.
    ///
    /// # Errors
    /// [`Error::Taken`] names the holder; [`Error::Records`]; those of `holds`.
    pub async fn claim<F, Fut>(
        &self,
        scope: &str,
        value: &str,
        holder: &str,
        holds: F,
    ) -> Result<Claim>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        let claimed = self.clock.monotonic();
        let granted = Claim {
            clock: self.clock.clone(),
            claimed,
            grace: self.grace,
        };
        let row = ClaimRow {
            scope: scope.to_owned(),
            value: value.to_owned(),
            holder: holder.to_owned(),
            claimed_at: self.clock.now(),
        };
        let op_id = new_op_id();
        let current = match self.store.insert_if_absent(&row, op_id).await? {
            Decision::Applied => return Ok(granted),
            Decision::Refused { current } => current.ok_or_else(contended)?,
        };
        let taken = |holder: &str| Error::Taken {
            scope: scope.to_owned(),
            holder: holder.to_owned(),
        };
        let ours = current.row.holder == holder;
        if !ours && (self.is_within_grace(&current) || holds(current.row.holder.clone()).await?) {
            return Err(taken(&current.row.holder));
        }
        // Ours is written anew as well, so that its grace begins again.
        match self
            .store
            .compare_and_set(&row, Expect::op_id(current.op_id), op_id)
            .await?
        {
            Decision::Applied => Ok(granted),
            Decision::Refused {
                current: Some(current),
            } if current.row.holder == holder => Ok(granted),
            Decision::Refused {
                current: Some(current),
            } => Err(taken(&current.row.holder)),
            Decision::Refused { current: None } => Err(contended()),
        }
    }

    /// Who has claimed a value, if anybody.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn holder(&self, scope: &str, value: &str) -> Result<Option<String>> {
        let key = (scope.to_owned(), value.to_owned());
        let found = self
            .store
            .get_stored::<ClaimRow>(key, ReadLevel::Quorum)
            .await?;
        Ok(found.map(|found| found.row.holder))
    }

    /// Gives a value up. Nothing happens where it is not `holder`'s.
    ///
    /// # Errors
    /// [`Error::Records`].
    pub async fn release(&self, scope: &str, value: &str, holder: &str) -> Result<()> {
        let key = (scope.to_owned(), value.to_owned());
        let expect = Expect::column("holder", holder);
        let _gone_or_anothers = self
            .store
            .delete_if::<ClaimRow>(key, expect, new_op_id())
            .await?;
        Ok(())
    }

    fn is_within_grace(&self, current: &Stored<ClaimRow>) -> bool {
        self.clock.now() < later(current.row.claimed_at, self.grace)
    }
}

const fn contended() -> Error {
    Error::Contended { kind: "claim" }
}
