//! From the characters of a token to what it stands for.

mod cache;
mod claims;
mod jws;
mod key_ring;
mod key_set;
mod logout;
mod revocation;
mod verifier;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use key_ring::KeyRing;
pub use key_ring::{KeyFetchError, KeyFetcher};
pub use logout::LogoutToken;
pub(crate) use revocation::RevocationSet;
pub use revocation::{Revocation, RevocationKind, RevocationSource, RevocationSourceError};
pub(crate) use verifier::Verifier;

/// A token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `sub`.
    pub subject: Uuid,
    /// Whether a person or a service calls with it.
    pub owner: TokenOwner,
    /// `realm_access.roles`, as the token names them.
    pub roles: Vec<Box<str>>,
    /// The sign-in session.
    pub sid: Option<Box<str>>,
    /// The token's own id.
    pub jti: Option<Box<str>>,
    /// The client that it was issued to.
    pub client: Option<Box<str>>,
    /// When it was issued, in milliseconds since 1970.
    pub issued_ms: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: i64,
    /// The token itself, for forwarding.
    pub raw: Arc<str>,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOwner {
    /// A person, or a client that acts with roles like a person.
    User,
    /// One of our services, by its short name (`users`).
    Service(Box<str>),
}

/// Why a token was not accepted. For logs and tests: callers only learn that it is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Longer than tokens may be.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url with JSON inside, or a claim of the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// `none`, a symmetric algorithm, or another than the key's own.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// No key id, or one that the issuer does not have.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// An ID token or another kind that is not for access.
    #[error("the token is not an access token")]
    Kind,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// `sub` is missing or not a UUID.
    #[error("the token's subject is not a user id")]
    Subject,
    /// A service's own token where a user's is needed.
    #[error("the token is a service's")]
    NotAUser,
    /// Revoked before its time.
    #[error("the token was revoked")]
    Revoked,
    /// It cannot be told at the moment: keys or revocations could not be loaded.
    #[error("tokens cannot be verified at the moment")]
    Unavailable,
}
