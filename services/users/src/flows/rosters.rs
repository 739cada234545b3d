//! The list of known administrators, changed one step at a time.

use riwaq_aggregates::{Act, Draft, Journal};
use riwaq_clock::SharedClock;
use riwaq_identity::access::ADMIN;
use riwaq_kit::{ApiResult, Problem};
use uuid::Uuid;

use super::{AccountState, Accounts};
use crate::domain::Roster;

/// Looks after the [`Roster`]. Each change is a compare-and-set, so that of two administrators who demote
/// each other at the same moment one is refused.
#[derive(Debug, Clone)]
pub(crate) struct Rosters {
    journal: Journal<Roster>,
    clock: SharedClock,
}

impl Rosters {
    pub(crate) fn new(journal: Journal<Roster>, clock: SharedClock) -> Self {
        Self { journal, clock }
    }

    /// Takes an administrator off before the role is taken away.
    ///
    /// # Errors
    /// 409 when nobody would remain.
    pub(crate) async fn leave(&self, id: Uuid, accounts: &Accounts) -> ApiResult<()> {
        if self.try_leave(id).await? {
            return Ok(());
        }
        // Not everybody may have been heard of yet.
        let seen = accounts.seen().await?;
        let likely: Vec<Uuid> = seen
            .iter()
            .filter(|seen| seen.roles.contains(ADMIN))
            .map(|seen| seen.user_id)
            .collect();
        let mut present = Vec::new();
        for ids in likely.chunks(200) {
            let found = accounts.get(ids).await?;
            present.extend(
                found
                    .into_iter()
                    .filter(|(_, account)| account.is_active_admin())
                    .map(|(id, _)| id),
            );
        }
        let now = self.clock.now();
        self.change(|roster| Ok(Some(roster.with_seen(&present, now))))
            .await?;
        if self.try_leave(id).await? {
            return Ok(());
        }
        Err(Problem::conflict(
            "the last administrator cannot lose the role, be disabled or be deleted",
        ))
    }

    async fn try_leave(&self, id: Uuid) -> ApiResult<bool> {
        let now = self.clock.now();
        let mut left = false;
        self.change(|roster| {
            let next = roster.without(id, now);
            left = next.is_some();
            Ok(next)
        })
        .await?;
        Ok(left)
    }

    /// Puts one back whose leaving did not happen, or who was made an administrator.
    pub(crate) async fn join(&self, id: Uuid) -> ApiResult<()> {
        let now = self.clock.now();
        self.change(|roster| Ok((!roster.members.contains(&id)).then(|| roster.with(id, now))))
            .await
    }

    /// What was heard of an account.
    pub(crate) async fn heard(&self, id: Uuid, account: Option<&AccountState>) -> ApiResult<()> {
        let is_admin = account.is_some_and(AccountState::is_active_admin);
        let now = self.clock.now();
        self.change(|roster| {
            let next = if is_admin {
                roster.with_seen(&[id], now)
            } else {
                roster.without_gone(id)
            };
            Ok((next.members != roster.members).then_some(next))
        })
        .await
    }

    async fn change(
        &self,
        mut decide: impl FnMut(&Roster) -> ApiResult<Option<Roster>>,
    ) -> ApiResult<()> {
        let empty = Roster::default();
        self.journal
            .change(
                &ADMIN.to_owned(),
                None,
                Act::system(),
                |current| -> ApiResult<_> {
                    let next = decide(current.map_or(&empty, |current| &current.state))?;
                    Ok(next.map(|next| Draft::new("changed", next)))
                },
            )
            .await?;
        Ok(())
    }
}
