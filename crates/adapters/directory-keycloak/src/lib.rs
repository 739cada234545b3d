//! Accounts in Keycloak, by its admin REST interface, and the realm that Riwaq needs there.
//!
//! Owns how the directory port is kept on a Keycloak server, and how the realm of this repository
//! (`keycloak/realm-riwaq.json`) gets there ([`provision()`]). Must not know profiles, tokens of
//! people, or how they sign in: that is between them and Keycloak's own page, and so
//! [`Capabilities::verifies_passwords`](riwaq_directory::Capabilities) is off.
//!
//! # What holds, and by what
//! - **Ids are the caller's.** Plain creation ignores an id; a partial import with one user honours it,
//!   and is one transaction: names, roles, status and password together, or nothing.
//! - **A name belongs to one.** Keycloak's database has unique constraints on e-mail address and user name
//!   of a realm: of several that race, one transaction commits. Names are handed over in the port's normal form. An
//!   account without a user name has `_` and its id for one: no user name of the port begins so.
//! - **A change is whole.** Names, status, version and password go in one request, which is one transaction. Roles
//!   need requests of their own; so the one request also writes the wanted roles into the attribute
//!   `riwaq_roles_due`, which counts as the account's roles until the mappings say the same. A change that is cut off
//!   in between is completed by the next change, or by [`Directory::settle`](riwaq_directory::Directory::settle).
//! - **Versions do not repeat.** Keycloak has no conditional requests, so changes of one account take turns, over all
//!   replicas: by a lease in the records (`riwaq_aggregates::Leases`). Whoever does not know how a
//!   request ended keeps the lease until it lapses, so that the next reads after it. What is changed in
//!   Keycloak's own console meanwhile is outside of this order.
//! - **A listing** counts places in Keycloak's order by user name, and finds its place again by the accounts that it
//!   showed last.
//!
//! Ids are unique on a whole Keycloak server, not only in a realm. With several Keycloak nodes, one may for a moment
//! answer from its cache what another has changed.

#![warn(missing_docs)]

mod account;
mod admin;
mod changes;
mod config;
mod creation;
mod directory;
mod error;
mod http;
mod listing;
pub mod provision;
mod roles;
mod token;
mod turns;
mod users;
mod wire;

pub use config::{Config, ConfigError};
pub use directory::{KeycloakDirectory, OpenError};
pub use provision::{Provision, ProvisionError, ProvisionReport, provision};

/// The tables of this adapter, for whoever gathers the schema: the lease rows, shared with the aggregates.
#[must_use]
pub fn tables() -> Vec<&'static riwaq_aggregates::records::TableSchema> {
    vec![<riwaq_aggregates::LeaseRow as riwaq_aggregates::records::Table>::schema()]
}
