//! Accounts: reading and editing their rows.

use std::sync::Arc;

use riwaq_clock::SharedClock;
use riwaq_directory::{AccountChange, DirectoryError, LoginField, LoginName, NewAccount, Password};
use riwaq_records::{Expect, ReadLevel, RecordsError, Store, Stored};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::claims::Claimed;
use crate::hashing::Hasher;
use crate::rows::{AccountRow, LoginRow, RowStatus};
use crate::secrets::operation_id;
use crate::{ConfigError, LocalDirectoryConfig, LoginKey};

/// Changes of an account that were overtaken by others before we give up.
pub(crate) const ATTEMPTS: usize = 32;

/// Accounts kept in records; cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalDirectory {
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) config: LocalDirectoryConfig,
    pub(crate) login_key: LoginKey,
    pub(crate) hasher: Arc<Hasher>,
}

impl LocalDirectory {
    /// A directory over the tables of [`crate::tables`].
    ///
    /// # Errors
    /// When the configuration is out of range.
    pub fn new(
        store: Store,
        clock: SharedClock,
        login_key: LoginKey,
        config: LocalDirectoryConfig,
    ) -> Result<Self, ConfigError> {
        let hasher = Arc::new(Hasher::new(&config.hashing)?);
        Ok(Self {
            store,
            clock,
            config,
            login_key,
            hasher,
        })
    }

    /// How many password hashes were computed since the start: for metrics, and for tests that
    /// refusals cost the same.
    #[must_use]
    pub fn hash_operations(&self) -> u64 {
        self.hasher.operations()
    }

    pub(crate) async fn account_row(
        &self,
        id: Uuid,
        level: ReadLevel,
    ) -> Result<Option<Stored<AccountRow>>, DirectoryError> {
        self.store
            .get_stored::<AccountRow>((id,), level)
            .await
            .map_err(from_records)
    }

    /// The account that the name leads to and that lists it. Reads as much for a name that
    /// nobody has.
    pub(crate) async fn by_login(
        &self,
        login: &str,
    ) -> Result<Option<Stored<AccountRow>>, DirectoryError> {
        let name = LoginName::parse(login).ok();
        let claim_key = match &name {
            Some(name) => self.login_key.claim_key(name),
            None => self.login_key.decoy_claim_key(login),
        };
        let claim = self
            .store
            .get::<LoginRow>((claim_key.clone(),))
            .await
            .map_err(from_records)?;
        let id = claim.map_or_else(
            || self.login_key.decoy_account(&claim_key),
            |claim| claim.account_id,
        );
        let account = self.account_row(id, ReadLevel::Quorum).await?;
        Ok(account.filter(|account| account.row.lists(&claim_key)))
    }

    pub(crate) async fn hash(
        &self,
        password: Option<&Password>,
    ) -> Result<Option<String>, DirectoryError> {
        match password {
            Some(password) => self
                .hasher
                .hash(Zeroizing::new(password.expose().to_owned()))
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a hash with the present parameters, unless the account was changed meanwhile.
    pub(crate) async fn rehash(
        &self,
        account: Stored<AccountRow>,
        password: Zeroizing<String>,
    ) -> Result<(), DirectoryError> {
        let hash = self.hasher.hash(password).await?;
        let row = AccountRow {
            password_hash: Some(hash),
            ..account.row
        };
        let unchanged = Expect::op_id(account.op_id);
        let decision = self
            .store
            .compare_and_set(&row, unchanged, operation_id())
            .await
            .map_err(from_records)?;
        tracing::debug!(
            applied = decision.is_applied(),
            "a password was hashed with the present parameters"
        );
        Ok(())
    }

    pub(crate) fn new_row(&self, new: &NewAccount, password_hash: Option<String>) -> AccountRow {
        let now = self.clock.now();
        AccountRow {
            id: new.id,
            status: RowStatus::Is(new.status),
            version: 0,
            roles: new.roles.clone(),
            email_key: Some(self.login_key.claim_key(&new.email)),
            username_key: new
                .username
                .as_ref()
                .map(|name| self.login_key.claim_key(name)),
            password_hash,
            created_at: now,
            updated_at: now,
        }
    }

    /// Claims the names of `after` that `before` does not list; what it could claim is added to `claimed`.
    async fn claim_new_names(
        &self,
        before: &AccountRow,
        after: &AccountRow,
        claimed: &mut Vec<Claimed>,
    ) -> Result<(), DirectoryError> {
        let names = [
            (LoginField::Email, &after.email_key),
            (LoginField::Username, &after.username_key),
        ];
        for (field, key) in names {
            let Some(key) = key.as_ref().filter(|key| !before.lists(key)) else {
                continue;
            };
            let claim = self.claim(field, key, after.id).await?;
            claimed.retain(|earlier| earlier.claim_key != *key);
            claimed.push(claim);
        }
        Ok(())
    }

    /// One attempt at an edit: `None` when another change came in between. Whatever the outcome,
    /// `claimed` then holds the claims of this edit that nobody may need.
    async fn try_edit(
        &self,
        id: Uuid,
        edit: &(dyn Fn(&AccountRow) -> Result<AccountRow, DirectoryError> + Send + Sync),
        claimed: &mut Vec<Claimed>,
    ) -> Result<Option<AccountRow>, DirectoryError> {
        let stored = self
            .account_row(id, ReadLevel::Quorum)
            .await?
            .ok_or(DirectoryError::NotFound)?;
        let before = stored.row;
        let mut after = edit(&before)?;
        if after == before {
            return Ok(Some(before));
        }
        let mut let_go = Vec::new();
        for key in before.keys().filter(|key| !after.lists(key)) {
            let_go.extend(self.seen_claim(key, id).await?);
        }
        self.claim_new_names(&before, &after, claimed).await?;
        after.version = before.version + 1;
        after.updated_at = self.clock.now();
        let unchanged = Expect::op_id(stored.op_id);
        let decision = self
            .store
            .compare_and_set(&after, unchanged, operation_id())
            .await
            .map_err(from_records)?;
        if !decision.is_applied() {
            return Ok(None);
        }
        self.release(let_go).await;
        claimed.retain(|claim| !after.lists(&claim.claim_key));
        Ok(Some(after))
    }

    /// Edits the account's row, and claims and releases its names accordingly.
    pub(crate) async fn edit(
        &self,
        id: Uuid,
        edit: &(dyn Fn(&AccountRow) -> Result<AccountRow, DirectoryError> + Send + Sync),
    ) -> Result<AccountRow, DirectoryError> {
        let mut claimed = Vec::new();
        for _ in 0..ATTEMPTS {
            let outcome = self.try_edit(id, edit, &mut claimed).await;
            // Where the outcome is unknown, the account may have come to list what was claimed.
            if matches!(outcome, Err(DirectoryError::Unavailable(_))) {
                claimed.clear();
            }
            if let Some(result) = outcome.transpose() {
                self.withdraw(id, claimed).await;
                return result;
            }
        }
        Err(DirectoryError::Unavailable(
            "the account is changed by too many at once".into(),
        ))
    }

    pub(crate) fn changed(
        &self,
        row: &AccountRow,
        change: &AccountChange,
        password_hash: Option<&String>,
    ) -> Result<AccountRow, DirectoryError> {
        let present = row.account().ok_or(DirectoryError::NotFound)?;
        if change
            .expected_version
            .is_some_and(|expected| expected != present.version)
        {
            return Err(DirectoryError::Stale {
                current: present.version,
            });
        }
        let mut after = row.clone();
        if let Some(email) = &change.email {
            after.email_key = Some(self.login_key.claim_key(email));
        }
        if let Some(username) = &change.username {
            after.username_key = username.as_ref().map(|name| self.login_key.claim_key(name));
        }
        if let Some(roles) = &change.roles {
            after.roles.clone_from(roles);
        }
        if let Some(status) = change.status {
            after.status = RowStatus::Is(status);
        }
        if let Some(hash) = password_hash {
            after.password_hash = Some(hash.clone());
        }
        Ok(after)
    }

    pub(crate) async fn try_delete(&self, id: Uuid) -> Result<bool, DirectoryError> {
        let Some(stored) = self.account_row(id, ReadLevel::Quorum).await? else {
            return Ok(true);
        };
        if stored.row.account().is_none() {
            return Ok(true);
        }
        let mut let_go = Vec::new();
        for key in stored.row.keys() {
            let_go.extend(self.seen_claim(key, id).await?);
        }
        let gone = AccountRow::bare(
            id,
            RowStatus::Removed,
            stored.row.version + 1,
            self.clock.now(),
        );
        let unchanged = Expect::op_id(stored.op_id);
        let decision = self
            .store
            .compare_and_set(&gone, unchanged, operation_id())
            .await
            .map_err(from_records)?;
        if decision.is_applied() {
            self.release(let_go).await;
        }
        Ok(decision.is_applied())
    }
}

pub(crate) fn from_records(error: RecordsError) -> DirectoryError {
    if error.is_retryable() {
        return DirectoryError::Unavailable(Box::new(error));
    }
    DirectoryError::Corrupt(error.to_string())
}
