//! Tokens that were verified, so that the signature is checked once in each process.

use std::sync::Arc;

use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::Token;

/// Keyed by the whole token: two that hash alike are still told apart. The hash is keyed anew in every process, and
/// only tokens that the issuer signed get in, so nobody can fill one place of the table.
pub(super) struct TokenCache(Cache<Arc<str>, Arc<Token>, RandomState>);

impl TokenCache {
    /// Entries leave when there are too many. That they expire is checked by whoever reads them.
    pub(super) fn new(capacity: u64) -> Self {
        let builder = Cache::builder().max_capacity(capacity);
        Self(builder.build_with_hasher(RandomState::default()))
    }

    pub(super) fn get(&self, raw: &str) -> Option<Arc<Token>> {
        self.0.get(raw)
    }

    pub(super) fn insert(&self, token: Arc<Token>) {
        self.0.insert(Arc::clone(&token.raw), token);
    }

    pub(super) fn remove(&self, raw: &str) {
        self.0.invalidate(raw);
    }

    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}
