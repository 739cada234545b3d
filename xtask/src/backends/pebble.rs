//! Pebble, an authority that speaks ACME: tests start it themselves, each its own.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::PEBBLE;
use super::{golang, install};

pub(crate) struct Pebble {
    program: PathBuf,
}

impl Pebble {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            program: place.program("pebble", PEBBLE.version),
        }
    }
}

impl Server for Pebble {
    fn name(&self) -> &'static str {
        "pebble"
    }

    fn version(&self) -> String {
        PEBBLE.version.into()
    }

    fn address(&self) -> String {
        String::new()
    }

    fn daemons(&self) -> &[Daemon] {
        &[]
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            golang::build(&PEBBLE, &self.program).map(|_| ())
        })
    }

    fn launch(&self, _: usize) -> Result<()> {
        bail!("tests start it themselves")
    }

    fn is_ready(&self, _: usize) -> bool {
        true
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let program = self.program.join("pebble").display().to_string();
        vec![("RIWAQ_TEST_PEBBLE_PROGRAM", program)]
    }
}
