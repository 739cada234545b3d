//! A person's session at the issuer, and the chains of refresh tokens that hang on it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The most chains in one session; the one that was longest unused makes room.
const MAX_CHAINS: usize = 32;

/// One session. It is ended as a whole: by logout, by a replayed token or code, by its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// When the password was typed.
    pub(crate) signed_in_at: DateTime<Utc>,
    /// The fingerprint of the cookie at the issuer's own pages; none for the password endpoint.
    pub(crate) cookie_fingerprint: Option<String>,
    /// Chains of refresh tokens, by number.
    pub(crate) chains: BTreeMap<u64, Chain>,
    /// The number that the next chain gets.
    pub(crate) next_chain: u64,
}

/// The refresh tokens that follow one another from one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) client_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) salt: String,
    /// The number of the token that is good now.
    pub(crate) current: u32,
    /// When it became good.
    pub(crate) rotated_at: DateTime<Utc>,
}

/// What a genuine refresh token turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The current one: the next becomes current.
    Rotate,
    /// The one before, moments ago: two tabs, or a lost answer. The current one is given again.
    Repeat,
    /// An older one: somebody else has a copy.
    Replayed,
    /// Of a chain that is not there any more, unused for too long, or of another client.
    Refused,
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefreshLimits {
    pub(crate) grace: TimeDelta,
    pub(crate) idle: TimeDelta,
}

impl Session {
    pub(crate) fn new(signed_in_at: DateTime<Utc>, cookie_fingerprint: Option<String>) -> Self {
        Self {
            signed_in_at,
            cookie_fingerprint,
            chains: BTreeMap::new(),
            next_chain: 0,
        }
    }

    /// Begins a chain; returns its number.
    pub(crate) fn begin_chain(&mut self, chain: Chain) -> u64 {
        if self.chains.len() >= MAX_CHAINS {
            let oldest = self
                .chains
                .iter()
                .min_by_key(|(_, chain)| chain.rotated_at)
                .map(|(number, _)| *number);
            oldest.map(|number| self.chains.remove(&number));
        }
        let number = self.next_chain;
        self.next_chain += 1;
        self.chains.insert(number, chain);
        number
    }

    /// What to do about a genuine token of this session.
    pub(crate) fn judge(
        &self,
        chain: u64,
        number: u32,
        client_id: &str,
        now: DateTime<Utc>,
        limits: RefreshLimits,
    ) -> Refresh {
        let Some(chain) = self
            .chains
            .get(&chain)
            .filter(|chain| chain.client_id == client_id)
        else {
            return Refresh::Refused;
        };
        if number < chain.current {
            let moments_ago = number + 1 == chain.current && now <= chain.rotated_at + limits.grace;
            return if moments_ago {
                Refresh::Repeat
            } else {
                Refresh::Replayed
            };
        }
        if number > chain.current || now > chain.rotated_at + limits.idle {
            return Refresh::Refused;
        }
        Refresh::Rotate
    }

    /// Makes the next token of the chain current; returns its number.
    pub(crate) fn rotate(&mut self, chain: u64, now: DateTime<Utc>) -> Option<u32> {
        let chain = self.chains.get_mut(&chain)?;
        chain.current = chain.current.checked_add(1)?;
        chain.rotated_at = now;
        Some(chain.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RefreshLimits = RefreshLimits {
        grace: TimeDelta::seconds(10),
        idle: TimeDelta::seconds(1000),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn chain(second: i64) -> Chain {
        Chain {
            client_id: "app".into(),
            scopes: BTreeSet::new(),
            salt: "s".into(),
            current: 0,
            rotated_at: at(second),
        }
    }

    fn session() -> (Session, u64) {
        let mut session = Session::new(at(0), None);
        let number = session.begin_chain(chain(0));
        (session, number)
    }

    #[test]
    fn a_token_rotates_once_and_may_be_repeated_for_moments() {
        let (mut session, chain) = session();
        assert_eq!(
            session.judge(chain, 0, "app", at(5), LIMITS),
            Refresh::Rotate
        );
        assert_eq!(session.rotate(chain, at(5)), Some(1));
        assert_eq!(
            session.judge(chain, 1, "app", at(6), LIMITS),
            Refresh::Rotate
        );
        assert_eq!(
            session.judge(chain, 0, "app", at(15), LIMITS),
            Refresh::Repeat
        );
        assert_eq!(
            session.judge(chain, 0, "app", at(16), LIMITS),
            Refresh::Replayed
        );
        session.rotate(chain, at(7));
        assert_eq!(
            session.judge(chain, 0, "app", at(8), LIMITS),
            Refresh::Replayed,
            "two back is never moments ago"
        );
    }

    #[test]
    fn what_does_not_belong_is_refused_and_ends_nothing() {
        let (session, chain) = session();
        assert_eq!(
            session.judge(chain, 0, "other", at(1), LIMITS),
            Refresh::Refused
        );
        assert_eq!(
            session.judge(chain + 1, 0, "app", at(1), LIMITS),
            Refresh::Refused
        );
        assert_eq!(
            session.judge(chain, 1, "app", at(1), LIMITS),
            Refresh::Refused,
            "not given out yet"
        );
        assert_eq!(
            session.judge(chain, 0, "app", at(1001), LIMITS),
            Refresh::Refused,
            "unused for too long"
        );
    }

    #[test]
    fn the_chain_that_was_longest_unused_makes_room() {
        let mut session = Session::new(at(0), None);
        for n in 0..MAX_CHAINS as i64 {
            session.begin_chain(chain(n));
        }
        session.rotate(0, at(500));
        let newest = session.begin_chain(chain(501));
        assert_eq!(newest, MAX_CHAINS as u64);
        assert_eq!(session.chains.len(), MAX_CHAINS);
        assert!(session.chains.contains_key(&0) && !session.chains.contains_key(&1));
    }
}
