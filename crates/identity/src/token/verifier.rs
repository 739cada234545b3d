//! The verification itself.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use riwaq_clock::SharedClock;

use super::cache::{TokenCache, fingerprint};
use super::claims::{Claims, Header};
use super::key_set::Key;
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
        crate::install_crypto();
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
        let key = fingerprint(raw);
        if let Some(token) = self.cache.get(&key) {
            // A revoked one stays in the cache: refusing it again costs no signature check.
            return match self.still_good(&token) {
                Ok(()) => Ok(token),
                Err(Refused::Expired) => {
                    self.cache.remove(&key);
                    Err(Refused::Expired)
                }
                Err(refused) => Err(refused),
            };
        }
        let token = Arc::new(self.verify_fresh(raw).await?);
        self.cache.insert(key, Arc::clone(&token));
        self.still_good(&token)?;
        Ok(token)
    }

    /// What may have changed since the signature was checked.
    fn still_good(&self, token: &Token) -> Result<(), Refused> {
        let leeway = i64::try_from(self.config.leeway_seconds)
            .unwrap_or(0)
            .saturating_mul(1000);
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
        let header = read_header(raw)?;
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(Refused::Algorithm),
        };
        let kid = header.kid.ok_or(Refused::UnknownKey)?;
        let key = self.keys.find(&kid, || self.cache.clear()).await?;
        if key.algorithm != algorithm {
            return Err(Refused::Algorithm);
        }
        verify_signature(raw, &key)?.check(raw, &self.config, self.clock.now())
    }
}

fn read_header(raw: &str) -> Result<Header, Refused> {
    let mut parts = raw.split('.');
    let (Some(header), Some(_), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refused::Malformed);
    };
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| Refused::Malformed)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| Refused::Malformed)?;
    // After the header, so that `none`, which has no signature, is called what it is.
    if header.crit.is_some() || (signature.is_empty() && !header.alg.eq_ignore_ascii_case("none")) {
        return Err(Refused::Malformed);
    }
    Ok(header)
}

/// Only the signature: jsonwebtoken compares times with the machine's clock, we with ours.
fn verify_signature(raw: &str, key: &Key) -> Result<Claims, Refused> {
    use jsonwebtoken::errors::ErrorKind;
    let mut rules = Validation::new(key.algorithm);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    match jsonwebtoken::decode::<Claims>(raw, &key.decoding, &rules) {
        Ok(decoded) => Ok(decoded.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => Refused::Signature,
            ErrorKind::InvalidAlgorithm => Refused::Algorithm,
            _ => Refused::Malformed,
        }),
    }
}
