//! Claims of login names.
//!
//! What keeps a name from belonging to two accounts, whoever is slow or dies in between:
//!
//! - Whoever is about to list a name writes its claim *first*, under a new operation id (even if
//!   the claim is the account's already), and *then* changes the account row, under the condition that the
//!   row is what it was before the claim was written.
//! - Whoever takes a claim away from an account that does not list it (a stranger who takes
//!   over, or the account's own failed change that withdraws) *first* fences the account: writes its row
//!   again under a new operation id; and *then* changes the claim, under the condition that the claim is what it was
//!   before the fence.
//!
//! So of a change that is under way and a taking away, one fails and begins again.

use bytes::Bytes;
use chrono::TimeDelta;
use riwaq_directory::{DirectoryError, LoginField};
use riwaq_records::{Decision, Expect, ReadLevel, Stored};
use uuid::Uuid;

use crate::LocalDirectory;
use crate::accounts::{ATTEMPTS, from_records};
use crate::rows::{AccountRow, LoginRow, RowStatus};
use crate::secrets::operation_id;

/// A claim as this call wrote or saw it.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) claim_key: Bytes,
    /// The operation that wrote it: it is deleted only if nobody wrote it since.
    stamp: Uuid,
}

impl LocalDirectory {
    /// Writes the claim for `account`, or says that the name is taken.
    pub(crate) async fn claim(
        &self,
        field: LoginField,
        claim_key: &Bytes,
        account: Uuid,
    ) -> Result<Claimed, DirectoryError> {
        let stamp = operation_id();
        let row = LoginRow {
            claim_key: claim_key.clone(),
            account_id: account,
            claimed_at: self.clock.now(),
        };
        let mut decision = self
            .store
            .insert_if_absent(&row, stamp)
            .await
            .map_err(from_records)?;
        for _ in 0..ATTEMPTS {
            let current = match decision {
                Decision::Applied => {
                    return Ok(Claimed {
                        claim_key: claim_key.clone(),
                        stamp,
                    });
                }
                Decision::Refused { current } => current,
            };
            decision = match current {
                None => self
                    .store
                    .insert_if_absent(&row, stamp)
                    .await
                    .map_err(from_records)?,
                Some(current)
                    if current.row.account_id == account || self.is_abandoned(&current).await? =>
                {
                    let unchanged = Expect::op_id(current.op_id);
                    self.store
                        .compare_and_set(&row, unchanged, stamp)
                        .await
                        .map_err(from_records)?
                }
                Some(_) => {
                    return Err(DirectoryError::Conflict {
                        field: field.name(),
                    });
                }
            };
        }
        Err(DirectoryError::Unavailable(
            format!("the {} is wanted by too many at once", field.name()).into(),
        ))
    }

    /// Whether the claim's owner neither lists the name nor can come to list it by a change that
    /// is under way; fences the owner to make sure.
    async fn is_abandoned(&self, claim: &Stored<LoginRow>) -> Result<bool, DirectoryError> {
        let owner = claim.row.account_id;
        let grace = TimeDelta::seconds(i64::from(self.config.claim_grace_seconds));
        let within_grace = self.clock.now() < claim.row.claimed_at + grace;
        for _ in 0..ATTEMPTS {
            let account = self.account_row(owner, ReadLevel::Serial).await?;
            if account
                .as_ref()
                .is_some_and(|account| account.row.status == RowStatus::Removed)
            {
                return Ok(true);
            }
            let lists = account
                .as_ref()
                .is_some_and(|account| account.row.lists(&claim.row.claim_key));
            if lists || within_grace {
                return Ok(false);
            }
            if self.fence(owner, account).await? {
                tracing::info!("an abandoned claim of a login name is taken over");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the account's row again as it is, so that a change that has read it fails and
    /// begins again. `false` when another change came first.
    async fn fence(
        &self,
        id: Uuid,
        account: Option<Stored<AccountRow>>,
    ) -> Result<bool, DirectoryError> {
        let fenced = match account {
            Some(account) => {
                let unchanged = Expect::op_id(account.op_id);
                self.store
                    .compare_and_set(&account.row, unchanged, operation_id())
                    .await
            }
            None => {
                let begun = AccountRow::bare(id, RowStatus::Begun, 0, self.clock.now());
                self.store.insert_if_absent(&begun, operation_id()).await
            }
        };
        fenced
            .map(|decision| decision.is_applied())
            .map_err(from_records)
    }

    /// The account's claim as it is now, to be released once the account has let go of it.
    pub(crate) async fn seen_claim(
        &self,
        claim_key: &Bytes,
        account: Uuid,
    ) -> Result<Option<Claimed>, DirectoryError> {
        let key = (claim_key.clone(),);
        let stored = self
            .store
            .get_stored::<LoginRow>(key, ReadLevel::Serial)
            .await
            .map_err(from_records)?;
        Ok(stored
            .filter(|stored| stored.row.account_id == account)
            .map(|stored| Claimed {
                claim_key: claim_key.clone(),
                stamp: stored.op_id,
            }))
    }

    /// Gives claims back that a failed change has written. Best effort, like [`Self::release`].
    pub(crate) async fn withdraw(&self, id: Uuid, mut claims: Vec<Claimed>) {
        for _ in 0..ATTEMPTS {
            if claims.is_empty() {
                return;
            }
            match self.fence_for_withdrawal(id, &mut claims).await {
                Ok(true) => return self.release(claims).await,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "login names stay claimed for a while");
                    return;
                }
            }
        }
    }

    /// Drops from `claims` what another change of the account lists by now, and fences the rest.
    async fn fence_for_withdrawal(
        &self,
        id: Uuid,
        claims: &mut Vec<Claimed>,
    ) -> Result<bool, DirectoryError> {
        let account = self.account_row(id, ReadLevel::Serial).await?;
        if let Some(account) = &account {
            claims.retain(|claim| !account.row.lists(&claim.claim_key));
            if claims.is_empty() || account.row.status == RowStatus::Removed {
                return Ok(true);
            }
        }
        self.fence(id, account).await
    }

    /// Frees names whose account is known not to list them. Best effort: what stays claimed is
    /// taken over by the next who wants it.
    pub(crate) async fn release(&self, claims: Vec<Claimed>) {
        for claim in claims {
            let unchanged = Expect::op_id(claim.stamp);
            let released = self
                .store
                .delete_if::<LoginRow>((claim.claim_key,), unchanged, operation_id())
                .await;
            if let Err(error) = released {
                tracing::warn!(%error, "a login name stays claimed for a while");
            }
        }
    }
}
