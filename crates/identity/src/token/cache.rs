//! Tokens that were verified, so that the signature is checked once in each process.

use std::sync::Arc;

use moka::sync::Cache;
use ring::digest::{SHA256, digest};

use super::Token;

/// Keyed by digest: a dump of the cache's keys gives no token away.
pub(super) type Fingerprint = [u8; 32];

pub(super) struct TokenCache(Cache<Fingerprint, Arc<Token>>);

impl TokenCache {
    /// Entries leave when there are too many. That they expire is checked by whoever reads them.
    pub(super) fn new(capacity: u64) -> Self {
        Self(Cache::new(capacity))
    }

    pub(super) fn get(&self, key: &Fingerprint) -> Option<Arc<Token>> {
        self.0.get(key)
    }

    pub(super) fn insert(&self, key: Fingerprint, token: Arc<Token>) {
        self.0.insert(key, token);
    }

    pub(super) fn remove(&self, key: &Fingerprint) {
        self.0.invalidate(key);
    }

    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}

pub(super) fn fingerprint(raw: &str) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, raw.as_bytes()).as_ref());
    fingerprint
}
