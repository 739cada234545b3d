//! Configuration.

use serde::{Deserialize, Serialize};

use crate::BuildError;

/// How the search service works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How documents are read. `extraction.program` is filled in by the program itself.
    pub extraction: riwaq_extraction::Config,
    /// How many events are handled at once, 1 to 64. How many documents are read at once is
    /// `extraction.concurrency`.
    pub workers: usize,
    /// Whether an index that is empty at the start (new, lost, or of an older format) is filled
    /// from the files and courses services.
    pub rebuild_when_empty: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            extraction: riwaq_extraction::Config::default(),
            workers: 4,
            rebuild_when_empty: true,
        }
    }
}

impl Config {
    /// Checks what cannot work.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn validate(&self) -> Result<(), BuildError> {
        let limits = &self.extraction.limits;
        let checks = [
            ((1..=64).contains(&self.workers), "workers", "from 1 to 64"),
            (
                self.extraction.concurrency > 0,
                "extraction.concurrency",
                "at least 1",
            ),
            (limits.pages > 0, "extraction.limits.pages", "at least 1"),
            (
                limits.characters > 0,
                "extraction.limits.characters",
                "at least 1",
            ),
            (
                limits.wall_seconds > 0,
                "extraction.limits.wall_seconds",
                "at least 1",
            ),
            (
                limits.cpu_seconds > 0,
                "extraction.limits.cpu_seconds",
                "at least 1",
            ),
        ];
        match checks.into_iter().find(|(good, ..)| !good) {
            None => Ok(()),
            Some((_, field, message)) => Err(BuildError::Config {
                field,
                message: message.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_zeros_are_not() {
        Config::default().validate().unwrap();
        let idle = Config {
            workers: 0,
            ..Config::default()
        };
        assert!(
            idle.validate()
                .unwrap_err()
                .to_string()
                .starts_with("workers")
        );
    }
}
