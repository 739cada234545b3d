//! Tokens that work once, as records.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Expect, ReadLevel, Store, Stored};
use uuid::Uuid;

use super::operation_id;
use super::subjects::Subjects;
use crate::domain::link::{Purpose, canonical};
use crate::records::LinkRow;
use crate::secrets::MacKey;

/// Every mailed or printed token.
#[derive(Clone)]
pub(crate) struct Links {
    store: Store,
    clock: SharedClock,
    subjects: Subjects,
    key: MacKey,
}

/// No account has this version.
pub(crate) const NO_VERSION: i64 = 0;

/// What a token is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkFor {
    pub(crate) purpose: Purpose,
    pub(crate) subject: Uuid,
    pub(crate) account_version: i64,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Links {
    pub(crate) fn new(store: Store, clock: SharedClock, subjects: Subjects, key: MacKey) -> Self {
        Self {
            store,
            clock,
            subjects,
            key,
        }
    }

    /// The token of a mail: the same however often the mail is made.
    pub(crate) fn mailed_token(&self, purpose: Purpose, mail_id: &str) -> String {
        self.key.tag_text(&[
            b"mailed token",
            purpose.name().as_bytes(),
            mail_id.as_bytes(),
        ])
    }

    /// Makes the token good. Repeating it changes nothing.
    pub(crate) async fn issue(&self, token: &str, made_for: LinkFor) -> ApiResult<()> {
        let Some(token_hash) = self.hash(token) else {
            return Ok(());
        };
        let dates = self.subjects.get(made_for.subject).await?;
        let row = LinkRow {
            token_hash,
            purpose: made_for.purpose.name().to_owned(),
            subject: made_for.subject,
            account_version: made_for.account_version,
            used: false,
            created_at: self.clock.now().max(dates.links_not_before),
            expires_at: made_for.expires_at,
        };
        let _ = self.store.insert_if_absent(&row, operation_id()).await?;
        Ok(())
    }

    /// The token's row, if it is good for this purpose.
    pub(crate) async fn find(
        &self,
        purpose: Purpose,
        token: &str,
    ) -> ApiResult<Option<Stored<LinkRow>>> {
        let Some(token_hash) = self.hash(token) else {
            return Ok(None);
        };
        let stored = self
            .store
            .get_stored::<LinkRow>((token_hash,), ReadLevel::Quorum)
            .await?;
        let now = self.clock.now();
        let Some(stored) = stored.filter(|stored| {
            stored.row.purpose == purpose.name() && !stored.row.used && now < stored.row.expires_at
        }) else {
            return Ok(None);
        };
        let dates = self.subjects.get(stored.row.subject).await?;
        Ok(Some(stored).filter(|stored| stored.row.created_at >= dates.links_not_before))
    }

    /// Uses a token up; `false` when somebody else has.
    pub(crate) async fn take(&self, found: &Stored<LinkRow>) -> ApiResult<Option<Uuid>> {
        let row = LinkRow {
            used: true,
            ..found.row.clone()
        };
        let taken = operation_id();
        let decision = self
            .store
            .compare_and_set(&row, Expect::op_id(found.op_id), taken)
            .await?;
        Ok(decision.is_applied().then_some(taken))
    }

    /// Gives a token back that was taken for something that then failed.
    pub(crate) async fn give_back(&self, found: &Stored<LinkRow>, taken: Uuid) {
        let row = LinkRow {
            used: false,
            ..found.row.clone()
        };
        if let Err(error) = self
            .store
            .compare_and_set(&row, Expect::op_id(taken), operation_id())
            .await
        {
            tracing::warn!(%error, "a token stays used although nothing came of it");
        }
    }

    fn hash(&self, token: &str) -> Option<Bytes> {
        let canonical = canonical(token)?;
        Some(Bytes::copy_from_slice(
            &self.key.tag(&[b"token", canonical.as_bytes()]),
        ))
    }
}
