//! Deleting users, and sending people their activation again.

use riwaq_aggregates::Draft;
use riwaq_identity::Actor;
use riwaq_kit::{ApiResult, IfMatch, Problem};
use serde_json::json;
use uuid::Uuid;

use super::Users;
use super::accounts::{AccountError, Activation};
use super::users::is_admin;
use crate::domain::{AccountChange, AuditNote, Status, User};

impl Users {
    /// Takes a user away: the account, the login names, and the personal data of the present state.
    pub(crate) async fn delete(
        &self,
        actor: &Actor,
        id: Uuid,
        if_match: &IfMatch,
    ) -> ApiResult<()> {
        let current = self.managed(id).await?;
        if_match.check(&current.etag())?;
        self.check_reach(actor, &current)?;
        let leaves = is_admin(&current);
        if leaves {
            self.rosters.leave(id, &self.accounts).await?;
        }
        let roles = current.account.as_ref().map(|account| &account.roles);
        let note = AuditNote::new("user.deleted", json!({"roles": roles}));
        let expected = if_match.is_given().then_some(current.version);
        let written = self.write(actor, id, expected, &[], |user| {
            let account = AccountChange {
                delete: true,
                ..AccountChange::default()
            };
            Some(Draft::new(
                "deleted",
                User {
                    account,
                    audit: Some(note.clone()),
                    ..user.state.erased()
                },
            ))
        });
        let outcome = match written.await {
            Ok(()) => self.settler.settle(id, None).await,
            Err(problem) => Err(problem),
        };
        self.rejoin_unless_done(id, leaves, &outcome).await;
        outcome.map(drop)
    }

    /// Begins the activation of a pending account anew: by mail, or with a code to print.
    pub(crate) async fn start_activation(
        &self,
        actor: &Actor,
        id: Uuid,
        send_mail: bool,
    ) -> ApiResult<Activation> {
        let current = self.managed(id).await?;
        self.check_reach(actor, &current)?;
        if current
            .account
            .as_ref()
            .is_none_or(|account| account.status != Status::Pending)
        {
            return Err(Problem::conflict("only a pending account can be activated"));
        }
        let note = AuditNote::new("user.activation_started", json!({"mail": send_mail}));
        self.write(actor, id, None, &[], |user| {
            let next = User {
                audit: Some(note.clone()),
                ..user.state.with_profile(user.state.profile.clone())
            };
            Some(Draft::new("activation_started", next))
        })
        .await?;
        self.settler.settle(id, None).await?;
        self.accounts
            .start_activation(id, send_mail)
            .await
            .map_err(|error| match error {
                AccountError::Refused(problem) | AccountError::Unavailable(problem) => problem,
                AccountError::Missing => Problem::not_found("account"),
                AccountError::Stale | AccountError::Taken(_) => {
                    Problem::conflict("the account was changed in the meantime")
                }
            })
    }
}
