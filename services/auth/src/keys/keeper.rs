//! Keys as records: one row, changed by compare-and-set; what a replica uses is a copy in memory.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::{Expect, ReadLevel, Store, Stored};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ring::{Due, KeyEntry, KeyRing};
use super::{RotationPolicy, SigningAlgorithm, SigningKey};
use crate::records::KeyRingRow;
use crate::secrets::{SealingKey, random};

const ISSUER: &str = "issuer";
/// Rotations that were overtaken by other replicas before we give up.
const ATTEMPTS: usize = 8;

/// The issuer's keys on this replica.
pub(crate) struct KeyKeeper {
    store: Store,
    clock: SharedClock,
    sealing: SealingKey,
    policy: RotationPolicy,
    algorithms: Vec<SigningAlgorithm>,
    loaded: ArcSwap<Loaded>,
}

#[derive(Default)]
struct Loaded {
    ring: KeyRing,
    /// Private keys that may sign, opened.
    signers: Vec<Arc<SigningKey>>,
}

impl KeyKeeper {
    /// Nothing is loaded yet: see [`Self::refresh`]. RS256 is always among the algorithms.
    pub(crate) fn new(
        store: Store,
        clock: SharedClock,
        sealing: SealingKey,
        policy: RotationPolicy,
        preferred: SigningAlgorithm,
    ) -> Self {
        let mut algorithms = vec![SigningAlgorithm::RS256];
        if preferred != SigningAlgorithm::RS256 {
            algorithms.push(preferred);
        }
        Self {
            store,
            clock,
            sealing,
            policy,
            algorithms,
            loaded: ArcSwap::default(),
        }
    }

    /// The key that signs now.
    pub(crate) async fn signer(&self, algorithm: SigningAlgorithm) -> ApiResult<Arc<SigningKey>> {
        if let Some(key) = self.loaded_signer(algorithm) {
            return Ok(key);
        }
        self.refresh().await?;
        self.loaded_signer(algorithm)
            .ok_or_else(|| Problem::unavailable(format!("there is no {} key", algorithm.name())))
    }

    fn loaded_signer(&self, algorithm: SigningAlgorithm) -> Option<Arc<SigningKey>> {
        let loaded = self.loaded.load();
        let entry = loaded.ring.signer(algorithm, self.clock.now())?;
        loaded
            .signers
            .iter()
            .find(|key| key.kid == entry.kid)
            .map(Arc::clone)
    }

    /// The published key set (RFC 7517, 5).
    pub(crate) async fn jwks(&self) -> ApiResult<Value> {
        if self.loaded.load().ring.entries.is_empty() {
            self.refresh().await?;
        }
        let loaded = self.loaded.load();
        let published = loaded.ring.published(&self.policy, self.clock.now());
        let keys: Vec<Value> = published
            .iter()
            .map(|key| key.public.jwk(&key.kid))
            .collect();
        Ok(json!({ "keys": keys }))
    }

    /// The claims of a token that we signed with a key still published; its times are not looked at.
    pub(crate) async fn claims_of_our_token(&self, token: &str) -> ApiResult<Option<Value>> {
        self.jwks().await?;
        let loaded = self.loaded.load();
        let published = loaded.ring.published(&self.policy, self.clock.now());
        Ok(open_token(token, &published))
    }

    /// Reads the keys again, and makes the ones that are due. The first replica that does so wins.
    pub(crate) async fn refresh(&self) -> ApiResult<()> {
        for _ in 0..ATTEMPTS {
            let stored = self
                .store
                .get_stored::<KeyRingRow>((ISSUER.to_owned(),), ReadLevel::Quorum)
                .await?;
            let now = self.clock.now();
            let ring = stored
                .as_ref()
                .map(|stored| stored.row.ring.clone())
                .unwrap_or_default();
            let Some(due) = ring.due(&self.algorithms, &self.policy, now) else {
                return self.load(ring);
            };
            let made = self.make(due).await?;
            tracing::info!(kid = made.kid, sign_from = %made.sign_from, "a signing key is made");
            let next = ring.with(made, &self.policy, now);
            let _ = self.save(next, stored.as_ref(), now).await?;
        }
        Err(Problem::unavailable(
            "the keys are changed by too many at once",
        ))
    }

    /// Throws every key away and signs with new ones at once: whatever was signed before is
    /// worthless as soon as verifiers read the key set again. For when a key has leaked.
    pub(crate) async fn replace_all(&self) -> ApiResult<()> {
        for _ in 0..ATTEMPTS {
            let stored = self
                .store
                .get_stored::<KeyRingRow>((ISSUER.to_owned(),), ReadLevel::Quorum)
                .await?;
            let now = self.clock.now();
            let mut ring = KeyRing::default();
            while let Some(due) = ring.due(&self.algorithms, &self.policy, now) {
                ring = ring.with(self.make(due).await?, &self.policy, now);
            }
            if self.save(ring.clone(), stored.as_ref(), now).await? {
                tracing::warn!("all signing keys are replaced");
                return self.load(ring);
            }
        }
        Err(Problem::unavailable(
            "the keys are changed by too many at once",
        ))
    }

    /// Keeps the keys of this replica fresh. The interval must be well below the time that a key is
    /// published ahead.
    pub(crate) async fn run(self: Arc<Self>, every: Duration, closing: CancellationToken) {
        while closing
            .run_until_cancelled(self.clock.sleep(every))
            .await
            .is_some()
        {
            if let Err(problem) = self.refresh().await {
                tracing::warn!(%problem, "the keys could not be read again");
            }
        }
    }

    async fn save(
        &self,
        ring: KeyRing,
        stored: Option<&Stored<KeyRingRow>>,
        now: DateTime<Utc>,
    ) -> ApiResult<bool> {
        let row = KeyRingRow {
            name: ISSUER.to_owned(),
            ring,
            updated_at: now,
        };
        let decision = match stored {
            None => self.store.insert_if_absent(&row, Uuid::new_v4()).await?,
            Some(stored) => {
                self.store
                    .compare_and_set(&row, Expect::op_id(stored.op_id), Uuid::new_v4())
                    .await?
            }
        };
        Ok(decision.is_applied())
    }

    async fn make(&self, due: Due) -> ApiResult<KeyEntry> {
        let kid = URL_SAFE_NO_PAD.encode(random::<9>()?);
        // RSA takes a good part of a second.
        let made = tokio::task::spawn_blocking(move || due.algorithm.generate())
            .await
            .map_err(Problem::internal)??;
        let sealed = self.sealing.seal(&place(&kid), &made.pkcs8)?;
        Ok(KeyEntry {
            kid,
            algorithm: due.algorithm,
            sign_from: due.sign_from,
            public: made.public,
            sealed: URL_SAFE_NO_PAD.encode(sealed),
        })
    }

    fn load(&self, ring: KeyRing) -> ApiResult<()> {
        let loaded = self.loaded.load();
        if loaded.ring == ring {
            return Ok(());
        }
        let mut signers = Vec::new();
        for entry in &ring.entries {
            let known = loaded.signers.iter().find(|key| key.kid == entry.kid);
            signers.push(match known {
                Some(key) => Arc::clone(key),
                None => Arc::new(self.open(entry)?),
            });
        }
        self.loaded.store(Arc::new(Loaded { ring, signers }));
        Ok(())
    }

    fn open(&self, entry: &KeyEntry) -> ApiResult<SigningKey> {
        let pkcs8 = URL_SAFE_NO_PAD
            .decode(&entry.sealed)
            .ok()
            .and_then(|sealed| self.sealing.open(&place(&entry.kid), &sealed));
        let Some(pkcs8) = pkcs8 else {
            return Err(Problem::internal(format!(
                "the signing key {} cannot be decrypted: is the configured secret another one?",
                entry.kid
            )));
        };
        SigningKey::from_pkcs8(entry.algorithm, &entry.kid, &pkcs8)
    }
}

fn place(kid: &str) -> String {
    format!("signing key {kid}")
}

/// Checks the signature by the key that the header names, and by that key's own algorithm.
fn open_token(token: &str, published: &[&KeyEntry]) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let kid = header.get("kid")?.as_str()?;
    let entry = published.iter().find(|entry| entry.kid == kid)?;
    if header.get("alg")?.as_str()? != entry.algorithm.name() {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !entry.public.verifies(message.as_bytes(), &signature) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests;
