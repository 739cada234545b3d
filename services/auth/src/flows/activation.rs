//! "Validez votre compte": an account that the school or its person made becomes usable.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_directory::{Account, AccountChange, AccountStatus, Password};
use riwaq_kit::{ApiResult, Code, Problem};
use riwaq_records::Stored;
use uuid::Uuid;

use super::accounts::Accounts;
use crate::config::{Config, seconds};
use crate::domain::link::{Purpose, printed_code};
use crate::events::{MailKind, MailRequest};
use crate::records::LinkRow;
use crate::stores::links::{LinkFor, Links};

/// Activates accounts.
#[derive(Clone)]
pub(crate) struct Activation {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: SharedClock,
    pub(crate) accounts: Accounts,
    pub(crate) links: Links,
}

/// What [`Activation::start`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    /// To be printed; none when a mail is on its way.
    pub(crate) code: Option<String>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Activation {
    /// Makes a code to be printed, or has a mail sent, for an account that waits for its person.
    pub(crate) async fn start(&self, id: Uuid, send_mail: bool) -> ApiResult<Started> {
        let account = self
            .accounts
            .get(id)
            .await?
            .ok_or_else(|| Problem::not_found("account"))?;
        if account.status != AccountStatus::Pending {
            return Err(Problem::conflict(
                "the account does not wait for activation",
            ));
        }
        let now = self.clock.now();
        if send_mail {
            self.accounts
                .publisher
                .request_mail(&MailRequest {
                    kind: MailKind::Activation {
                        keeps_password: true,
                    },
                    subject: id,
                })
                .await?;
            let expires_at = now + seconds(self.config.lifetimes.activation_mail_seconds);
            return Ok(Started {
                code: None,
                expires_at,
            });
        }
        let code = printed_code()?;
        let expires_at = now + seconds(self.config.lifetimes.activation_code_seconds);
        let made_for = LinkFor {
            purpose: Purpose::Activation,
            subject: id,
            account_version: account.version,
            expires_at,
        };
        self.links.issue(&code, made_for).await?;
        Ok(Started {
            code: Some(code),
            expires_at,
        })
    }

    /// Uses a token: the account is active afterwards, with this password where one is given.
    pub(crate) async fn activate(&self, token: &str, password: Option<&str>) -> ApiResult<()> {
        let password = password.map(Password::new).transpose()?;
        let found = self
            .links
            .find(Purpose::Activation, token)
            .await?
            .ok_or_else(bad_token)?;
        let account = self
            .accounts
            .get(found.row.subject)
            .await?
            .ok_or_else(bad_token)?;
        self.check(&account, &found, password.as_ref())?;
        let taken = self.links.take(&found).await?.ok_or_else(bad_token)?;
        let change = AccountChange {
            status: Some(AccountStatus::Active),
            password,
            // What was checked above must still be so.
            expected_version: Some(account.version),
            ..AccountChange::default()
        };
        match self.accounts.update(account.id, change).await {
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

    fn check(
        &self,
        account: &Account,
        found: &Stored<LinkRow>,
        password: Option<&Password>,
    ) -> ApiResult<()> {
        if account.status != AccountStatus::Pending {
            return Err(bad_token());
        }
        if password.is_some() {
            return Ok(());
        }
        // The password that is there may be of somebody else who gave this address, unless the
        // token was made for just this state of the account.
        if !account.has_password || account.version != found.row.account_version {
            return Err(Problem::field("password", "is needed: choose one"));
        }
        Ok(())
    }
}

/// Unknown, used, expired, for something else: one answer.
pub(crate) fn bad_token() -> Problem {
    Problem::field("token", "is unknown, used or expired")
}
