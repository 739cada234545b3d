//! The trait.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Account, AccountChange, AccountPage, Capabilities, DirectoryError, NewAccount};

/// A directory that many share.
pub type SharedDirectory = Arc<dyn Directory>;

/// Accounts and their credentials.
///
/// Guarantees, of every adapter, over all handles and replicas:
/// - A call that returned `Ok` is durable, and every later call sees it.
/// - A login name belongs to at most one account. Of several that race for one name exactly one
///   wins; the others get [`DirectoryError::Conflict`] and leave nothing behind that would keep
///   their other name from being used. (Where callers race for overlapping *pairs* of names, one
///   may be refused for a name that its rival then does not get either.)
/// - A change is whole: roles, status, names and password of one call take effect together.
/// - Every call may be repeated after [`DirectoryError::is_retryable`]; repeating never does
///   the effect twice.
/// - Login names and passwords are never logged, and passwords never stored in clear. A directory of
///   ours does not store login names in clear either; an external one has to show them at its own
///   sign-in page, and keeps them as [`LoginName::folded`](crate::LoginName::folded).
///
/// Whether the id of a deleted account may be used again is the adapter's affair: callers make a
/// new id for a new account.
#[async_trait]
pub trait Directory: Send + Sync + std::fmt::Debug + 'static {
    /// What this directory can do.
    fn capabilities(&self) -> Capabilities;

    /// Creates an account and claims its login names. Idempotent by id: with the id of an account
    /// that has the same login names it returns that account, unchanged.
    ///
    /// # Errors
    /// `Invalid`; `Conflict` naming `email` or `username` that belongs to another account, or
    /// `id` where the id's account has other names (or is deleted); `Unsupported` where a password
    /// is given and cannot be set; `Busy`; `Unavailable`.
    async fn create(&self, account: NewAccount) -> Result<Account, DirectoryError>;

    /// Accounts by id, in the order asked; ids that are unknown are left out.
    ///
    /// # Errors
    /// `Invalid` for more than [`MAX_GET`](crate::MAX_GET) ids; `Unavailable`.
    async fn get(&self, ids: &[Uuid]) -> Result<Vec<Account>, DirectoryError>;

    /// Changes an account. A change that changes nothing leaves the version as it is.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Invalid`; `Conflict` naming `email` or `username`; `Unsupported`;
    /// `Busy`; `Unavailable`. After any but `Unavailable` nothing was changed.
    async fn update(&self, id: Uuid, change: AccountChange) -> Result<Account, DirectoryError>;

    /// Removes the account, its credentials and its login names, which are free afterwards.
    /// Idempotent: removing what is not there succeeds.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn delete(&self, id: Uuid) -> Result<(), DirectoryError>;

    /// The account that a person would sign in to with this e-mail address or user name, whatever
    /// its status. A text that no login name can have is nobody's.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn find_by_login(&self, login: &str) -> Result<Option<Account>, DirectoryError>;

    /// The account, if the login name is known, the password is right and the account is active;
    /// otherwise `None`, and neither the answer nor the work done for it tells which of these was
    /// not so: exactly one password hash is computed in every case.
    ///
    /// # Errors
    /// `Unsupported`; `Busy`; `Unavailable`.
    async fn verify_password(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<Account>, DirectoryError>;

    /// A page of all accounts, for operators. An account that exists, under the same login names,
    /// during the whole listing is in exactly one page; one that is made, removed or renamed
    /// meanwhile may be in one or none. (An external directory that can only count places may show
    /// accounts again where everybody of the page before was removed between two calls.)
    ///
    /// # Errors
    /// `Invalid` for a `limit` of 0 or over [`MAX_LIST`](crate::MAX_LIST); `BadCursor`; `Unavailable`.
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<AccountPage, DirectoryError>;

    /// Completes a change of this account that was cut off in the middle: by a crash, or by an
    /// [`DirectoryError::Unavailable`] that nobody repeated. Until then the directory shows the
    /// account as changed, while an external one may still sign people in with roles from before.
    /// Idempotent; nothing to do where a change is one write, or where there is no such account.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn settle(&self, id: Uuid) -> Result<(), DirectoryError> {
        let _one_write_is_never_cut_off = id;
        Ok(())
    }

    /// Ends every session that the directory itself keeps for this account, so that nobody goes
    /// on with a password from before. Idempotent; nothing to do where the caller keeps the
    /// sessions, or where there is no such account.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn end_sessions(&self, id: Uuid) -> Result<(), DirectoryError> {
        let _the_caller_keeps_the_sessions = id;
        Ok(())
    }
}
