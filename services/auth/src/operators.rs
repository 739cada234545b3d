//! What the command line and the first start ask of this service.

use std::collections::BTreeSet;

use riwaq_api::users::v1::User;
use riwaq_directory::{
    Account, AccountPage, AccountStatus, DirectoryError, LoginName, NewAccount, Password,
};
use riwaq_kit::ApiResult;
use uuid::Uuid;

use crate::app::Auth;
use crate::stores::clients::{CreatedClient, NewClient};

/// The namespace of the ids of accounts that are named rather than made: version 5 UUIDs of their address.
const NAMED: Uuid = Uuid::from_u128(0x2c1f_58a4_6f0e_5d0b_9d53_7a3e_11c4_90b2);

/// An account with its profile.
#[derive(Debug, Clone)]
pub struct EnsureAccount {
    /// The e-mail address.
    pub email: String,
    /// The user name, if there is to be one.
    pub username: Option<String>,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// `fr`, `ar` or `en`.
    pub locale: String,
    /// Names of roles.
    pub roles: BTreeSet<String>,
    /// The password: 12 to 128 characters.
    pub password: String,
}

/// What [`Auth::ensure_account`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// It was made, with the password that was given.
    Created(Uuid),
    /// It was there: nothing of it was changed, its password included.
    Existing(Uuid),
}

impl Auth {
    /// Makes sure that there is an account with this address: an active one with its profile, if it
    /// has to be made. Any number of replicas may do so at once.
    ///
    /// # Errors
    /// 422 for fields that do not fit, 409 for a user name of somebody else; the directory's and the users service's.
    pub async fn ensure_account(&self, wanted: EnsureAccount) -> ApiResult<Ensured> {
        let email = LoginName::email(&wanted.email)?;
        if let Some(account) = self.accounts.directory.find_by_login(&wanted.email).await? {
            // A crash may have come between account and profile: making that is harmless.
            self.people
                .create(
                    profile(&wanted, account.id),
                    wanted.roles.into_iter().collect(),
                )
                .await?;
            return Ok(Ensured::Existing(account.id));
        }
        let new = NewAccount {
            id: Uuid::new_v5(&NAMED, email.folded().as_bytes()),
            email,
            username: wanted
                .username
                .as_deref()
                .map(LoginName::username)
                .transpose()?,
            roles: wanted.roles.clone(),
            status: AccountStatus::Active,
            password: Some(Password::new(&wanted.password)?),
        };
        let account = match self.accounts.directory.create(new.clone()).await {
            Ok(account) => account,
            // It was there once and was removed: its id is not used again.
            Err(DirectoryError::Conflict { field: "id" }) => {
                let id = riwaq_kit::new_id(&*self.clock);
                self.accounts.create(NewAccount { id, ..new }).await?
            }
            Err(error) => return Err(error.into()),
        };
        self.people
            .create(
                profile(&wanted, account.id),
                wanted.roles.into_iter().collect(),
            )
            .await?;
        self.accounts.publisher.account_changed(account.id).await?;
        Ok(Ensured::Created(account.id))
    }

    /// Registers a client and tells its secret, this once.
    ///
    /// # Errors
    /// 422 naming the field, 409 where the id is taken, 404 where tokens are made elsewhere.
    pub async fn create_client(&self, client: NewClient) -> ApiResult<CreatedClient> {
        self.makes_tokens()?;
        self.clients.create(client).await
    }

    /// A page of accounts.
    ///
    /// # Errors
    /// 422 for the limit, 400 for the cursor; the directory's.
    pub async fn list_accounts(&self, after: Option<&str>, limit: usize) -> ApiResult<AccountPage> {
        self.accounts.list(after, limit).await
    }

    /// The account with this e-mail address or user name.
    ///
    /// # Errors
    /// The directory's.
    pub async fn find_account(&self, login: &str) -> ApiResult<Option<Account>> {
        Ok(self.accounts.directory.find_by_login(login).await?)
    }

    /// Gives an account these roles, in place of those it has.
    ///
    /// # Errors
    /// 404, 422.
    pub async fn set_roles(&self, id: Uuid, roles: BTreeSet<String>) -> ApiResult<Account> {
        let change = riwaq_directory::AccountChange {
            roles: Some(roles),
            ..Default::default()
        };
        self.accounts.update(id, change).await
    }

    /// Sets a password; every session is over.
    ///
    /// # Errors
    /// 404, 422.
    pub async fn set_password(&self, id: Uuid, password: &str) -> ApiResult<Account> {
        let password = Some(Password::new(password)?);
        let change = riwaq_directory::AccountChange {
            password,
            ..Default::default()
        };
        self.accounts.update(id, change).await
    }

    /// Throws all signing keys away and makes new ones: every token that is out becomes worthless. For
    /// when a key may have leaked.
    ///
    /// # Errors
    /// The records'; 404 where tokens are made elsewhere.
    pub async fn replace_signing_keys(&self) -> ApiResult<()> {
        self.makes_tokens()?;
        self.keys.replace_all().await?;
        self.accounts.publisher.keys_changed().await
    }

    /// Reads or makes the signing keys, where tokens are made here, so that the first sign-in does not wait for them.
    ///
    /// # Errors
    /// The records', or a secret that is not the one that the keys were encrypted with.
    pub async fn prepare(&self) -> ApiResult<()> {
        if self.issuing.is_own() {
            self.keys.refresh().await?;
        }
        Ok(())
    }

    /// Completes account changes that a crash left unfinished; the background task does so all the time.
    ///
    /// # Errors
    /// The records', the events'.
    pub async fn complete_unfinished(&self) -> ApiResult<usize> {
        self.accounts.sweep_once(true).await
    }
}

fn profile(wanted: &EnsureAccount, id: Uuid) -> User {
    User {
        id: id.to_string(),
        email: wanted.email.clone(),
        username: wanted.username.clone().unwrap_or_default(),
        first_name: wanted.first_name.clone(),
        last_name: wanted.last_name.clone(),
        locale: wanted.locale.clone(),
        ..User::default()
    }
}
