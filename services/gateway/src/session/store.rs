//! Sessions as records.

mod renewal;
mod sealed;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use riwaq_clock::SharedClock;
use riwaq_kit::{Problem, TaskGroup};
use riwaq_records::{Expect, ReadLevel, Store, Stored};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::issuer::{Issuer, Tokens};
use super::keys::{SessionId, SessionKeys};
use crate::config::SessionConfig;
use crate::records::SessionRow;

/// How long a session that was read is believed without reading it again.
const BELIEVED: Duration = Duration::from_secs(5);
/// How long before its end an access token is renewed, in seconds.
const RENEW_BEFORE: i64 = 30;
/// How many parts of its idle time pass before a session's use is noted again.
const NOTED_PARTS: i32 = 10;
/// How many sessions are kept at hand.
const AT_HAND: u64 = 20_000;
/// Those who renew at the same time wait for one another, by shards.
const SHARDS: usize = 64;

/// A session that is open.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) user: Uuid,
    pub(crate) access_token: Arc<str>,
    pub(crate) expires_at: DateTime<Utc>,
    access_ends: DateTime<Utc>,
    row: Arc<Stored<SessionRow>>,
    read_at: Duration,
}

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

struct Inner {
    config: SessionConfig,
    store: Store,
    clock: SharedClock,
    keys: SessionKeys,
    issuer: Issuer,
    tasks: TaskGroup,
    at_hand: Cache<[u8; 32], Session>,
    renewing: [Mutex<()>; SHARDS],
}

impl Sessions {
    pub(crate) fn new(
        config: SessionConfig,
        store: Store,
        clock: SharedClock,
        keys: SessionKeys,
        issuer: Issuer,
        tasks: TaskGroup,
    ) -> Self {
        let renewing = std::array::from_fn(|_| Mutex::new(()));
        let at_hand = Cache::new(AT_HAND);
        Self(Arc::new(Inner {
            config,
            store,
            clock,
            keys,
            issuer,
            tasks,
            at_hand,
            renewing,
        }))
    }

    pub(crate) fn keys(&self) -> &SessionKeys {
        &self.0.keys
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// How long a session lives at most, in seconds.
    pub(crate) fn longest_seconds(&self) -> u64 {
        self.0.config.absolute_seconds
    }

    /// Begins a session for somebody who has just signed in.
    pub(crate) async fn begin(&self, user: Uuid, tokens: Tokens) -> Result<SessionId, Problem> {
        let inner = Arc::clone(&self.0);
        self.0
            .tasks
            .run(async move { inner.begin(user, tokens).await })
            .await
    }

    /// The session of a cookie, with an access token that is good for a while; `None` when it has ended.
    pub(crate) async fn open(&self, id: SessionId) -> Result<Option<Session>, Problem> {
        let fingerprint = id.fingerprint();
        if let Some(session) = self.0.at_hand.get(&fingerprint)
            && self.0.is_believed(&session)
        {
            return Ok(Some(session));
        }
        let Some(session) = self.0.read(&fingerprint).await? else {
            self.0.at_hand.invalidate(&fingerprint);
            return Ok(None);
        };
        let now = self.0.clock.now();
        if !session.is_fresh(now) || self.0.is_unnoted(&session, now) {
            let inner = Arc::clone(&self.0);
            return self
                .0
                .tasks
                .run(async move { inner.renew(fingerprint, None).await })
                .await;
        }
        self.0.at_hand.insert(fingerprint, session.clone());
        Ok(Some(session))
    }

    /// Ends a session, here and at the issuer.
    pub(crate) async fn end(&self, id: SessionId) -> Result<(), Problem> {
        let inner = Arc::clone(&self.0);
        self.0
            .tasks
            .run(async move { inner.end(id.fingerprint()).await })
            .await
    }

    /// The session with another access token than `refused`, which is not accepted any more; `None` when the issuer
    /// gives no other.
    pub(crate) async fn replace(
        &self,
        id: SessionId,
        refused: &Arc<str>,
    ) -> Result<Option<Session>, Problem> {
        let (inner, refused) = (Arc::clone(&self.0), Arc::clone(refused));
        let renewal = async move { inner.renew(id.fingerprint(), Some(refused)).await };
        self.0.tasks.run(renewal).await
    }
}

impl Session {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        now + TimeDelta::seconds(RENEW_BEFORE) < self.access_ends
    }
}

impl Inner {
    fn is_believed(&self, session: &Session) -> bool {
        let age = self.clock.monotonic().saturating_sub(session.read_at);
        age < BELIEVED && session.is_fresh(self.clock.now())
    }

    async fn begin(&self, user: Uuid, tokens: Tokens) -> Result<SessionId, Problem> {
        let id = self.keys.new_id().map_err(Problem::internal)?;
        let fingerprint = id.fingerprint();
        let now = self.clock.now();
        let row = SessionRow {
            fingerprint: Bytes::copy_from_slice(&fingerprint),
            user_id: user,
            sealed: self.seal(&fingerprint, tokens)?,
            created_at: now,
            seen_at: now,
            expires_at: now + seconds(self.config.absolute_seconds),
        };
        let decision = self.store.insert_if_absent(&row, Uuid::new_v4()).await?;
        if decision.is_applied() {
            Ok(id)
        } else {
            Err(Problem::internal("a session id came up twice"))
        }
    }

    /// The session as it is kept, unless it has ended.
    async fn read(&self, fingerprint: &[u8; 32]) -> Result<Option<Session>, Problem> {
        let key = (Bytes::copy_from_slice(fingerprint),);
        let Some(stored) = self
            .store
            .get_stored::<SessionRow>(key, ReadLevel::Quorum)
            .await?
        else {
            return Ok(None);
        };
        self.opened(fingerprint, stored)
    }

    fn opened(
        &self,
        fingerprint: &[u8; 32],
        stored: Stored<SessionRow>,
    ) -> Result<Option<Session>, Problem> {
        let now = self.clock.now();
        let row = &stored.row;
        if now >= row.expires_at || now >= row.seen_at + seconds(self.config.idle_seconds) {
            return Ok(None);
        }
        let Some(sealed) = self.unseal(fingerprint, &row.sealed) else {
            // Sealed with a key that is no longer ours: the person signs in again.
            return Ok(None);
        };
        Ok(Some(Session {
            user: row.user_id,
            access_token: sealed.access_token.into(),
            expires_at: row.expires_at,
            access_ends: sealed.access_ends,
            read_at: self.clock.monotonic(),
            row: Arc::new(stored),
        }))
    }

    /// Whether the record should be told that the session is in use.
    fn is_unnoted(&self, session: &Session, now: DateTime<Utc>) -> bool {
        now >= session.row.row.seen_at + seconds(self.config.idle_seconds) / NOTED_PARTS
    }

    async fn end(&self, fingerprint: [u8; 32]) -> Result<(), Problem> {
        self.at_hand.invalidate(&fingerprint);
        loop {
            let key = (Bytes::copy_from_slice(&fingerprint),);
            let Some(stored) = self
                .store
                .get_stored::<SessionRow>(key.clone(), ReadLevel::Serial)
                .await?
            else {
                return Ok(());
            };
            let expect = Expect::op_id(stored.op_id);
            if !self
                .store
                .delete_if::<SessionRow>(key, expect, Uuid::new_v4())
                .await?
                .is_applied()
            {
                // It was renewed at this very moment: end what there is now.
                continue;
            }
            if let Some(sealed) = self.unseal(&fingerprint, &stored.row.sealed) {
                self.issuer.end(sealed.refresh_token, sealed.id_token).await;
            }
            return Ok(());
        }
    }
}

/// At most a century: a configured time never overflows a date.
fn seconds(seconds: u64) -> TimeDelta {
    const CENTURY: u64 = 3_155_760_000;
    TimeDelta::seconds(i64::try_from(seconds.min(CENTURY)).unwrap_or_default())
}
