//! Authorization codes as records.

use chrono::TimeDelta;
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use riwaq_records::{Expect, ReadLevel, Store};

use super::operation_id;
use crate::domain::code::CodeGrant;
use crate::records::CodeRow;
use crate::secrets::{fingerprint, random_text};

/// Every code that may still be redeemed, and for a while every one that was.
#[derive(Clone)]
pub(crate) struct Codes {
    store: Store,
    clock: SharedClock,
    lifetime: TimeDelta,
}

/// What became of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redeemed {
    /// The first use: the only one that counts.
    First(CodeGrant),
    /// It was used before: either we are seeing a thief, or we have seen one.
    Again(CodeGrant),
    /// Unknown, expired, or not for this exchange.
    Refused,
}

impl Codes {
    pub(crate) fn new(store: Store, clock: SharedClock, lifetime: TimeDelta) -> Self {
        Self {
            store,
            clock,
            lifetime,
        }
    }

    /// A new code for this grant.
    pub(crate) async fn issue(&self, grant: CodeGrant) -> ApiResult<String> {
        let code = random_text()?;
        let row = CodeRow {
            code_hash: fingerprint(&code),
            used: false,
            grant,
            expires_at: self.clock.now() + self.lifetime,
        };
        let _ = self.store.insert_if_absent(&row, operation_id()).await?;
        Ok(code)
    }

    /// Uses a code, if `matches` finds the exchange to be the one that it was made for.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        matches: impl Fn(&CodeGrant) -> bool,
    ) -> ApiResult<Redeemed> {
        let key = (fingerprint(code),);
        let Some(stored) = self
            .store
            .get_stored::<CodeRow>(key, ReadLevel::Quorum)
            .await?
        else {
            return Ok(Redeemed::Refused);
        };
        let row = stored.row;
        // A wrong verifier neither uses the code up nor ends anything: its sender may be a stranger.
        if !matches(&row.grant) {
            return Ok(Redeemed::Refused);
        }
        if row.used {
            return Ok(Redeemed::Again(row.grant));
        }
        if self.clock.now() >= row.expires_at {
            return Ok(Redeemed::Refused);
        }
        let used = CodeRow { used: true, ..row };
        let decision = self
            .store
            .compare_and_set(&used, Expect::op_id(stored.op_id), operation_id())
            .await?;
        Ok(if decision.is_applied() {
            Redeemed::First(used.grant)
        } else {
            Redeemed::Again(used.grant)
        })
    }
}
