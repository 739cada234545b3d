//! Attempts as records, so that every replica slows the same people down.

use bytes::Bytes;
use riwaq_clock::SharedClock;
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::{Expect, ReadLevel, Store, Stored};

use super::{ATTEMPTS, contended, operation_id};
use crate::domain::attempts::{Attempts, SlowDown};
use crate::records::AttemptsRow;
use crate::secrets::MacKey;

/// Counted attempts of one kind.
#[derive(Clone)]
pub(crate) struct AttemptLog {
    store: Store,
    clock: SharedClock,
    key: MacKey,
    kind: &'static str,
    policy: SlowDown,
}

impl AttemptLog {
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        key: MacKey,
        kind: &'static str,
        policy: SlowDown,
    ) -> Self {
        Self {
            store,
            clock,
            key,
            kind,
            policy,
        }
    }

    /// The key of whoever the attempts are about: nothing of it can be read back.
    pub(crate) fn key(&self, parts: &[&str]) -> Bytes {
        let mut all: Vec<&[u8]> = vec![self.kind.as_bytes()];
        all.extend(parts.iter().map(|part| part.as_bytes()));
        Bytes::copy_from_slice(&self.key.tag(&all))
    }

    /// Whether another attempt has to wait.
    pub(crate) async fn is_blocked(&self, key: &Bytes) -> ApiResult<bool> {
        let row = self.store.get::<AttemptsRow>((key.clone(),)).await?;
        Ok(row.is_some_and(|row| attempts(&row).is_blocked(self.clock.now())))
    }

    /// Counts one more attempt.
    pub(crate) async fn count(&self, key: &Bytes) -> ApiResult<()> {
        for _ in 0..ATTEMPTS {
            let stored = self.read(key).await?;
            let earlier = stored.as_ref().map(|stored| attempts(&stored.row));
            let now = self.clock.now();
            let next = Attempts::another(earlier, now, &self.policy);
            let row = AttemptsRow {
                attempt_key: key.clone(),
                count: i64::from(next.count),
                last_at: next.last_at,
                blocked_until: next.blocked_until,
                expires_at: now + self.policy.forget_after(),
            };
            let decision = match stored {
                None => self.store.insert_if_absent(&row, operation_id()).await?,
                Some(stored) => {
                    self.store
                        .compare_and_set(&row, Expect::op_id(stored.op_id), operation_id())
                        .await?
                }
            };
            if decision.is_applied() {
                return Ok(());
            }
        }
        Err(contended("count of attempts"))
    }

    /// Forgets earlier attempts. Costs a write only where there were some.
    pub(crate) async fn forget(&self, key: &Bytes) -> ApiResult<()> {
        if let Some(stored) = self.read(key).await? {
            let unchanged = Expect::op_id(stored.op_id);
            let _ = self
                .store
                .delete_if::<AttemptsRow>((key.clone(),), unchanged, operation_id())
                .await?;
        }
        Ok(())
    }

    async fn read(&self, key: &Bytes) -> Result<Option<Stored<AttemptsRow>>, Problem> {
        Ok(self
            .store
            .get_stored::<AttemptsRow>((key.clone(),), ReadLevel::Quorum)
            .await?)
    }
}

fn attempts(row: &AttemptsRow) -> Attempts {
    Attempts {
        count: u32::try_from(row.count).unwrap_or(u32::MAX),
        last_at: row.last_at,
        blocked_until: row.blocked_until,
    }
}
