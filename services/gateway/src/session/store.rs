//! Sessions as records, and their tokens, renewed in time by exactly one of those who need it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use riwaq_clock::SharedClock;
use riwaq_kit::{Problem, TaskGroup};
use riwaq_records::{Decision, Expect, ReadLevel, Store, Stored};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::issuer::{Issuer, RefreshError, Tokens};
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
/// How long a replica has a session's renewal for itself: longer than the issuer may take. Issuers that rotate refresh
/// tokens take the use of one by two for theft.
const CLAIM: TimeDelta = TimeDelta::seconds(15);
/// How often somebody looks who waits for another replica's renewal.
const LOOK: Duration = Duration::from_millis(100);

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

/// What is kept encrypted.
#[derive(Serialize, Deserialize)]
struct Sealed {
    access_token: String,
    access_ends: DateTime<Utc>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    /// Until when a replica has its renewal for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed_until: Option<DateTime<Utc>>,
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
            sealed: self.seal(&fingerprint, tokens, None)?,
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

    /// Renews what is due: the access token, the note of use. Whoever comes second finds it done, on any replica.
    async fn renew(
        &self,
        fingerprint: [u8; 32],
        refused: Option<Arc<str>>,
    ) -> Result<Option<Session>, Problem> {
        let shard = usize::from(fingerprint[0]) % SHARDS;
        loop {
            let alone = self.renewing[shard].lock().await;
            if let Renewal::Done(session) =
                self.try_to_renew(&fingerprint, refused.as_ref()).await?
            {
                match &session {
                    Some(session) => self.at_hand.insert(fingerprint, session.clone()),
                    None => self.at_hand.invalidate(&fingerprint),
                }
                return Ok(session);
            }
            drop(alone);
            self.clock.sleep(LOOK).await;
        }
    }

    async fn try_to_renew(
        &self,
        fingerprint: &[u8; 32],
        refused: Option<&Arc<str>>,
    ) -> Result<Renewal, Problem> {
        let Some(session) = self.read(fingerprint).await? else {
            return Ok(Renewal::Done(None));
        };
        let now = self.clock.now();
        let is_refused = refused == Some(&session.access_token);
        if !session.is_fresh(now) || is_refused {
            return self.renew_tokens(fingerprint, session, is_refused).await;
        }
        if self.is_unnoted(&session, now) {
            let mut row = session.row.row.clone();
            row.seen_at = now;
            let noted = self.replace(fingerprint, &session, row).await?;
            return Ok(Renewal::Done(noted));
        }
        Ok(Renewal::Done(Some(session)))
    }

    /// New tokens for a session of which they are due, unless another replica is getting them.
    async fn renew_tokens(
        &self,
        fingerprint: &[u8; 32],
        session: Session,
        is_refused: bool,
    ) -> Result<Renewal, Problem> {
        let now = self.clock.now();
        let Some(mut sealed) = self.unseal(fingerprint, &session.row.row.sealed) else {
            return Ok(Renewal::Done(None));
        };
        if sealed.renewed_until.is_some_and(|until| now < until) {
            // The old token does as long as it is accepted.
            let does = !is_refused && now < session.access_ends;
            return Ok(if does {
                Renewal::Done(Some(session))
            } else {
                Renewal::Elsewhere
            });
        }
        sealed.renewed_until = Some(now + CLAIM);
        let mut row = session.row.row.clone();
        row.sealed = self.sealed(fingerprint, &sealed)?;
        let expect = Expect::op_id(session.row.op_id);
        let op_id = Uuid::new_v4();
        match self.store.compare_and_set(&row, expect, op_id).await? {
            Decision::Applied => {}
            // Somebody was faster.
            Decision::Refused { current: Some(_) } => return Ok(Renewal::Elsewhere),
            Decision::Refused { current: None } => return Ok(Renewal::Done(None)),
        }
        let session = Session {
            row: Arc::new(Stored { row, op_id }),
            ..session
        };
        self.use_refresh_token(fingerprint, session, sealed).await
    }

    /// Asks the issuer. The renewal is ours.
    async fn use_refresh_token(
        &self,
        fingerprint: &[u8; 32],
        session: Session,
        mut sealed: Sealed,
    ) -> Result<Renewal, Problem> {
        let mut row = session.row.row.clone();
        match self.refreshed(fingerprint, &session).await {
            Ok(Refreshed::Sealed(renewed)) => {
                row.sealed = renewed;
                row.seen_at = self.clock.now();
                let renewed = self.replace(fingerprint, &session, row).await?;
                Ok(Renewal::Done(renewed))
            }
            Ok(Refreshed::Over) => Ok(Renewal::Done(self.over(*fingerprint, &session).await?)),
            other => {
                // The next one need not wait until the claim is over.
                sealed.renewed_until = None;
                row.sealed = self.sealed(fingerprint, &sealed)?;
                let given_back = self.replace(fingerprint, &session, row).await?;
                other.map(|_| Renewal::Done(given_back))
            }
        }
    }

    /// The session with another row. If another replica was faster, its own is as good.
    async fn replace(
        &self,
        fingerprint: &[u8; 32],
        session: &Session,
        row: SessionRow,
    ) -> Result<Option<Session>, Problem> {
        let expect = Expect::op_id(session.row.op_id);
        let op_id = Uuid::new_v4();
        match self.store.compare_and_set(&row, expect, op_id).await? {
            Decision::Applied => self.opened(fingerprint, Stored { row, op_id }),
            Decision::Refused {
                current: Some(current),
            } => self.opened(fingerprint, current),
            Decision::Refused { current: None } => Ok(None),
        }
    }

    async fn refreshed(
        &self,
        fingerprint: &[u8; 32],
        session: &Session,
    ) -> Result<Refreshed, Problem> {
        let sealed = self.unseal(fingerprint, &session.row.row.sealed);
        let Some((refresh, id_token)) =
            sealed.and_then(|sealed| Some((sealed.refresh_token?, sealed.id_token)))
        else {
            return Ok(Refreshed::Over);
        };
        match self.issuer.refresh(&refresh).await {
            Ok(mut tokens) => {
                // An issuer that does not rotate sends none: the old one stays good.
                tokens.refresh_token = tokens.refresh_token.or(Some(refresh));
                Ok(Refreshed::Sealed(self.seal(
                    fingerprint,
                    tokens,
                    id_token,
                )?))
            }
            Err(RefreshError::Refused) => Ok(Refreshed::Over),
            // The old token may do for a few seconds more.
            Err(RefreshError::Unavailable(_)) if self.clock.now() < session.access_ends => {
                Ok(Refreshed::NotNow)
            }
            Err(RefreshError::Unavailable(reason)) => Err(reason.into()),
        }
    }

    /// The issuer refuses to go on. Unless another replica has new tokens, the session has ended.
    async fn over(
        &self,
        fingerprint: [u8; 32],
        session: &Session,
    ) -> Result<Option<Session>, Problem> {
        self.at_hand.invalidate(&fingerprint);
        let expect = Expect::op_id(session.row.op_id);
        let key = (Bytes::copy_from_slice(&fingerprint),);
        match self
            .store
            .delete_if::<SessionRow>(key, expect, Uuid::new_v4())
            .await?
        {
            Decision::Refused {
                current: Some(current),
            } => self.opened(&fingerprint, current),
            _ => Ok(None),
        }
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

    fn seal(
        &self,
        fingerprint: &[u8; 32],
        tokens: Tokens,
        id_token: Option<String>,
    ) -> Result<Bytes, Problem> {
        let sealed = Sealed {
            access_token: tokens.access_token,
            access_ends: self.clock.now() + seconds(tokens.expires_in_seconds),
            refresh_token: tokens.refresh_token,
            id_token: tokens.id_token.or(id_token),
            renewed_until: None,
        };
        self.sealed(fingerprint, &sealed)
    }

    fn sealed(&self, fingerprint: &[u8; 32], sealed: &Sealed) -> Result<Bytes, Problem> {
        let plain = serde_json::to_vec(sealed).map_err(Problem::internal)?;
        let sealed = self
            .keys
            .seal(fingerprint, &plain)
            .map_err(Problem::internal)?;
        Ok(sealed.into())
    }

    fn unseal(&self, fingerprint: &[u8; 32], sealed: &[u8]) -> Option<Sealed> {
        let plain = self.keys.open(fingerprint, sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

enum Renewal {
    /// By us or by another; `None` where the session has ended.
    Done(Option<Session>),
    /// Another replica is about to, and there is nothing to go on with until then.
    Elsewhere,
}

enum Refreshed {
    Sealed(Bytes),
    NotNow,
    Over,
}

/// At most a century: a configured time never overflows a date.
fn seconds(seconds: u64) -> TimeDelta {
    const CENTURY: u64 = 3_155_760_000;
    TimeDelta::seconds(i64::try_from(seconds.min(CENTURY)).unwrap_or_default())
}
