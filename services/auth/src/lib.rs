//! Sign-in: the embedded OpenID Connect issuer, passwords, activation, reset and sessions.
//!
//! Owns: who may sign in and with what (through the directory port), sessions and the tokens that
//! come from them, signing keys, clients, revocations, and the pages where passwords are typed. Must
//! not know: profiles (the users service keeps them; here are ids), rights over courses, which
//! adapter keeps accounts or records, how the gateway keeps browsers' sessions.
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | `domain` | rules without I/O: PKCE, redirect addresses, refresh chains, slowing down |
//! | `keys` | signing keys: making, rotating, publishing |
//! | `stores` | records: sessions, codes, one-time tokens, revocations, attempts |
//! | `flows` | what is done: sign-in, tokens, accounts, activation, reset, registration, mails |
//! | `http` | the issuer's endpoints and pages ([`paths`]), `/api/auth/*` |
//! | `grpc` | `riwaq.auth.v1` for other services |
//!
//! # Why a logout holds
//!
//! A session ends by one conditional write; then the revocation is stored; then it is broadcast; then the
//! caller gets its answer. Tokens bear the moment at which their person's account was read
//! (`iat_ms`), and a revocation by person names a moment after the change: so a token that was under way
//! during the change is refused, however it was interleaved, and one made after it is accepted.
//! Changes of accounts are written down before they begin, so that a crash between the change and its
//! revocation is completed by whoever finds it.

mod app;
mod build;
mod config;
mod configured;
mod domain;
mod events;
mod flows;
mod grpc;
mod http;
mod issuing;
mod keys;
mod operators;
mod records;
mod secrets;
mod stores;
mod text;

#[cfg(test)]
mod tests;

pub use app::{Auth, BuildError, Deps};
pub use config::{Config, ConfigError, Lifetimes};
pub use configured::ConfiguredClient;
pub use domain::attempts::SlowDown;
pub use domain::client::Grant;
pub use events::{ACCOUNT_CHANGED, MAIL_GROUP, MAIL_REQUESTED};
pub use http::dev_mail::{DevMail, DevMailbox};
pub use http::paths;
pub use issuing::{Elsewhere, Issuing};
pub use keys::{RotationPolicy, SigningAlgorithm};
pub use operators::{EnsureAccount, Ensured};
pub use records::tables;
pub use secrets::{MIN_SECRET_BYTES, MasterSecret, SecretTooShort};
pub use stores::clients::{CreatedClient, NewClient};

/// The OpenAPI document of its routes, which needs no running service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::openapi()
}

/// The service as the kit runs it.
///
/// # Errors
/// When the configuration cannot work.
pub fn service(config: Config, deps: Deps) -> Result<riwaq_kit::Service, BuildError> {
    Ok(Auth::new(config, deps)?.service())
}
