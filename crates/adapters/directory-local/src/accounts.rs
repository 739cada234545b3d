//! The directory itself.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use riwaq_clock::SharedClock;
use riwaq_directory::{
    Account, AccountChange, AccountPage, AccountStatus, Capabilities, Directory, DirectoryError,
    LoginField, LoginName, MAX_GET, MAX_LIST, NewAccount, Password, normalise_password,
};
use riwaq_records::{Expect, ReadLevel, RecordsError, Store, Stored, TableCursor};
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
    login_key: LoginKey,
    hasher: Arc<Hasher>,
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
    async fn by_login(&self, login: &str) -> Result<Option<Stored<AccountRow>>, DirectoryError> {
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

    async fn hash(&self, password: Option<&Password>) -> Result<Option<String>, DirectoryError> {
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
    async fn rehash(
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

    fn new_row(&self, new: &NewAccount, password_hash: Option<String>) -> AccountRow {
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
    async fn edit(
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

    fn changed(
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

    async fn try_delete(&self, id: Uuid) -> Result<bool, DirectoryError> {
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

#[async_trait]
impl Directory for LocalDirectory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            verifies_passwords: true,
            sets_passwords: true,
            changes_login_names: true,
        }
    }

    async fn create(&self, new: NewAccount) -> Result<Account, DirectoryError> {
        new.validate()?;
        // First, so that a creation that is refused takes as long.
        let hash = self.hash(new.password.as_ref()).await?;
        let wanted = self.new_row(&new, hash);
        let begun = AccountRow::bare(new.id, RowStatus::Begun, 0, self.clock.now());
        // Refused where there is a row already, and that is as good.
        let _ = self
            .store
            .insert_if_absent(&begun, operation_id())
            .await
            .map_err(from_records)?;
        let create = |row: &AccountRow| match row.status {
            RowStatus::Begun => Ok(wanted.clone()),
            RowStatus::Is(_) if row.has_names_of(&wanted) => Ok(row.clone()),
            RowStatus::Is(_) | RowStatus::Removed => Err(DirectoryError::Conflict { field: "id" }),
        };
        let row = self.edit(new.id, &create).await?;
        row.account().ok_or(DirectoryError::NotFound)
    }

    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError> {
        if ids.len() > MAX_GET {
            return Err(DirectoryError::invalid(
                "ids",
                format!("at most {MAX_GET} ids"),
            ));
        }
        let mut accounts = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = self.account_row(*id, ReadLevel::Quorum).await?;
            accounts.extend(stored.and_then(|stored| stored.row.account()));
        }
        Ok(accounts)
    }

    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError> {
        change.validate()?;
        let hash = self.hash(change.password.as_ref()).await?;
        let row = self
            .edit(id, &|row| self.changed(row, &change, hash.as_ref()))
            .await?;
        row.account().ok_or(DirectoryError::NotFound)
    }

    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError> {
        for _ in 0..ATTEMPTS {
            if self.try_delete(id).await? {
                return Ok(());
            }
        }
        Err(DirectoryError::Unavailable(
            "the account is changed by too many at once".into(),
        ))
    }

    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError> {
        Ok(self
            .by_login(login)
            .await?
            .and_then(|stored| stored.row.account()))
    }

    async fn verify_password(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<Account>, DirectoryError> {
        let stored = self.by_login(login).await?;
        let typed = normalise_password(password);
        let hash = stored
            .as_ref()
            .and_then(|stored| stored.row.password_hash.as_deref());
        // What is too long to be anybody's password is compared, too, as an empty one with nothing.
        let hash = hash.filter(|_| typed.is_some());
        let typed = typed.unwrap_or_default();
        let verified = self.hasher.verify(typed.clone(), hash).await?;
        let account = stored
            .as_ref()
            .and_then(|stored| stored.row.account())
            .filter(|account| verified.right && account.status == AccountStatus::Active);
        if let (Some(_), Some(stored), true) = (&account, stored, verified.outdated)
            && let Err(error) = self.rehash(stored, typed).await
        {
            tracing::warn!(%error, "a password keeps its outdated hash until the next sign-in");
        }
        Ok(account)
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError> {
        if !(1..=MAX_LIST).contains(&limit) {
            return Err(DirectoryError::invalid(
                "limit",
                format!("from 1 to {MAX_LIST}"),
            ));
        }
        let open = |text| {
            self.login_key
                .open_cursor(text)
                .ok_or(DirectoryError::BadCursor)
        };
        let cursor: Option<Bytes> = after.map(open).transpose()?;
        let cursor = cursor.map(TableCursor::new);
        let page = self
            .store
            .scan_table::<AccountRow>(cursor.as_ref(), limit)
            .await
            .map_err(from_records)?;
        Ok(AccountPage {
            accounts: page
                .rows
                .iter()
                .filter_map(|stored| stored.row.account())
                .collect(),
            next: page
                .next
                .map(|next| self.login_key.seal_cursor(next.as_bytes())),
        })
    }
}

pub(crate) fn from_records(error: RecordsError) -> DirectoryError {
    if error.is_retryable() {
        return DirectoryError::Unavailable(Box::new(error));
    }
    DirectoryError::Corrupt(error.to_string())
}
