//! Accounts and what is done to them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{DirectoryError, LoginName, Password};

/// The most ids in one [`Directory::get`](crate::Directory::get).
pub const MAX_GET: usize = 200;
/// The most accounts in one page of [`Directory::list`](crate::Directory::list).
pub const MAX_LIST: usize = 200;
/// The most roles of one account.
pub const MAX_ROLES: usize = 32;
const MAX_ROLE_BYTES: usize = 64;

/// Whether an account can be signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Made, but not yet activated by its person: sign-in is refused.
    Pending,
    /// In use.
    Active,
    /// Closed by an administrator: sign-in is refused, the login names stay taken.
    Disabled,
}

/// One account, without credentials and without login names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user id, any UUID version.
    pub id: Uuid,
    /// Names of roles, sorted.
    pub roles: BTreeSet<String>,
    /// Whether it can be signed in to.
    pub status: AccountStatus,
    /// Starts at 1 and grows by at least 1 with every change, a changed password included.
    pub version: i64,
    /// Whether a password is set. Always `false` where the directory cannot tell.
    pub has_password: bool,
}

/// An account to be created.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The user id, made by the caller; repeating a creation needs the same one.
    pub id: Uuid,
    /// The e-mail address; must be a [`LoginField::Email`](crate::LoginField::Email) name.
    pub email: LoginName,
    /// The user name, if there is one.
    pub username: Option<LoginName>,
    /// Names of roles, see [`validate_roles`].
    pub roles: BTreeSet<String>,
    /// [`AccountStatus::Pending`] or any other.
    pub status: AccountStatus,
    /// The password; none leaves the account without one.
    pub password: Option<Password>,
}

/// What to change in an account; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// A new e-mail address; the old one is free afterwards.
    pub email: Option<LoginName>,
    /// A new user name, or `Some(None)` to have none.
    pub username: Option<Option<LoginName>>,
    /// The whole new set of roles.
    pub roles: Option<BTreeSet<String>>,
    /// The new status.
    pub status: Option<AccountStatus>,
    /// The new password.
    pub password: Option<Password>,
    /// Refuse with [`DirectoryError::Stale`] unless the account is at this version.
    pub expected_version: Option<i64>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPage {
    /// The accounts, in the directory's own order. May be fewer than asked, even none, before the end.
    pub accounts: Vec<Account>,
    /// What to ask the next page with; `None` at the end. Opaque, and not signed: a service
    /// that hands it out must seal it.
    pub next: Option<String>,
}

/// What a directory can do. An external one may verify passwords only by itself, at its own
/// sign-in page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// [`Directory::verify_password`](crate::Directory::verify_password) works.
    pub verifies_passwords: bool,
    /// Passwords can be set by creation and update.
    pub sets_passwords: bool,
    /// Login names can be changed by update.
    pub changes_login_names: bool,
}

impl NewAccount {
    /// Checks the rules of this port.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] that names the field.
    pub fn validate(&self) -> Result<(), DirectoryError> {
        self.email.expect_field(crate::LoginField::Email)?;
        if let Some(username) = &self.username {
            username.expect_field(crate::LoginField::Username)?;
        }
        validate_roles(&self.roles)
    }
}

impl AccountChange {
    /// Checks the rules of this port.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] that names the field.
    pub fn validate(&self) -> Result<(), DirectoryError> {
        if let Some(email) = &self.email {
            email.expect_field(crate::LoginField::Email)?;
        }
        if let Some(Some(username)) = &self.username {
            username.expect_field(crate::LoginField::Username)?;
        }
        self.roles.as_ref().map_or(Ok(()), validate_roles)
    }
}

/// Checks names of roles: 1 to 64 of `a-z 0-9 _ -`, beginning with a letter or digit, at most
/// [`MAX_ROLES`] of them.
///
/// # Errors
/// [`DirectoryError::Invalid`] for the field `roles`.
pub fn validate_roles(roles: &BTreeSet<String>) -> Result<(), DirectoryError> {
    if roles.len() > MAX_ROLES {
        return Err(DirectoryError::invalid(
            "roles",
            format!("at most {MAX_ROLES} roles"),
        ));
    }
    match roles.iter().find(|name| !is_role_name(name)) {
        None => Ok(()),
        Some(_) => Err(DirectoryError::invalid(
            "roles",
            "a role's name is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter or digit",
        )),
    }
}

fn is_role_name(name: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    name.len() <= MAX_ROLE_BYTES
        && name.bytes().all(allowed)
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_of_roles_are_checked() {
        assert!(validate_roles(&set(&["student", "lab-2_assistant"])).is_ok());
        for bad in ["", "Admin", "-x", "a b", "rôle", &"x".repeat(65)] {
            assert!(validate_roles(&set(&[bad])).is_err(), "{bad:?}");
        }
        let many: BTreeSet<String> = (0..=MAX_ROLES).map(|n| format!("r{n}")).collect();
        assert!(validate_roles(&many).is_err());
    }
}
