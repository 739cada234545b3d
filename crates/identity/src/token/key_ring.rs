//! The issuer's keys as this process knows them: fetched when needed, by one caller at a time, and
//! not too often.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use riwaq_clock::SharedClock;
use tokio::sync::{Mutex, MutexGuard};

use super::Refused;
use super::key_set::{Key, KeySet};
use crate::IdentityConfig;

/// The issuer's key set could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the issuer's keys could not be fetched: {reason}")]
pub struct KeyFetchError {
    /// Why.
    pub reason: String,
}

/// Where the issuer's key set comes from.
#[async_trait]
pub trait KeyFetcher: Send + Sync + fmt::Debug {
    /// The JSON Web Key Set (RFC 7517) as it is now.
    ///
    /// # Errors
    /// When the issuer does not answer, or not with a document.
    async fn fetch(&self) -> Result<Bytes, KeyFetchError>;
}

pub(crate) struct KeyRing {
    fetcher: Arc<dyn KeyFetcher>,
    clock: SharedClock,
    ttl: Duration,
    pause: Duration,
    known: ArcSwapOption<Known>,
    /// When a fetch was last begun. Held while fetching: the others wait for its outcome.
    last_attempt: Mutex<Option<Duration>>,
    /// Whether somebody fetches the set ahead of its time.
    attended: AtomicBool,
}

struct Known {
    set: KeySet,
    fetched: Duration,
}

/// The shortest pause between two attempts of whoever attends the keys.
const RETRY: Duration = Duration::from_secs(5);

/// While it lives, the keys are attended to.
struct Attending<'a>(&'a AtomicBool);

impl<'a> Attending<'a> {
    fn begin(attended: &'a AtomicBool) -> Self {
        attended.store(true, Ordering::Release);
        Self(attended)
    }
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What a refresh did to the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// A key that tokens may have been verified with is gone.
    KeysLost,
    /// All keys that were there still are.
    KeysKept,
}

impl KeyRing {
    pub(crate) fn new(
        fetcher: Arc<dyn KeyFetcher>,
        clock: SharedClock,
        config: &IdentityConfig,
    ) -> Self {
        Self {
            fetcher,
            clock,
            ttl: Duration::from_secs(config.key_ttl_seconds),
            pause: Duration::from_secs(config.key_pause_seconds),
            known: ArcSwapOption::empty(),
            last_attempt: Mutex::default(),
            attended: AtomicBool::new(false),
        }
    }

    /// The key named `kid`; fetches the set when it is old or does not have it. `on_lost` is told
    /// when a fetch shows that a key is gone.
    pub(super) async fn find(&self, kid: &str, on_lost: impl Fn()) -> Result<Arc<Key>, Refused> {
        if let Some(known) = &*self.known.load()
            && let Some(key) = known.set.get(kid)
        {
            if !self.is_old(known) || self.attended.load(Ordering::Acquire) {
                return Ok(Arc::clone(key));
            }
            // Somebody is fetching already: an old key is better than waiting.
            let Ok(last_attempt) = self.last_attempt.try_lock() else {
                return Ok(Arc::clone(key));
            };
            if let Ok(Refresh::KeysLost) = self.fetch(last_attempt).await {
                on_lost();
            }
        } else if let Ok(Refresh::KeysLost) = self.refresh().await {
            on_lost();
        }
        // An issuer that is down does not sign everybody out: the keys stay as they were.
        match &*self.known.load() {
            Some(known) => known.set.get(kid).cloned().ok_or(Refused::UnknownKey),
            None => Err(Refused::Unavailable),
        }
    }

    fn is_old(&self, known: &Known) -> bool {
        self.clock.monotonic() >= known.fetched.saturating_add(self.ttl)
    }

    /// Fetches the set whenever it has become old, so that no request has to wait for it: least of all while the
    /// issuer takes connections and does not answer. Ends when it is dropped.
    pub(crate) async fn attend(&self, on_lost: impl Fn()) {
        let _attending = Attending::begin(&self.attended);
        loop {
            if let Ok(Refresh::KeysLost) = self.refresh().await {
                on_lost();
            }
            let now = self.clock.monotonic();
            let age = match &*self.known.load() {
                Some(known) => now.saturating_sub(known.fetched),
                None => self.ttl,
            };
            let rest = self.ttl.saturating_sub(age);
            self.clock.sleep(rest.max(self.pause).max(RETRY)).await;
        }
    }

    /// Fetches the set, unless that was tried a moment ago.
    pub(crate) async fn refresh(&self) -> Result<Refresh, KeyFetchError> {
        self.fetch(self.last_attempt.lock().await).await
    }

    async fn fetch(
        &self,
        mut last_attempt: MutexGuard<'_, Option<Duration>>,
    ) -> Result<Refresh, KeyFetchError> {
        let now = self.clock.monotonic();
        if last_attempt.is_some_and(|at| now < at.saturating_add(self.pause)) {
            return Ok(Refresh::KeysKept);
        }
        *last_attempt = Some(now);
        let fetched = self.fetcher.fetch().await;
        let set = fetched.and_then(|document| {
            KeySet::parse(&document).map_err(|reason| KeyFetchError {
                reason: reason.to_owned(),
            })
        });
        let set =
            set.inspect_err(|error| tracing::warn!(%error, "the issuer's keys stay as they were"))?;
        let before = self.known.swap(Some(Arc::new(Known {
            set: set.clone(),
            fetched: now,
        })));
        let lost = before.is_some_and(|before| before.set.lost_in(&set));
        Ok(if lost {
            Refresh::KeysLost
        } else {
            Refresh::KeysKept
        })
    }
}
