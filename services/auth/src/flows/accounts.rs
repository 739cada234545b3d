//! Changes of accounts, and what follows from them: revocation and events.

use riwaq_directory::{
    Account, AccountChange, AccountPage, AccountStatus, DirectoryError, NewAccount, SharedDirectory,
};
use riwaq_kit::{ApiResult, FieldError, Problem};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::Publisher;
use crate::records::IntentRow;
use crate::stores::intents::Intents;
use crate::stores::revocations::Revocations;
use crate::stores::subjects::{Invalidate, Subjects};

/// Everything that changes accounts goes through here.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) directory: SharedDirectory,
    pub(crate) intents: Intents,
    pub(crate) subjects: Subjects,
    pub(crate) revocations: Revocations,
    pub(crate) publisher: Publisher,
}

impl Accounts {
    /// Creates an account and tells of it. Idempotent by id.
    pub(crate) async fn create(&self, new: NewAccount) -> ApiResult<Account> {
        refuse_service_role(new.roles.iter())?;
        let id = new.id;
        self.change(id, false, false, self.directory.create(new))
            .await
    }

    /// Changes an account. Roles and status take effect everywhere within seconds; a new password
    /// and a closed account end every session, too. After the answer no token from before is accepted, and every one
    /// that is made from then on is.
    pub(crate) async fn update(&self, id: Uuid, change: AccountChange) -> ApiResult<Account> {
        refuse_service_role(change.roles.iter().flatten())?;
        let ends_sessions = change.password.is_some()
            || change
                .status
                .is_some_and(|status| status != AccountStatus::Active);
        let revokes = ends_sessions || change.roles.is_some() || change.status.is_some();
        let before = self.directory.get(&[id]).await?.pop();
        let account = match before.filter(|before| changes_nothing(before, &change)) {
            Some(before) => before,
            None => {
                let update = self.directory.update(id, change);
                self.change(id, revokes, ends_sessions, update).await?
            }
        };
        if revokes {
            // Also for a repeated change: the first one may have been cut off while it waited.
            self.subjects.until_new_tokens_count(id).await;
        }
        Ok(account)
    }

    /// Removes an account with its credentials; its tokens are refused. Idempotent.
    pub(crate) async fn delete(&self, id: Uuid) -> ApiResult<()> {
        self.change(id, true, true, self.directory.delete(id)).await
    }

    pub(crate) async fn get(&self, id: Uuid) -> ApiResult<Option<Account>> {
        Ok(self.directory.get(&[id]).await?.pop())
    }

    /// A page of all accounts, for operators.
    pub(crate) async fn list(&self, after: Option<&str>, limit: usize) -> ApiResult<AccountPage> {
        Ok(self.directory.list(after, limit).await?)
    }

    async fn change<T>(
        &self,
        id: Uuid,
        revokes: bool,
        ends_sessions: bool,
        change: impl Future<Output = Result<T, DirectoryError>>,
    ) -> ApiResult<T> {
        let intent = self.intents.begin(id, revokes, ends_sessions).await?;
        match change.await {
            Ok(changed) => {
                self.complete(&intent).await?;
                Ok(changed)
            }
            // It may have happened: the sweep completes it.
            Err(error @ DirectoryError::Unavailable(_)) => Err(error.into()),
            Err(error) => {
                if let Err(problem) = self.intents.done(&intent).await {
                    tracing::debug!(%problem, "the sweep will strike it out");
                }
                Err(refused(error))
            }
        }
    }

    /// Does all that follows from a change, and strikes it out. Harmless to repeat.
    async fn complete(&self, intent: &IntentRow) -> ApiResult<()> {
        if intent.ends_sessions {
            // Before the revocation: a session that the directory keeps must not make tokens after it.
            self.directory.end_sessions(intent.subject).await?;
        }
        if intent.revokes {
            self.revoke(intent.subject, intent.ends_sessions).await?;
        }
        self.publisher.account_changed(intent.subject).await?;
        self.intents.done(intent).await
    }

    async fn revoke(&self, subject: Uuid, ends_sessions: bool) -> ApiResult<()> {
        let what = Invalidate {
            tokens: true,
            sessions: ends_sessions,
            links: ends_sessions,
        };
        let dates = self.subjects.invalidate(subject, what).await?;
        self.revocations
            .revoke_subject(subject, dates.tokens_not_before)
            .await
    }

    /// Completes what crashes left behind, until told to stop.
    pub(crate) async fn sweep(
        self,
        clock: riwaq_clock::SharedClock,
        every: std::time::Duration,
        closing: CancellationToken,
    ) {
        let mut first = true;
        loop {
            match self.sweep_once(first).await {
                Ok(0) => first = false,
                Ok(completed) => tracing::info!(
                    completed,
                    "account changes of an earlier crash are completed"
                ),
                Err(problem) => tracing::warn!(%problem, "account changes could not be completed"),
            }
            if closing
                .run_until_cancelled(clock.sleep(every))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Completes what is there to complete; says how many there were.
    pub(crate) async fn sweep_once(&self, first: bool) -> ApiResult<usize> {
        let unfinished = self.intents.unfinished(first).await?;
        for intent in &unfinished {
            self.directory.settle(intent.subject).await?;
            self.complete(intent).await?;
        }
        Ok(unfinished.len())
    }
}

/// Names what is taken, so that whoever filled a form in learns which field it was.
fn refused(error: DirectoryError) -> Problem {
    let DirectoryError::Conflict { field } = error else {
        return error.into();
    };
    let taken = FieldError {
        field: field.to_owned(),
        message: "is taken".to_owned(),
    };
    Problem::conflict(format!("this {field} is taken")).with_errors(vec![taken])
}

/// Whether a repeated change finds everything as it asks. Names and passwords cannot be compared.
fn changes_nothing(before: &Account, change: &AccountChange) -> bool {
    change.email.is_none()
        && change.username.is_none()
        && change.password.is_none()
        && change
            .expected_version
            .is_none_or(|expected| expected == before.version)
        && change
            .roles
            .as_ref()
            .is_none_or(|roles| *roles == before.roles)
        && change.status.is_none_or(|status| status == before.status)
}

fn refuse_service_role<'a>(mut roles: impl Iterator<Item = &'a String>) -> ApiResult<()> {
    if roles.any(|role| role == riwaq_identity::SERVICE_ROLE) {
        return Err(Problem::field(
            "roles",
            "`service` cannot be given to people",
        ));
    }
    Ok(())
}
