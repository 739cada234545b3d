//! Tokens of sessions, renewed in time by exactly one of those who need it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use riwaq_kit::Problem;
use riwaq_records::{Decision, Expect, Stored};
use uuid::Uuid;

use super::sealed::Sealed;
use super::{Inner, SHARDS, Session};
use crate::records::SessionRow;
use crate::session::issuer::RefreshError;

/// How long a replica has a session's renewal for itself: longer than the issuer may take. Issuers that rotate refresh
/// tokens take the use of one by two for theft.
const CLAIM: TimeDelta = TimeDelta::seconds(15);
/// How often somebody looks who waits for another replica's renewal.
const LOOK: Duration = Duration::from_millis(100);

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

impl Inner {
    /// Renews what is due: the access token, the note of use. Whoever comes second finds it done, on any replica.
    pub(super) async fn renew(
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
        if sealed.claimed_until.is_some_and(|until| now < until) {
            // The old token does as long as it is accepted.
            let does = !is_refused && now < session.access_ends;
            return Ok(if does {
                Renewal::Done(Some(session))
            } else {
                Renewal::Elsewhere
            });
        }
        sealed.claimed_until = Some(now + CLAIM);
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
        match self.refreshed(fingerprint, &sealed).await {
            Ok(Refreshed::Sealed(renewed)) => {
                row.sealed = renewed;
                row.seen_at = self.clock.now();
                let renewed = self.replace(fingerprint, &session, row).await?;
                Ok(Renewal::Done(renewed))
            }
            Ok(Refreshed::Over) => Ok(Renewal::Done(self.over(*fingerprint, &session).await?)),
            other => {
                // The next one need not wait until the claim is over.
                sealed.claimed_until = None;
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
        sealed: &Sealed,
    ) -> Result<Refreshed, Problem> {
        let Some(refresh_token) = &sealed.refresh_token else {
            return Ok(Refreshed::Over);
        };
        match self.issuer.refresh(refresh_token).await {
            Ok(mut tokens) => {
                // Not every issuer sends another one.
                tokens.id_token = tokens.id_token.or_else(|| sealed.id_token.clone());
                Ok(Refreshed::Sealed(self.seal(fingerprint, tokens)?))
            }
            Err(RefreshError::Refused) => Ok(Refreshed::Over),
            // The old token may do for a few seconds more.
            Err(RefreshError::Unavailable(_)) if self.clock.now() < sealed.access_ends => {
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
}
