//! Who is calling: token verification, key sets, revocation, permissions, extractors, caller policy
//! and service tokens.
//!
//! Owns: what a token must say to be believed, and what follows from it for REST handlers
//! ([`Actor`], [`MaybeActor`]) and gRPC servers ([`CallerPolicy`]). Must not know: how people sign
//! in and how tokens are made (the auth service, or Keycloak), what a right over a course is (the
//! courses service), which adapters run.
//!
//! # The claims of an access token
//!
//! Our own issuer and Keycloak both write this; whatever else a token says is ignored.
//!
//! | claim | users | services (client credentials) |
//! |---|---|---|
//! | header `alg` | `RS256` or `EdDSA`; nothing else is accepted | the same |
//! | header `kid` | names a key of the issuer's key set; keys in the header (`jwk`, `jku`, `x5c`) are never used | the same |
//! | `iss` | the configured issuer, exactly | the same |
//! | `aud` | `riwaq`, alone or in an array | the same |
//! | `sub` | the user's id, any UUID | a UUID; ours: version 5 of the client id in [`SERVICE_NAMESPACE`] |
//! | `exp`, `iat` | required, seconds since 1970 | the same |
//! | `nbf` | honoured where present | the same |
//! | `iat_ms` | optional: `iat` in milliseconds, so that a token made just after a revocation in the same second is accepted | the same |
//! | `jti` | the token's id, for its revocation | the same |
//! | `sid` | the sign-in session, for its revocation; every user token has one | **absent** |
//! | `azp` | the client that it was issued to | the client id: `riwaq-` and the service's name, as `riwaq-users` |
//! | `realm_access.roles` | the names of the user's roles | contains `service` |
//! | `typ` | `Bearer` where present (ID tokens say `ID`) | the same |
//!
//! A token is a service's if it has the role `service`, no `sid`, and an `azp` that begins with
//! `riwaq-`. So no other client may be registered with such an id (the public client `riwaq-cli` signs
//! in people, whose tokens carry `sid`), and the role name `service` cannot be given to people.
//! Client-credentials tokens of other clients count as users with the roles they carry.
//!
//! # Revocation
//!
//! Tokens live minutes; a revocation makes every verifier refuse them sooner. The set is loaded when
//! a replica starts, then follows the broadcast [`EVENT_REVOKED`] (data: [`Revocation`]). Until it
//! has been loaded, user tokens are answered with 503 and the replica is not ready.

#![warn(missing_docs)]

pub mod access;
mod actor;
mod config;
mod discovery;
mod follow;
pub mod grpc;
mod http;
mod identity;
mod service_tokens;
pub mod testing;
mod token;

pub use access::{Permission, PermissionSet, RoleBook, RoleSource, RoleSourceError};
pub use actor::{Actor, MaybeActor};
pub use config::IdentityConfig;
pub use discovery::{ClientError, Described, DiscoveryError, Endpoint, RemoteIssuer};
pub use follow::{EVENT_KEYS_CHANGED, EVENT_REVOKED, EVENT_ROLE_CHANGED};
pub use grpc::{CallerPolicy, Callers, CallingService, GrpcRevocations, GrpcRoles};
pub use http::{HttpKeys, IdentityLayer, http_client};
pub use identity::{Identity, IdentityDeps, NotReady};
pub use service_tokens::{ClientCredentials, ServiceTokens, service_id};
pub use token::{
    KeyFetchError, KeyFetcher, LogoutToken, Refused, Revocation, RevocationKind, RevocationSource,
    RevocationSourceError, Token, TokenOwner,
};

/// The audience that every access token names.
pub const AUDIENCE: &str = "riwaq";

/// The realm role that marks a service's own token.
pub const SERVICE_ROLE: &str = "service";

/// What a service's client id begins with.
pub const SERVICE_CLIENT_PREFIX: &str = "riwaq-";

/// The namespace of the version 5 UUIDs that are the subjects of service tokens.
pub const SERVICE_NAMESPACE: uuid::Uuid = uuid::uuid!("6f1d6d3c-3f0e-5a63-9a1e-0a7c5f3f7b11");
