//! A forgotten password.

use riwaq_clock::SharedClock;
use riwaq_directory::{AccountChange, AccountStatus, Password};
use riwaq_kit::{ApiResult, Code, Problem};
use uuid::Uuid;

use super::accounts::Accounts;
use super::activation::bad_token;
use super::sign_in::login_part;
use crate::domain::link::Purpose;
use crate::events::{MailKind, MailRequest};
use crate::stores::attempts::AttemptLog;
use crate::stores::links::Links;

/// Lets people set a new password by a link that is mailed to them.
#[derive(Clone)]
pub(crate) struct Reset {
    pub(crate) clock: SharedClock,
    pub(crate) accounts: Accounts,
    pub(crate) links: Links,
    pub(crate) mails: AttemptLog,
}

impl Reset {
    /// Has a mail sent, if somebody has this login name. Does the same work if nobody has: a mail is
    /// asked for that then is not sent.
    pub(crate) async fn forgot(&self, login: &str) -> ApiResult<()> {
        let key = self.mails.key(&["reset", &login_part(login)]);
        let blocked = self.mails.is_blocked(&key).await?;
        let account = self.accounts.directory.find_by_login(login).await?;
        if blocked {
            return Ok(());
        }
        self.mails.count(&key).await?;
        let kind = match &account {
            Some(account) if account.status == AccountStatus::Pending => MailKind::Activation {
                keeps_password: false,
            },
            _ => MailKind::Reset,
        };
        let subject = account.map_or_else(|| riwaq_kit::new_id(&*self.clock), |account| account.id);
        self.accounts
            .publisher
            .request_mail(&MailRequest { kind, subject })
            .await
    }

    /// Uses a token: the password is the new one, every session is over.
    pub(crate) async fn reset(&self, token: &str, password: &str) -> ApiResult<()> {
        let password = Password::new(password)?;
        let found = self
            .links
            .find(Purpose::Reset, token)
            .await?
            .ok_or_else(bad_token)?;
        let subject: Uuid = found.row.subject;
        let account = self.accounts.get(subject).await?;
        let account = account
            .filter(|account| account.status == AccountStatus::Active)
            .ok_or_else(bad_token)?;
        let taken = self.links.take(&found).await?.ok_or_else(bad_token)?;
        let change = AccountChange {
            password: Some(password),
            expected_version: Some(account.version),
            ..AccountChange::default()
        };
        match self.accounts.update(subject, change).await {
            Ok(_) => Ok(()),
            Err(problem) => {
                self.links.give_back(&found, taken).await;
                Err(if problem.code() == Code::Stale {
                    Problem::conflict("the account was changed just now")
                } else {
                    problem
                })
            }
        }
    }
}
