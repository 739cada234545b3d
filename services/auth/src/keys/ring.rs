//! When which key signs and is published: pure, by the times written beside the keys.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::pair::{PublicKey, SigningAlgorithm};

/// How keys are rotated. All in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotationPolicy {
    /// A key signs for this long (30 days).
    pub rotate_every_seconds: u32,
    /// A key is published this long before it signs (one day): longer than verifiers keep key sets.
    pub publish_ahead_seconds: u32,
    /// A key stays published this long after it has stopped signing (one day): longer than any
    /// token that it signed lives.
    pub keep_after_seconds: u32,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            rotate_every_seconds: 30 * 86_400,
            publish_ahead_seconds: 86_400,
            keep_after_seconds: 86_400,
        }
    }
}

impl RotationPolicy {
    fn every(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.rotate_every_seconds))
    }

    fn ahead(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.publish_ahead_seconds))
    }

    fn after(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.keep_after_seconds))
    }
}

/// One key and its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    pub(crate) kid: String,
    pub(crate) algorithm: SigningAlgorithm,
    /// Signs from here on, until a younger one does.
    pub(crate) sign_from: DateTime<Utc>,
    pub(crate) public: PublicKey,
    /// The private half, encrypted, base64url.
    pub(crate) sealed: String,
}

/// All keys of the issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    pub(crate) entries: Vec<KeyEntry>,
}

/// A key that has to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) sign_from: DateTime<Utc>,
}

impl KeyRing {
    /// The key that signs now.
    pub(crate) fn signer(
        &self,
        algorithm: SigningAlgorithm,
        now: DateTime<Utc>,
    ) -> Option<&KeyEntry> {
        self.of(algorithm)
            .filter(|key| key.sign_from <= now)
            .max_by_key(|key| key.sign_from)
    }

    /// What verifiers may meet: keys that sign, will sign, or signed what may still be valid.
    pub(crate) fn published(&self, policy: &RotationPolicy, now: DateTime<Utc>) -> Vec<&KeyEntry> {
        self.entries
            .iter()
            .filter(|key| !self.is_over(key, policy, now))
            .collect()
    }

    /// The first key that is missing among these algorithms, if one is.
    pub(crate) fn due(
        &self,
        algorithms: &[SigningAlgorithm],
        policy: &RotationPolicy,
        now: DateTime<Utc>,
    ) -> Option<Due> {
        algorithms.iter().find_map(|algorithm| {
            let algorithm = *algorithm;
            let Some(newest) = self.of(algorithm).map(|key| key.sign_from).max() else {
                // Nobody knows any key yet, so there is nobody to wait for.
                return Some(Due {
                    algorithm,
                    sign_from: now,
                });
            };
            let next = newest + policy.every();
            (now >= next - policy.ahead()).then(|| Due {
                algorithm,
                sign_from: next.max(now + policy.ahead()),
            })
        })
    }

    /// With this key, and without those that nobody needs any more.
    pub(crate) fn with(&self, key: KeyEntry, policy: &RotationPolicy, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        next.entries.push(key);
        let kept: Vec<KeyEntry> = next.published(policy, now).into_iter().cloned().collect();
        Self { entries: kept }
    }

    fn of(&self, algorithm: SigningAlgorithm) -> impl Iterator<Item = &KeyEntry> {
        self.entries
            .iter()
            .filter(move |key| key.algorithm == algorithm)
    }

    fn is_over(&self, key: &KeyEntry, policy: &RotationPolicy, now: DateTime<Utc>) -> bool {
        let successor = self
            .of(key.algorithm)
            .map(|other| other.sign_from)
            .filter(|from| *from > key.sign_from)
            .min();
        successor.is_some_and(|from| from + policy.after() <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::RS256, SigningAlgorithm::EdDsa];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn policy() -> RotationPolicy {
        RotationPolicy {
            rotate_every_seconds: 1000,
            publish_ahead_seconds: 100,
            keep_after_seconds: 50,
        }
    }

    fn key(due: Due) -> KeyEntry {
        KeyEntry {
            kid: format!(
                "{}@{}",
                due.algorithm.name(),
                due.sign_from.timestamp() - 1_800_000_000
            ),
            algorithm: due.algorithm,
            sign_from: due.sign_from,
            public: PublicKey::Ed25519 { x: String::new() },
            sealed: String::new(),
        }
    }

    fn kids(keys: Vec<&KeyEntry>) -> Vec<&str> {
        keys.iter().map(|key| key.kid.as_str()).collect()
    }

    #[test]
    fn the_first_key_signs_at_once() {
        let ring = KeyRing::default();
        let due = ring.due(&BOTH, &policy(), at(0)).unwrap();
        assert_eq!(
            due,
            Due {
                algorithm: SigningAlgorithm::RS256,
                sign_from: at(0)
            }
        );
        let ring = ring.with(key(due), &policy(), at(0));
        assert_eq!(
            ring.signer(SigningAlgorithm::RS256, at(0)).unwrap().kid,
            "RS256@0"
        );
        let other = ring.due(&BOTH, &policy(), at(0)).unwrap();
        assert_eq!(other.algorithm, SigningAlgorithm::EdDsa);
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_its_predecessor_after() {
        let only = [SigningAlgorithm::RS256];
        let first = key(Due {
            algorithm: only[0],
            sign_from: at(0),
        });
        let ring = KeyRing::default().with(first, &policy(), at(0));
        assert_eq!(ring.due(&only, &policy(), at(899)), None);
        let due = ring.due(&only, &policy(), at(900)).unwrap();
        assert_eq!(due.sign_from, at(1000));
        let ring = ring.with(key(due), &policy(), at(900));
        assert_eq!(
            ring.due(&only, &policy(), at(900)),
            None,
            "one successor is enough"
        );
        for (second, signer, published) in [
            (900, "RS256@0", vec!["RS256@0", "RS256@1000"]),
            (999, "RS256@0", vec!["RS256@0", "RS256@1000"]),
            (1000, "RS256@1000", vec!["RS256@0", "RS256@1000"]),
            (1049, "RS256@1000", vec!["RS256@0", "RS256@1000"]),
            (1050, "RS256@1000", vec!["RS256@1000"]),
        ] {
            assert_eq!(
                ring.signer(only[0], at(second)).unwrap().kid,
                signer,
                "{second}"
            );
            assert_eq!(
                kids(ring.published(&policy(), at(second))),
                published,
                "{second}"
            );
        }
    }

    #[test]
    fn after_a_long_sleep_a_new_key_is_still_published_ahead() {
        let only = [SigningAlgorithm::RS256];
        let first = key(Due {
            algorithm: only[0],
            sign_from: at(0),
        });
        let ring = KeyRing::default().with(first, &policy(), at(0));
        let due = ring.due(&only, &policy(), at(50_000)).unwrap();
        assert_eq!(due.sign_from, at(50_100));
        let ring = ring.with(key(due), &policy(), at(50_000));
        assert_eq!(ring.signer(only[0], at(50_050)).unwrap().kid, "RS256@0");
        assert_eq!(kids(ring.published(&policy(), at(50_050))).len(), 2);
        let next = ring.due(&only, &policy(), at(51_000)).unwrap();
        let ring = ring.with(key(next), &policy(), at(51_050));
        assert_eq!(
            kids(ring.published(&policy(), at(51_050))),
            ["RS256@50100", "RS256@51100"]
        );
    }
}
