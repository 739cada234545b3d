//! A directory that counts, holds up and loses.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use riwaq_directory::{
    Account, AccountChange, AccountPage, Capabilities, Directory, DirectoryError, MemoryDirectory,
    NewAccount,
};
use tokio::sync::Notify;
use uuid::Uuid;

/// Counts verifications: each costs one password hash in a real directory.
#[derive(Debug, Default)]
pub(super) struct CountingDirectory {
    inner: MemoryDirectory,
    pub(super) verifications: AtomicUsize,
    /// The next question of this kind is answered with what was so before something else happened.
    pub(super) pauses: Mutex<Option<Pause>>,
    /// Changes fail after they are made, as when an answer is lost.
    pub(super) lose_answers: AtomicUsize,
    /// An account is not found so often, as while it is still being made under a name that is taken already.
    pub(super) still_making: AtomicUsize,
    /// Passwords are checked by somebody else, who keeps sessions as well.
    external: AtomicBool,
    /// Whose sessions were ended, and what was settled.
    pub(super) ended: Mutex<Vec<Uuid>>,
    pub(super) settled: Mutex<Vec<Uuid>>,
}

/// Which question is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Get,
    Verify,
}

/// Holds one answer up.
#[derive(Debug, Clone)]
pub(super) struct Pause {
    at: At,
    pub(super) reached: Arc<Notify>,
    pub(super) go_on: Arc<Notify>,
}

impl CountingDirectory {
    /// Holds the next answer up until told to go on.
    pub(super) fn pause(&self, at: At) -> Pause {
        let pause = Pause {
            at,
            reached: Arc::default(),
            go_on: Arc::default(),
        };
        *self.pauses.lock().unwrap() = Some(pause.clone());
        pause
    }

    /// As an external directory.
    pub(super) fn checks_no_passwords(&self) {
        self.external.store(true, Ordering::SeqCst);
    }

    async fn held_up(&self, at: At) {
        let pause = {
            let mut pauses = self.pauses.lock().unwrap();
            if pauses.as_ref().is_some_and(|pause| pause.at == at) {
                pauses.take()
            } else {
                None
            }
        };
        if let Some(pause) = pause {
            pause.reached.notify_one();
            pause.go_on.notified().await;
        }
    }

    pub(super) fn verifications(&self) -> usize {
        self.verifications.load(Ordering::SeqCst)
    }

    fn lose<T>(&self, answer: Result<T, DirectoryError>) -> Result<T, DirectoryError> {
        if taken_from(&self.lose_answers) {
            Err(DirectoryError::Unavailable("the answer was lost".into()))
        } else {
            answer
        }
    }
}

/// Takes one away, where there is one.
fn taken_from(count: &AtomicUsize) -> bool {
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
}

#[async_trait]
impl Directory for CountingDirectory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            verifies_passwords: !self.external.load(Ordering::SeqCst),
            ..self.inner.capabilities()
        }
    }

    async fn settle(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.settled.lock().unwrap().push(id);
        Ok(())
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), DirectoryError> {
        self.ended.lock().unwrap().push(id);
        Ok(())
    }

    async fn create(&self, account: NewAccount) -> Result<Account, DirectoryError> {
        self.inner.create(account).await
    }

    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError> {
        let answer = self.inner.get(ids).await;
        self.held_up(At::Get).await;
        answer
    }

    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError> {
        let answer = self.inner.update(id, change).await;
        self.lose(answer)
    }

    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError> {
        let answer = self.inner.delete(id).await;
        self.lose(answer)
    }

    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError> {
        if taken_from(&self.still_making) {
            return Ok(None);
        }
        self.inner.find_by_login(login).await
    }

    async fn verify_password(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<Account>, DirectoryError> {
        self.verifications.fetch_add(1, Ordering::SeqCst);
        // Others get their turn in between, as with real hashing.
        tokio::task::yield_now().await;
        let answer = self.inner.verify_password(login, password).await;
        self.held_up(At::Verify).await;
        answer
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError> {
        self.inner.list(after, limit).await
    }
}
