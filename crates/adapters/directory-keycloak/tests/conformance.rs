//! The port's suite over a realm of a real Keycloak.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::Realm;
use futures::{StreamExt, stream};
use riwaq_directory::conformance::{Backing, Factory, run_all};
use riwaq_directory::{
    Account, AccountChange, AccountPage, Capabilities, Directory, DirectoryError, MAX_LIST,
    NewAccount, SharedDirectory,
};
use riwaq_directory_keycloak::KeycloakDirectory;
use riwaq_test_kit::{Backend, keycloak};
use uuid::Uuid;

/// One realm for every check, since making one takes seconds: each begins by emptying it.
struct OneRealm {
    realm: Realm,
    offset: u128,
}

struct State {
    handles: Vec<KeycloakDirectory>,
    offset: u128,
}

/// Ids are unique on a whole server, and the suite always uses the same: here they are moved, so that two runs on one
/// server do not meet.
#[derive(Debug)]
struct Moved {
    inner: KeycloakDirectory,
    offset: u128,
}

impl Moved {
    fn id(&self, id: Uuid) -> Uuid {
        Uuid::from_u128(id.as_u128() ^ self.offset)
    }

    fn account(&self, account: Account) -> Account {
        Account {
            id: self.id(account.id),
            ..account
        }
    }
}

#[async_trait]
impl Factory for OneRealm {
    async fn fresh(&self) -> Box<dyn Backing> {
        let directory = self.realm.directory().await;
        loop {
            let page = directory.list(None, MAX_LIST).await.unwrap();
            if page.accounts.is_empty() {
                break;
            }
            let ids: Vec<Uuid> = page.accounts.iter().map(|account| account.id).collect();
            stream::iter(ids)
                .for_each_concurrent(8, |id| {
                    let directory = &directory;
                    async move { directory.delete(id).await.unwrap() }
                })
                .await;
        }
        Box::new(State {
            // A handle of its own for each place, with its own token and its own connections: another replica.
            handles: vec![directory, self.realm.directory().await],
            offset: self.offset,
        })
    }
}

#[async_trait]
impl Backing for State {
    async fn open(&self) -> SharedDirectory {
        // Suites open two at most and use both: which is which does not matter, that they differ does.
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(Moved {
            inner: self.handles[next % self.handles.len()].clone(),
            offset: self.offset,
        })
    }

    async fn reopen(&mut self) -> SharedDirectory {
        self.handles.rotate_left(1);
        self.open().await
    }
}

#[async_trait]
impl Directory for Moved {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, account: NewAccount) -> Result<Account, DirectoryError> {
        let id = self.id(account.id);
        let created = self.inner.create(NewAccount { id, ..account }).await?;
        Ok(self.account(created))
    }

    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| self.id(*id)).collect();
        let found = self.inner.get(&ids).await?;
        Ok(found
            .into_iter()
            .map(|account| self.account(account))
            .collect())
    }

    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError> {
        Ok(self.account(self.inner.update(self.id(id), change).await?))
    }

    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.inner.delete(self.id(id)).await
    }

    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError> {
        let found = self.inner.find_by_login(login).await?;
        Ok(found.map(|account| self.account(account)))
    }

    async fn verify_password(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<Account>, DirectoryError> {
        self.inner.verify_password(login, password).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError> {
        let page = self.inner.list(after, limit).await?;
        Ok(AccountPage {
            accounts: page
                .accounts
                .into_iter()
                .map(|account| self.account(account))
                .collect(),
            next: page.next,
        })
    }

    async fn settle(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.inner.settle(self.id(id)).await
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.inner.end_sessions(self.id(id)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_realm_of_keycloak_conforms() {
    let Backend::Ready(server) = keycloak() else {
        return;
    };
    let realm = Realm::create(&server, None).await;
    let offset = Uuid::new_v4().as_u128() & 0xFFFF_FFFF_FFFF_0000;
    let factory = OneRealm { realm, offset };
    run_all("keycloak", &factory).await;
    factory.realm.remove().await;
}
