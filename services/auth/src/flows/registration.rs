//! People who register themselves, where that is switched on.

use std::sync::Arc;

use riwaq_api::users::v1::User;
use riwaq_clock::SharedClock;
use riwaq_directory::{
    Account, AccountChange, AccountStatus, DirectoryError, LoginName, NewAccount, Password,
};
use riwaq_kit::{ApiResult, Problem};

use super::accounts::Accounts;
use super::people::People;
use crate::config::Config;
use crate::events::{MailKind, MailRequest};
use crate::stores::attempts::AttemptLog;
use crate::text::Locale;

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
        let wanted = new.id;
        let account = match self.accounts.directory.create(new).await {
            Ok(account) => account,
            Err(DirectoryError::Conflict { .. }) => return self.known(who).await,
            Err(error) => return Err(error.into()),
        };
        debug_assert_eq!(account.id, wanted);
        self.people
            .create(self.profile(&account, &who), self.roles())
            .await?;
        self.accounts.publisher.account_changed(account.id).await?;
        self.mail(MailKind::Activation, &account).await
    }

    async fn known(&self, who: Registered) -> ApiResult<()> {
        let Some(account) = self.accounts.directory.find_by_login(&who.email).await? else {
            // It went away between the two questions.
            return Err(Problem::unavailable("the address was given up just now"));
        };
        // One that registered before, and may not have got its mail: the password is the newer
        // one, and only the newer mail activates it. One that the school made keeps having none.
        if account.status == AccountStatus::Pending && account.has_password {
            let change = AccountChange {
                password: Some(who.password.clone()),
                expected_version: Some(account.version),
                ..AccountChange::default()
            };
            let account = self.accounts.update(account.id, change).await?;
            // A crash may have left the account without its profile; otherwise this changes nothing.
            self.people
                .create(self.profile(&account, &who), self.roles())
                .await?;
            return self.mail(MailKind::Activation, &account).await;
        }
        self.people.get(account.id).await?;
        let kind = match account.status {
            AccountStatus::Pending => MailKind::Activation,
            _ => MailKind::AlreadyRegistered,
        };
        self.mail(kind, &account).await
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

    fn roles(&self) -> Vec<String> {
        self.config.registration_roles.iter().cloned().collect()
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
