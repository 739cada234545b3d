//! The memory version: for tests, and the model that adapters are compared with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Account, AccountChange, AccountPage, Capabilities, Directory, DirectoryError, LoginName,
    MAX_GET, MAX_LIST, NewAccount, Password, normalise_password,
};

/// Accounts in memory; clones share them. Keeps passwords in clear and compares them in plain
/// time, so it is for tests only.
#[derive(Debug, Clone, Default)]
pub struct MemoryDirectory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<Uuid, Stored>,
    logins: HashMap<LoginName, Uuid>,
}

#[derive(Debug, Clone)]
struct Stored {
    account: Account,
    email: LoginName,
    username: Option<LoginName>,
    password: Option<Password>,
}

impl MemoryDirectory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_free(&self, name: &LoginName, id: Uuid) -> Result<(), DirectoryError> {
        match self.logins.get(name) {
            Some(owner) if *owner != id => Err(DirectoryError::Conflict {
                field: name.field().name(),
            }),
            _ => Ok(()),
        }
    }

    fn find(&self, login: &str) -> Option<&Stored> {
        let name = LoginName::parse(login).ok()?;
        self.accounts.get(self.logins.get(&name)?)
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            verifies_passwords: true,
            sets_passwords: true,
            changes_login_names: true,
        }
    }

    async fn create(&self, new: NewAccount) -> Result<Account, DirectoryError> {
        new.validate()?;
        let mut state = self.lock();
        if let Some(stored) = state.accounts.get(&new.id) {
            let same = stored.email == new.email && stored.username == new.username;
            return if same {
                Ok(stored.account.clone())
            } else {
                Err(DirectoryError::Conflict { field: "id" })
            };
        }
        state.check_free(&new.email, new.id)?;
        if let Some(username) = &new.username {
            state.check_free(username, new.id)?;
            state.logins.insert(username.clone(), new.id);
        }
        state.logins.insert(new.email.clone(), new.id);
        let account = Account {
            id: new.id,
            roles: new.roles,
            status: new.status,
            version: 1,
            has_password: new.password.is_some(),
        };
        let stored = Stored {
            account: account.clone(),
            email: new.email,
            username: new.username,
            password: new.password,
        };
        state.accounts.insert(new.id, stored);
        Ok(account)
    }

    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError> {
        if ids.len() > MAX_GET {
            return Err(DirectoryError::invalid(
                "ids",
                format!("at most {MAX_GET} ids"),
            ));
        }
        let state = self.lock();
        Ok(ids
            .iter()
            .filter_map(|id| state.accounts.get(id))
            .map(|stored| stored.account.clone())
            .collect())
    }

    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError> {
        change.validate()?;
        let mut state = self.lock();
        let before = state
            .accounts
            .get(&id)
            .cloned()
            .ok_or(DirectoryError::NotFound)?;
        if change
            .expected_version
            .is_some_and(|expected| expected != before.account.version)
        {
            return Err(DirectoryError::Stale {
                current: before.account.version,
            });
        }
        let mut after = before.clone();
        after.email = change.email.unwrap_or(after.email);
        after.username = change.username.unwrap_or(after.username);
        after.account.roles = change.roles.unwrap_or(after.account.roles);
        after.account.status = change.status.unwrap_or(after.account.status);
        let new_password = change.password.is_some();
        after.password = change.password.or(after.password);
        after.account.has_password = after.password.is_some();
        let renamed = after.email != before.email || after.username != before.username;
        if !renamed && !new_password && after.account == before.account {
            return Ok(before.account);
        }
        for name in std::iter::once(&after.email).chain(&after.username) {
            state.check_free(name, id)?;
        }
        for name in std::iter::once(&before.email).chain(&before.username) {
            state.logins.remove(name);
        }
        for name in std::iter::once(&after.email).chain(&after.username) {
            state.logins.insert(name.clone(), id);
        }
        after.account.version += 1;
        let account = after.account.clone();
        state.accounts.insert(id, after);
        Ok(account)
    }

    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError> {
        let mut state = self.lock();
        if let Some(stored) = state.accounts.remove(&id) {
            for name in std::iter::once(&stored.email).chain(&stored.username) {
                state.logins.remove(name);
            }
        }
        Ok(())
    }

    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError> {
        Ok(self.lock().find(login).map(|stored| stored.account.clone()))
    }

    async fn verify_password(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<Account>, DirectoryError> {
        let typed = normalise_password(password);
        let state = self.lock();
        let matching = state.find(login).filter(|stored| {
            stored.account.status == crate::AccountStatus::Active
                && matches!((&stored.password, &typed), (Some(set), Some(typed)) if set.expose() == typed.as_str())
        });
        Ok(matching.map(|stored| stored.account.clone()))
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError> {
        if !(1..=MAX_LIST).contains(&limit) {
            return Err(DirectoryError::invalid(
                "limit",
                format!("from 1 to {MAX_LIST}"),
            ));
        }
        let after = after
            .map(|text| Uuid::parse_str(text).map_err(|_| DirectoryError::BadCursor))
            .transpose()?;
        let state = self.lock();
        let mut accounts: Vec<Account> = state
            .accounts
            .range((
                after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
                std::ops::Bound::Unbounded,
            ))
            .take(limit + 1)
            .map(|(_, stored)| stored.account.clone())
            .collect();
        let more = accounts.len() > limit;
        accounts.truncate(limit);
        let next = accounts
            .last()
            .filter(|_| more)
            .map(|account| account.id.to_string());
        Ok(AccountPage { accounts, next })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::MemoryDirectory;
    use crate::SharedDirectory;
    use crate::conformance::{Backing, Factory, run_all};

    struct Memory;

    struct State(MemoryDirectory);

    #[async_trait]
    impl Factory for Memory {
        async fn fresh(&self) -> Box<dyn Backing> {
            Box::new(State(MemoryDirectory::new()))
        }
    }

    #[async_trait]
    impl Backing for State {
        async fn open(&self) -> SharedDirectory {
            Arc::new(self.0.clone())
        }

        async fn reopen(&mut self) -> SharedDirectory {
            Arc::new(self.0.clone())
        }
    }

    #[tokio::test]
    async fn the_memory_directory_conforms() {
        run_all("memory", &Memory).await;
    }
}
