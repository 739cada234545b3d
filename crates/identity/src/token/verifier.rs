//! The verification itself.

use std::sync::Arc;

use riwaq_clock::SharedClock;

use super::cache::TokenCache;
use super::claims::Claims;
use super::jws::Jws;
use super::logout::{self, LogoutToken};
use super::{KeyRing, Refused, RevocationSet, Token, TokenOwner};
use crate::IdentityConfig;

pub(crate) struct Verifier {
    config: IdentityConfig,
    clock: SharedClock,
    keys: KeyRing,
    cache: TokenCache,
    revocations: RevocationSet,
}

impl Verifier {
    pub(crate) fn new(config: IdentityConfig, clock: SharedClock, keys: KeyRing) -> Self {
        let cache = TokenCache::new(config.cached_tokens);
        Self {
            config,
            clock,
            keys,
            cache,
            revocations: RevocationSet::default(),
        }
    }

    pub(crate) fn revocations(&self) -> &RevocationSet {
        &self.revocations
    }

    /// Fetches the issuer's keys now; tokens whose key is gone are not believed any more.
    pub(crate) async fn refresh_keys(&self) -> Result<(), super::KeyFetchError> {
        if self.keys.refresh().await? == super::key_ring::Refresh::KeysLost {
            self.cache.clear();
        }
        Ok(())
    }

    /// What `raw` stands for, if it may be believed now.
    pub(crate) async fn verify(&self, raw: &str) -> Result<Arc<Token>, Refused> {
        if raw.len() > self.config.max_token_bytes {
            return Err(Refused::TooLong);
        }
        if let Some(token) = self.cache.get(raw) {
            // A revoked one stays in the cache: refusing it again costs no signature check.
            return match self.still_good(&token) {
                Ok(()) => Ok(token),
                Err(Refused::Expired) => {
                    self.cache.remove(raw);
                    Err(Refused::Expired)
                }
                Err(refused) => Err(refused),
            };
        }
        let token = Arc::new(self.verify_fresh(raw).await?);
        self.cache.insert(Arc::clone(&token));
        self.still_good(&token)?;
        Ok(token)
    }

    /// What may have changed since the signature was checked.
    fn still_good(&self, token: &Token) -> Result<(), Refused> {
        let leeway = self.config.leeway_ms();
        if token.expires_ms.saturating_add(leeway) <= self.clock.now().timestamp_millis() {
            return Err(Refused::Expired);
        }
        // Services need their own tokens to load the set; only people are signed out by it.
        if token.owner == TokenOwner::User && !self.revocations.is_loaded() {
            return Err(Refused::Unavailable);
        }
        if self.revocations.refuses(token) {
            return Err(Refused::Revoked);
        }
        Ok(())
    }

    async fn verify_fresh(&self, raw: &str) -> Result<Token, Refused> {
        let payload = self.signed(raw).await?;
        Claims::read(&payload)?.check(raw, &self.config, self.clock.now())
    }

    /// What the issuer says to one of `clients` about somebody who has signed out.
    pub(crate) async fn verify_logout(
        &self,
        raw: &str,
        clients: &[&str],
    ) -> Result<LogoutToken, Refused> {
        if raw.len() > self.config.max_token_bytes {
            return Err(Refused::TooLong);
        }
        let payload = self.signed(raw).await?;
        let token = logout::check(&payload, &self.config, clients, self.clock.now())?;
        if !self.revocations.is_loaded() {
            return Err(Refused::Unavailable);
        }
        if self.revocations.refuses_id(&token.jti, token.issued_ms) {
            return Err(Refused::Revoked);
        }
        Ok(token)
    }

    /// The payload, if the issuer signed it.
    async fn signed(&self, raw: &str) -> Result<Vec<u8>, Refused> {
        let jws = Jws::parse(raw)?;
        let algorithm = jws.header.algorithm()?;
        let kid = jws.header.kid.as_deref().ok_or(Refused::UnknownKey)?;
        let key = self.keys.find(kid, || self.cache.clear()).await?;
        if key.algorithm() != algorithm {
            return Err(Refused::Algorithm);
        }
        if !key.verify(jws.message.as_bytes(), &jws.signature()?) {
            return Err(Refused::Signature);
        }
        jws.payload()
    }

    /// Fetches the keys ahead of their time, again and again: no request waits for that.
    pub(crate) async fn attend_keys(&self) {
        self.keys.attend(|| self.cache.clear()).await;
    }
}
