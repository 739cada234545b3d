//! The port, on top of [`LocalDirectory`]'s edits.

use async_trait::async_trait;
use bytes::Bytes;
use riwaq_directory::{
    Account, AccountChange, AccountPage, AccountStatus, Capabilities, Directory, DirectoryError,
    MAX_GET, MAX_LIST, NewAccount, normalise_password,
};
use riwaq_records::{ReadLevel, TableCursor};
use uuid::Uuid;

use crate::LocalDirectory;
use crate::accounts::{ATTEMPTS, from_records};
use crate::rows::{AccountRow, RowStatus};
use crate::secrets::operation_id;

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
