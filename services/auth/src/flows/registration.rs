//! People who register themselves, where that is switched on.

use std::sync::Arc;
use std::time::Duration;

use riwaq_api::users::v1::User;
use riwaq_clock::SharedClock;
use riwaq_directory::{Account, AccountStatus, DirectoryError, LoginName, NewAccount, Password};
use riwaq_kit::{ApiResult, Code, Locale, Problem};

use super::accounts::Accounts;
use super::people::People;
use crate::config::Config;
use crate::events::{MailKind, MailRequest};
use crate::stores::attempts::AttemptLog;
use crate::stores::subjects::Invalidate;

/// How often an account that is being made is looked for, and how long between.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Registers people.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: SharedClock,
    pub(crate) accounts: Accounts,
    pub(crate) people: People,
    pub(crate) mails: AttemptLog,
}

/// What somebody registers with, checked.
pub(crate) struct Registered {
    /// As typed: what mails go to.
    pub(crate) email: String,
    pub(crate) name: LoginName,
    pub(crate) password: Password,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) locale: Locale,
}

impl Registration {
    /// Makes an account that waits for its activation, and has a mail sent. For an address that has
    /// an account the answer is the same, and the mail says so.
    pub(crate) async fn register(&self, who: Registered) -> ApiResult<()> {
        let key = self.mails.key(&["register", who.name.folded()]);
        if self.mails.is_blocked(&key).await? {
            return Ok(());
        }
        self.mails.count(&key).await?;
        let new = NewAccount {
            id: riwaq_kit::new_id(&*self.clock),
            email: who.name.clone(),
            username: None,
            roles: self.config.registration_roles.clone(),
            status: AccountStatus::Pending,
            password: Some(who.password.clone()),
        };
        let account = match self.accounts.directory.create(new).await {
            Ok(account) => account,
            Err(DirectoryError::Conflict { .. }) => return self.known(who).await,
            Err(error) => return Err(error.into()),
        };
        self.make_profile(&account, &who).await?;
        self.accounts.publisher.account_changed(account.id).await?;
        self.mail(
            MailKind::Activation {
                keeps_password: true,
            },
            &account,
        )
        .await
    }

    async fn known(&self, who: Registered) -> ApiResult<()> {
        let account = self.holder(&who.email).await?;
        if account.status != AccountStatus::Pending {
            self.people.get(account.id).await?;
            return self.mail(MailKind::AlreadyRegistered, &account).await;
        }
        // A crash may have left the account without its profile.
        self.make_profile(&account, &who).await?;
        // Which of those who gave this address reads its mail is not known, so neither password
        // counts: whoever opens the new mail chooses one, and older mails do not work any more.
        let what = Invalidate {
            links: true,
            ..Invalidate::default()
        };
        self.accounts.subjects.invalidate(account.id, what).await?;
        self.mail(
            MailKind::Activation {
                keeps_password: false,
            },
            &account,
        )
        .await
    }

    /// The account of a name that is taken. Whoever took it a moment ago may still be making the account.
    async fn holder(&self, login: &str) -> ApiResult<Account> {
        for _ in 0..LOOKS {
            if let Some(account) = self.accounts.directory.find_by_login(login).await? {
                return Ok(account);
            }
            self.clock.sleep(BETWEEN_LOOKS).await;
        }
        // It was given up.
        Err(Problem::unavailable("the address was given up just now"))
    }

    /// Makes the profile, unless there is one.
    async fn make_profile(&self, account: &Account, who: &Registered) -> ApiResult<()> {
        let roles = self.config.registration_roles.iter().cloned().collect();
        match self.people.create(self.profile(account, who), roles).await {
            Ok(_) => Ok(()),
            // Another profile under this id or address: not for whoever registers to hear of.
            Err(problem) if problem.code() == Code::Conflict => {
                tracing::warn!(%problem, "a profile could not be made");
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }

    async fn mail(&self, kind: MailKind, account: &Account) -> ApiResult<()> {
        self.accounts
            .publisher
            .request_mail(&MailRequest {
                kind,
                subject: account.id,
            })
            .await
    }

    fn profile(&self, account: &Account, who: &Registered) -> User {
        User {
            id: account.id.to_string(),
            email: who.email.clone(),
            first_name: who.first_name.clone(),
            last_name: who.last_name.clone(),
            locale: who.locale.tag().to_owned(),
            ..User::default()
        }
    }
}
