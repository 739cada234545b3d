//! MinIO, one drive, in clear text.

use std::process::Command;

use anyhow::Result;

use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::MINIO;
use super::{golang, install, probe};

const ACCESS: &str = "riwaq-tests";
const SECRET: &str = "riwaq-tests-secret";
const PORT: u16 = 10;

pub(crate) struct Minio {
    address: String,
    program: std::path::PathBuf,
    daemons: [Daemon; 1],
}

impl Minio {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            address: format!("127.0.0.1:{}", place.port(PORT)),
            program: place.program("minio", MINIO.version),
            daemons: [Daemon::new(&place.run(), "minio")],
        }
    }
}

impl Server for Minio {
    fn name(&self) -> &'static str {
        "minio"
    }

    fn version(&self) -> String {
        MINIO.version.into()
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            golang::build(&MINIO, &self.program).map(|_| ())
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        let data = daemon.folder().join("data");
        std::fs::create_dir_all(&data)?;
        daemon.start(
            Command::new(self.program.join("minio"))
                .arg("server")
                .arg(data)
                .args(["--address", &self.address])
                .env("HOME", daemon.folder())
                .env("MINIO_ROOT_USER", ACCESS)
                .env("MINIO_ROOT_PASSWORD", SECRET)
                .env("MINIO_BROWSER", "off")
                .env("MINIO_UPDATE", "off"),
        )
    }

    fn is_ready(&self, _: usize) -> bool {
        // Its `ready` and `live` say yes before there is anything to ask.
        probe::answers(&self.address, "/minio/health/cluster")
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let address = format!("http://{ACCESS}:{SECRET}@{}", self.address);
        let program = self.program.join("minio").display().to_string();
        // The second is for tests that kill a server of their own.
        vec![
            ("RIWAQ_TEST_S3", address),
            ("RIWAQ_TEST_MINIO_PROGRAM", program),
        ]
    }
}
