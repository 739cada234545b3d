//! Configuration.

use serde::{Deserialize, Serialize};

/// How this directory works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalDirectoryConfig {
    /// How passwords are hashed.
    pub hashing: HashingConfig,
    /// A claimed login name that no account lists is left alone this long, in seconds: its
    /// account may still be on its way. Longer than any write takes.
    pub claim_grace_seconds: u32,
}

/// How passwords are hashed: argon2id (RFC 9106). The defaults are OWASP's. A changed parameter
/// takes effect for an account when its person signs in the next time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HashingConfig {
    /// Memory of one hash, in KiB: 8 to 1,048,576.
    pub memory_kib: u32,
    /// Passes over the memory: 1 to 64.
    pub iterations: u32,
    /// Lanes: 1 to 16. They are computed one after the other.
    pub lanes: u32,
    /// Hashes computed at the same time, each on a thread of its own: 1 to 256. Times
    /// `memory_kib` this is the memory that sign-ins can take.
    pub parallel: usize,
    /// Passwords that may wait for their turn; more are answered with "busy".
    pub queue: usize,
}

/// A value of the configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigError {
    /// The field, from the section of this directory.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

impl Default for LocalDirectoryConfig {
    fn default() -> Self {
        Self {
            hashing: HashingConfig::default(),
            claim_grace_seconds: 60,
        }
    }
}

impl Default for HashingConfig {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            lanes: 1,
            parallel: 4,
            queue: 2000,
        }
    }
}

impl HashingConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |good: bool, field, message| {
            if good {
                Ok(())
            } else {
                Err(ConfigError { field, message })
            }
        };
        check(
            (1..=16).contains(&self.lanes),
            "hashing.lanes",
            "from 1 to 16",
        )?;
        check(
            (1..=64).contains(&self.iterations),
            "hashing.iterations",
            "from 1 to 64",
        )?;
        check(
            (8..=1 << 20).contains(&self.memory_kib),
            "hashing.memory_kib",
            "from 8 to 1048576",
        )?;
        check(
            self.memory_kib >= 8 * self.lanes,
            "hashing.memory_kib",
            "at least 8 for each lane",
        )?;
        check(
            (1..=256).contains(&self.parallel),
            "hashing.parallel",
            "from 1 to 256",
        )?;
        check(self.queue <= 1 << 20, "hashing.queue", "at most 1048576")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_nonsense_names_its_field() {
        HashingConfig::default().validate().unwrap();
        let bad = HashingConfig {
            lanes: 4,
            memory_kib: 31,
            ..HashingConfig::default()
        };
        assert_eq!(bad.validate().unwrap_err().field, "hashing.memory_kib");
        let bad = HashingConfig {
            parallel: 0,
            ..HashingConfig::default()
        };
        assert_eq!(bad.validate().unwrap_err().field, "hashing.parallel");
    }
}
