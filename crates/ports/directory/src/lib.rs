//! The directory port: accounts, credentials and roles, memory version and conformance suite.
//!
//! Owns the contract between the auth service and whatever keeps accounts: the embedded
//! directory over records, or an external one reached by its administration interface. It says
//! how login names are normalised, what a valid account is and which guarantees every adapter
//! keeps. Must not know profiles (names of people live in the users service), tokens, sessions
//! or HTTP.
//!
//! An account's id is the person's user id, the `sub` of every token. Directories of our own keep
//! no login name in clear: see [`LoginName`].

#![warn(missing_docs)]

pub mod conformance;
mod error;
mod memory;
mod model;
mod names;
mod password;
mod port;

pub use error::DirectoryError;
pub use memory::MemoryDirectory;
pub use model::{
    Account, AccountChange, AccountPage, AccountStatus, Capabilities, MAX_GET, MAX_LIST, MAX_ROLES,
    NewAccount, validate_roles,
};
pub use names::{LoginField, LoginName, MAX_EMAIL_BYTES, MAX_USERNAME_CHARS};
pub use password::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, Password, normalise_password};
pub use port::{Directory, SharedDirectory};
