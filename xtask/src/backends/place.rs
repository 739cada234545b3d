//! Where one set of servers keeps its programs and its data, and which ports are its own.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::authority::Authority;
use crate::paths;

/// Below the ports that the system hands out by itself, and not the servers' own.
const FIRST_PORT: u16 = 19_000;
/// How many ports one set may take.
const RANGE: u16 = 100;
const VARIABLE: &str = "RIWAQ_TEST_PORTS";

/// One set of servers: programs shared with every other set, data and ports of its own.
pub(crate) struct Place {
    programs: PathBuf,
    first_port: u16,
    authority: Authority,
}

impl Place {
    /// The set whose ports begin at `first_port`, else at `RIWAQ_TEST_PORTS`, else at the usual one.
    pub(crate) fn new(first_port: Option<u16>) -> Result<Self> {
        let named = match (first_port, paths::variable(VARIABLE)) {
            (Some(port), _) => port,
            (None, Some(text)) => text
                .parse()
                .with_context(|| format!("{VARIABLE} must be a port, not `{text}`"))?,
            (None, None) => FIRST_PORT,
        };
        Self::at(paths::cache().join("backends"), named)
    }

    fn at(programs: PathBuf, first_port: u16) -> Result<Self> {
        if !(1024..=u16::MAX - RANGE).contains(&first_port) {
            bail!(
                "the first port must lie between 1024 and {}",
                u16::MAX - RANGE
            );
        }
        Ok(Self {
            authority: Authority::new(programs.join("authority")),
            programs,
            first_port,
        })
    }

    /// The folder of a program that `name` and its version name.
    pub(crate) fn program(&self, name: &str, version: &str) -> PathBuf {
        self.programs.join(format!("{name}-{version}"))
    }

    /// The folder of this set's data, logs and pid files.
    pub(crate) fn run(&self) -> PathBuf {
        self.programs.join(format!("run-{}", self.first_port))
    }

    /// A port of this set.
    pub(crate) const fn port(&self, offset: u16) -> u16 {
        self.first_port + offset
    }

    /// What signs the servers' certificates.
    pub(crate) const fn authority(&self) -> &Authority {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ranges_share_programs_and_neither_data_nor_ports() {
        let one = Place::at("/cache".into(), 19_000).unwrap();
        let other = Place::at("/cache".into(), 21_000).unwrap();
        assert_eq!(one.program("minio", "1"), other.program("minio", "1"));
        assert_ne!(one.run(), other.run());
        assert_eq!((one.port(42), other.port(42)), (19_042, 21_042));
    }

    #[test]
    fn a_range_that_ends_past_the_last_port_is_refused() {
        assert!(Place::at("/cache".into(), 65_500).is_err());
        assert!(Place::at("/cache".into(), 80).is_err());
    }
}
