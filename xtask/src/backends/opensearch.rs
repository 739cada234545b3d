//! OpenSearch, one node, in clear text: what Maven Central has of it has no security plugin.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::daemon::Daemon;
use super::place::Place;
use super::server::Server;
use super::versions::OPENSEARCH;
use super::{install, java, maven, probe};
use crate::process;

const HEAP: &str = "384m";
const HTTP: u16 = 70;
const TRANSPORT: u16 = 71;
const LAUNCHER: &str = include_str!("opensearch/Launcher.java");

pub(crate) struct OpenSearch {
    address: String,
    transport_port: u16,
    program: PathBuf,
    launcher: PathBuf,
    daemons: [Daemon; 1],
}

impl OpenSearch {
    pub(crate) fn new(place: &Place) -> Self {
        Self {
            address: format!("127.0.0.1:{}", place.port(HTTP)),
            transport_port: place.port(TRANSPORT),
            program: place.program(OPENSEARCH.artifact, OPENSEARCH.version),
            launcher: place.program("opensearch-launcher", &install::key_of(LAUNCHER)),
            daemons: [Daemon::new(&place.run(), "opensearch")],
        }
    }
}

impl Server for OpenSearch {
    fn name(&self) -> &'static str {
        "opensearch"
    }

    fn version(&self) -> String {
        OPENSEARCH.version.into()
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            maven::fetch_jars(&OPENSEARCH, &self.program).map(|_| ())
        })?;
        install::once(&self.launcher, || {
            let source = self.launcher.join("Launcher.java");
            fs::write(&source, LAUNCHER)?;
            process::run_logged(
                Command::new(java::tool("javac")?)
                    .arg("-cp")
                    .arg(self.program.join("lib/*"))
                    .arg(source),
                &self.launcher.join("install.log"),
            )
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        let data = daemon.folder().join("data");
        fs::create_dir_all(&data)?;
        daemon.start(
            Command::new(java::tool("java")?)
                .args(["-Xms128m", &format!("-Xmx{HEAP}"), "-Xss512k"])
                .args(java::SMALL)
                .arg("-cp")
                .arg(format!(
                    "{}:{}/lib/*",
                    self.launcher.display(),
                    self.program.display()
                ))
                .arg("Launcher")
                .arg(data)
                .arg(self.address.rsplit(':').next().unwrap_or_default())
                .arg(self.transport_port.to_string())
                .env("MALLOC_ARENA_MAX", "2"),
        )
    }

    fn is_ready(&self, _: usize) -> bool {
        probe::answers(
            &self.address,
            "/_cluster/health?wait_for_status=yellow&timeout=1s",
        )
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![("RIWAQ_TEST_OPENSEARCH", format!("http://{}", self.address))]
    }
}
