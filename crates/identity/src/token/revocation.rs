//! Tokens that must be refused although they have not expired.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Token;

/// What a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationKind {
    /// Every token of a user (`sub`).
    Subject,
    /// Every token of a sign-in session (`sid`).
    Sid,
    /// One token (`jti`).
    Jti,
}

impl RevocationKind {
    /// As written in the contract.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "subject" => Some(Self::Subject),
            "sid" => Some(Self::Sid),
            "jti" => Some(Self::Jti),
            _ => None,
        }
    }
}

/// Tokens named so, and issued before `not_before`, are refused. Also the data of the broadcast
/// `riwaq.auth.revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What `value` is.
    pub kind: RevocationKind,
    /// The user id, session id or token id.
    pub value: String,
    /// Tokens issued before this are refused, in milliseconds since 1970.
    pub not_before_unix_ms: i64,
    /// After this no such token can be alive, in milliseconds since 1970.
    pub expires_unix_ms: i64,
}

/// The set of revocations could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("revocations could not be loaded: {reason}")]
pub struct RevocationSourceError {
    /// Why.
    pub reason: String,
}

/// Where a replica that starts gets the present set from.
#[async_trait]
pub trait RevocationSource: Send + Sync + fmt::Debug {
    /// Every revocation that has not expired.
    ///
    /// # Errors
    /// When the auth service does not answer.
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError>;
}

/// The set as this process knows it.
#[derive(Default)]
pub(crate) struct RevocationSet {
    subjects: DashMap<Uuid, Times>,
    sessions: DashMap<String, Times>,
    tokens: DashMap<String, Times>,
    loaded: AtomicBool,
}

#[derive(Clone, Copy)]
struct Times {
    not_before_ms: i64,
    expires_ms: i64,
}

impl RevocationSet {
    /// Adds what was loaded; from now on the set can be relied on.
    pub(crate) fn load(&self, revocations: Vec<Revocation>) {
        for revocation in revocations {
            self.add(revocation);
        }
        self.loaded.store(true, Ordering::Release);
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Adds one. Events come in any order: the later times win.
    pub(crate) fn add(&self, revocation: Revocation) {
        let times = Times {
            not_before_ms: revocation.not_before_unix_ms,
            expires_ms: revocation.expires_unix_ms,
        };
        match revocation.kind {
            RevocationKind::Subject => match Uuid::try_parse(&revocation.value) {
                Ok(subject) => merge(&self.subjects, subject, times),
                // No token has such a subject.
                Err(_) => tracing::warn!("a revocation names a subject that is not an id"),
            },
            RevocationKind::Sid => merge(&self.sessions, revocation.value, times),
            RevocationKind::Jti => merge(&self.tokens, revocation.value, times),
        }
    }

    /// Drops what no living token can be named by.
    pub(crate) fn tidy(&self, now_ms: i64) {
        self.subjects.retain(|_, times| times.expires_ms > now_ms);
        self.sessions.retain(|_, times| times.expires_ms > now_ms);
        self.tokens.retain(|_, times| times.expires_ms > now_ms);
    }

    pub(crate) fn refuses(&self, token: &Token) -> bool {
        let older = |times: Times| token.issued_ms < times.not_before_ms;
        let named = |map: &DashMap<String, Times>, name: &Option<Box<str>>| {
            let name = name.as_deref();
            name.is_some_and(|name| map.get(name).is_some_and(|times| older(*times)))
        };
        self.subjects
            .get(&token.subject)
            .is_some_and(|times| older(*times))
            || named(&self.sessions, &token.sid)
            || named(&self.tokens, &token.jti)
    }

    /// Whether the token of this id is refused: also how a logout token is told that came before.
    pub(crate) fn refuses_id(&self, jti: &str, issued_ms: i64) -> bool {
        let times = self.tokens.get(jti);
        times.is_some_and(|times| issued_ms < times.not_before_ms)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.subjects.len() + self.sessions.len() + self.tokens.len()
    }
}

fn merge<K: Eq + Hash>(map: &DashMap<K, Times>, key: K, times: Times) {
    map.entry(key)
        .and_modify(|known| {
            known.not_before_ms = known.not_before_ms.max(times.not_before_ms);
            known.expires_ms = known.expires_ms.max(times.expires_ms);
        })
        .or_insert(times);
}
