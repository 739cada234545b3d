//! Sessions as records.

use chrono::{DateTime, TimeDelta, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Expect, ReadLevel, Store, Stored};
use uuid::Uuid;

use super::{ATTEMPTS, contended, operation_id};
use crate::domain::session::{Chain, Session};
use crate::records::SessionRow;

/// How long a session that was ended before it was there stays ended: longer than a code lives.
const TOMBSTONE: TimeDelta = TimeDelta::days(1);

/// Every session.
#[derive(Clone)]
pub(crate) struct Sessions {
    store: Store,
    clock: SharedClock,
}

impl Sessions {
    pub(crate) fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Begins a session.
    pub(crate) async fn begin(
        &self,
        subject: Uuid,
        session: Session,
        expires_at: DateTime<Utc>,
    ) -> ApiResult<SessionRow> {
        // A session's id is shown in tokens and guessed by nobody: random, not by time.
        let sid = Uuid::new_v4();
        let row = SessionRow {
            sid,
            subject,
            ended: false,
            session,
            expires_at,
        };
        let decision = self.store.insert_if_absent(&row, operation_id()).await?;
        if decision.is_applied() {
            Ok(row)
        } else {
            Err(contended("session"))
        }
    }

    /// The session, if it is neither ended nor over.
    pub(crate) async fn get(&self, sid: Uuid) -> ApiResult<Option<Stored<SessionRow>>> {
        let stored = self
            .store
            .get_stored::<SessionRow>((sid,), ReadLevel::Quorum)
            .await?;
        Ok(stored.filter(|stored| !stored.row.ended && self.clock.now() < stored.row.expires_at))
    }

    /// Begins a chain of refresh tokens; `None` when the session is over.
    pub(crate) async fn begin_chain(&self, sid: Uuid, chain: Chain) -> ApiResult<Option<u64>> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.get(sid).await? else {
                return Ok(None);
            };
            let mut row = stored.row.clone();
            let number = row.session.begin_chain(chain.clone());
            if self.replace(&stored, &row).await? {
                return Ok(Some(number));
            }
        }
        Err(contended("session"))
    }

    /// Replaces a session that was read; `false` when another change came first.
    pub(crate) async fn replace(
        &self,
        read: &Stored<SessionRow>,
        row: &SessionRow,
    ) -> ApiResult<bool> {
        let decision = self
            .store
            .compare_and_set(row, Expect::op_id(read.op_id), operation_id())
            .await?;
        Ok(decision.is_applied())
    }

    /// Ends a session for good, even one that is not there yet.
    pub(crate) async fn end(&self, sid: Uuid) -> ApiResult<()> {
        for _ in 0..ATTEMPTS {
            let stored = self
                .store
                .get_stored::<SessionRow>((sid,), ReadLevel::Quorum)
                .await?;
            let applied = match stored {
                Some(stored) if stored.row.ended => true,
                Some(stored) => {
                    let row = SessionRow {
                        ended: true,
                        ..stored.row.clone()
                    };
                    self.replace(&stored, &row).await?
                }
                None => self.bury(sid).await?,
            };
            if applied {
                return Ok(());
            }
        }
        Err(contended("session"))
    }

    async fn bury(&self, sid: Uuid) -> ApiResult<bool> {
        let now = self.clock.now();
        let row = SessionRow {
            sid,
            subject: Uuid::nil(),
            ended: true,
            session: Session::new(now, None),
            expires_at: now + TOMBSTONE,
        };
        Ok(self
            .store
            .insert_if_absent(&row, operation_id())
            .await?
            .is_applied())
    }
}
