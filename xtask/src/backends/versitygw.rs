//! The Versity S3 gateway over a folder: a second S3 server of other makers, over TLS.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::authority::Authority;
use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::VERSITYGW;
use super::{golang, install, probe};

const ACCESS: &str = "riwaq-tests";
const SECRET: &str = "riwaq-tests-secret";
const PORT: u16 = 20;

pub(crate) struct VersityGateway {
    port: u16,
    program: PathBuf,
    authority: Authority,
    daemons: [Daemon; 1],
}

impl VersityGateway {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            port: place.port(PORT),
            program: place.program("versitygw", VERSITYGW.version),
            authority: place.authority().clone(),
            daemons: [Daemon::new(&place.run(), "versitygw")],
        }
    }
}

impl Server for VersityGateway {
    fn name(&self) -> &'static str {
        "versitygw"
    }

    fn version(&self) -> String {
        VERSITYGW.version.into()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            golang::build(&VERSITYGW, &self.program).map(|_| ())
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        let (data, versions) = (
            daemon.folder().join("data"),
            daemon.folder().join("versions"),
        );
        fs::create_dir_all(&data)?;
        fs::create_dir_all(&versions)?;
        daemon.start(
            Command::new(self.program.join("versitygw"))
                .args(["--port", &self.address(), "--quiet", "--keep-alive"])
                .arg("--cert")
                .arg(self.authority.certificate())
                .arg("--key")
                .arg(self.authority.key())
                .arg("posix")
                .arg("--versioning-dir")
                .arg(versions)
                .arg(data)
                .env("ROOT_ACCESS_KEY", ACCESS)
                .env("ROOT_SECRET_KEY", SECRET),
        )
    }

    /// It opens its port last.
    fn is_ready(&self, _: usize) -> bool {
        probe::listens(&self.address())
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let address = format!("https://{ACCESS}:{SECRET}@localhost:{}", self.port);
        vec![("RIWAQ_TEST_S3_SECOND", address)]
    }
}
