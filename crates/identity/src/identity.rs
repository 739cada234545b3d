//! The one handle that a process verifies callers with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use riwaq_clock::SharedClock;
use riwaq_kit::Problem;

use crate::access::{PermissionSet, RoleBook, RoleSource, RoleSourceError};
use crate::actor::Actor;
use crate::config::IdentityConfig;
use crate::http::IdentityLayer;
use crate::token::{
    KeyFetchError, KeyFetcher, KeyRing, LogoutToken, Refused, Revocation, RevocationSource,
    RevocationSourceError, Token, TokenOwner, Verifier,
};

/// What identity needs from outside.
#[derive(Debug, Clone)]
pub struct IdentityDeps {
    /// Decides what has expired.
    pub clock: SharedClock,
    /// The issuer's keys.
    pub keys: Arc<dyn KeyFetcher>,
    /// What was revoked.
    pub revocations: Arc<dyn RevocationSource>,
    /// The school's own roles.
    pub roles: Arc<dyn RoleSource>,
}

/// Why tokens cannot be verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The set of revocations was not loaded since the start.
    #[error("the revocations have not been loaded yet")]
    Revocations,
    /// The roles were not loaded since the start.
    #[error("the roles have not been loaded yet")]
    Roles,
}

/// Verifies tokens. One for each process: its clones share keys, verified tokens, revocations and
/// roles.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    config: IdentityConfig,
    deps: IdentityDeps,
    verifier: Verifier,
    roles: RoleBook,
    roles_loaded: AtomicBool,
}

impl Identity {
    /// Knows nothing yet: [`Identity::follow`] loads, or [`Identity::load`].
    #[must_use]
    pub fn new(config: IdentityConfig, deps: IdentityDeps) -> Self {
        let keys = KeyRing::new(Arc::clone(&deps.keys), Arc::clone(&deps.clock), &config);
        let verifier = Verifier::new(config.clone(), Arc::clone(&deps.clock), keys);
        let roles = RoleBook::default();
        Self(Arc::new(Inner {
            config,
            deps,
            verifier,
            roles,
            roles_loaded: AtomicBool::new(false),
        }))
    }

    /// What the token stands for, be it a user's or a service's.
    ///
    /// # Errors
    /// [`Refused`]. A caller outside learns only 401, or 503 for [`Refused::Unavailable`]:
    /// `Problem::from`.
    pub async fn verify(&self, raw: &str) -> Result<Arc<Token>, Refused> {
        let verified = self.0.verifier.verify(raw).await;
        if let Err(refused) = &verified {
            tracing::debug!(%refused, "a token was refused");
            metrics::counter!("riwaq_tokens_refused_total", "reason" => format!("{refused:?}"))
                .increment(1);
        }
        verified
    }

    /// What the issuer tells one of `clients` (by their ids) about somebody who has signed out (OpenID Connect Back-Channel
    /// Logout 1.0, section 2.6): signature, issuer, audience, times and kind of the token are checked, and that it
    /// names a session or a person. Whoever acts on it revokes its `jti`, so that it counts once.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Revoked`] for one that came before, [`Refused::Unavailable`] where that cannot be told yet.
    pub async fn verify_logout(&self, raw: &str, clients: &[&str]) -> Result<LogoutToken, Refused> {
        self.0.verifier.verify_logout(raw, clients).await
    }

    /// The person behind a user's token.
    ///
    /// # Errors
    /// As [`Identity::verify`]; [`Refused::NotAUser`] for a service's token.
    pub async fn actor(&self, raw: &str) -> Result<Actor, Refused> {
        let token = self.verify(raw).await?;
        if token.owner != TokenOwner::User {
            return Err(Refused::NotAUser);
        }
        let permissions = self.0.roles.permissions(&token.roles);
        Ok(Actor::new(token, permissions))
    }

    /// What the holder of these roles may do.
    #[must_use]
    pub fn permissions<S: AsRef<str>>(&self, roles: impl IntoIterator<Item = S>) -> PermissionSet {
        self.0.roles.permissions(roles)
    }

    /// The roles as they are known here.
    #[must_use]
    pub fn roles(&self) -> &RoleBook {
        &self.0.roles
    }

    /// Refuses, in this process, what `revocation` names. The process that revokes calls it, and
    /// tells the others by the broadcast.
    pub fn revoke(&self, revocation: Revocation) {
        self.0.verifier.revocations().add(revocation);
    }

    /// Puts the caller of every request into its extensions.
    #[must_use]
    pub fn layer(&self) -> IdentityLayer {
        IdentityLayer::new(self.clone())
    }

    /// For the readiness check.
    ///
    /// # Errors
    /// What has not been loaded since the start.
    pub fn ready(&self) -> Result<(), NotReady> {
        if !self.0.verifier.revocations().is_loaded() {
            return Err(NotReady::Revocations);
        }
        if !self.0.roles_loaded.load(Ordering::Acquire) {
            return Err(NotReady::Roles);
        }
        Ok(())
    }

    /// Takes revocations and roles as they are given, instead of loading them: for the service that
    /// keeps them itself, and for tests.
    pub fn preload(&self, revocations: Vec<Revocation>, roles: Vec<(String, PermissionSet)>) {
        self.0.verifier.revocations().load(revocations);
        self.take_roles(roles);
    }

    /// Loads the revocations anew and drops those that have expired.
    ///
    /// # Errors
    /// Those of the source; what is known stays.
    pub async fn load_revocations(&self) -> Result<(), RevocationSourceError> {
        let revocations = self.0.deps.revocations.list().await?;
        let set = self.0.verifier.revocations();
        set.load(revocations);
        set.tidy(self.0.deps.clock.now().timestamp_millis());
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("riwaq_revocations").set(set.len() as f64);
        Ok(())
    }

    /// Loads the roles anew.
    ///
    /// # Errors
    /// Those of the source; what is known stays.
    pub async fn load_roles(&self) -> Result<(), RoleSourceError> {
        let roles = self.0.deps.roles.list().await?;
        self.take_roles(roles);
        Ok(())
    }

    fn take_roles(&self, roles: Vec<(String, PermissionSet)>) {
        self.0.roles.replace(roles);
        self.0.roles_loaded.store(true, Ordering::Release);
    }

    /// Fetches the issuer's keys now (at most once in the configured pause).
    ///
    /// # Errors
    /// Those of the fetcher; the known keys stay.
    pub async fn refresh_keys(&self) -> Result<(), KeyFetchError> {
        self.0.verifier.refresh_keys().await
    }

    pub(crate) async fn attend_keys(&self) {
        self.0.verifier.attend_keys().await;
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.deps.clock
    }

    pub(crate) fn config(&self) -> &IdentityConfig {
        &self.0.config
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("issuer", &self.0.config.issuer)
            .finish_non_exhaustive()
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unavailable => Self::unavailable(refused),
            Refused::NotAUser => Self::forbidden("a service's own token is not a user's"),
            _ => Self::unauthenticated("the token is not valid, or not any more"),
        }
    }
}
