//! Keycloak with its own database in a file, in clear text and over TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::authority::Authority;
use super::daemon::Daemon;
use super::place::Place;
use super::server::{START, Server};
use super::versions::KEYCLOAK;
use super::{install, java, maven, probe};
use crate::{paths, process};

const ADMIN: &str = "riwaq-tests";
const PASSWORD: &str = "riwaq-tests";
const HEAP: &str = "384m";
const HTTP: u16 = 80;
const HTTPS: u16 = 81;
const MANAGEMENT: u16 = 82;
/// A password's hash costs what it has to where it protects one: without this, hashing was most of what the tests asked of
/// it. What the caller sets holds.
const HASHING: [(&str, &str); 2] = [
    ("KC_SPI_PASSWORD_HASHING__ARGON2__ITERATIONS", "1"),
    ("KC_SPI_PASSWORD_HASHING__ARGON2__MEMORY", "256"),
];

/// What `kc.sh` asks of the JVM.
const MODULES: &[&str] = &[
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
];

pub(crate) struct Keycloak {
    http: u16,
    https: u16,
    management: String,
    program: PathBuf,
    authority: Authority,
    daemons: [Daemon; 1],
    first: Daemon,
}

impl Keycloak {
    pub(crate) fn new(place: &Place) -> Self {
        let program = place.program(KEYCLOAK.artifact, KEYCLOAK.version);
        Self {
            http: place.port(HTTP),
            https: place.port(HTTPS),
            management: format!("127.0.0.1:{}", place.port(MANAGEMENT)),
            authority: place.authority().clone(),
            daemons: [Daemon::new(&place.run(), "keycloak")],
            first: Daemon::new(&program, "first-start"),
            program,
        }
    }

    fn home(&self) -> PathBuf {
        self.program.join(format!("keycloak-{}", KEYCLOAK.version))
    }

    fn database(&self) -> PathBuf {
        self.first.folder().join("h2")
    }

    /// `kc.sh build` fixes the options of building, so that each start is short.
    fn unpack_and_build(&self) -> Result<()> {
        let log = self.program.join("install.log");
        let archive = maven::fetch_file(&KEYCLOAK, "zip", &self.program)?;
        process::run_logged(
            Command::new(java::tool("jar")?)
                .current_dir(&self.program)
                .arg("xf")
                .arg(&archive),
            &log,
        )?;
        fs::remove_file(archive)?;
        process::run_logged(
            Command::new("sh")
                .arg(self.home().join("bin/kc.sh"))
                .args([
                    "build",
                    "--db=dev-file",
                    "--health-enabled=true",
                    "--metrics-enabled=true",
                ])
                .env("JAVA", java::tool("java")?)
                .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1"),
            &log,
        )
    }

    /// Making the tables is most of a first start: it happens once, and each empty server begins with a
    /// copy of what came of it.
    fn make_database(&self) -> Result<()> {
        self.start(&self.first)?;
        self.first.wait(START, || self.is_ready(0))?;
        self.first.stop()
    }

    fn start(&self, daemon: &Daemon) -> Result<()> {
        let home = self.home();
        let mut java = Command::new(java::tool("java")?);
        java.args(["-Xms64m", &format!("-Xmx{HEAP}"), "-Xss512k"])
            .args(java::SMALL)
            .args(MODULES)
            .args(["-XX:MaxMetaspaceSize=256m", "-Dfile.encoding=UTF-8"])
            .arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager")
            .arg("-Dpicocli.disable.closures=true")
            .arg(
                "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=\
                 io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
            )
            .arg(format!("-Dkc.home.dir={}", home.display()))
            .arg(format!("-Djboss.server.config.dir={}/conf", home.display()))
            .arg("-cp")
            .arg(home.join("lib/quarkus-run.jar"))
            .arg("io.quarkus.bootstrap.runner.QuarkusEntryPoint")
            .args([
                "start",
                "--optimized",
                "--cache=local",
                "--hostname-strict=false",
            ])
            .arg(format!(
                "--db-url=jdbc:h2:file:{}/h2/keycloakdb;NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE",
                daemon.folder().display()
            ))
            .args(self.listeners())
            .args(themes(&paths::root().join("keycloak/themes")))
            .envs(
                HASHING
                    .iter()
                    .filter(|(name, _)| std::env::var_os(name).is_none())
                    .copied(),
            )
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .env("MALLOC_ARENA_MAX", "2");
        daemon.start(&mut java)
    }

    fn listeners(&self) -> Vec<String> {
        let (_, management_port) = self.management.split_once(':').unwrap_or_default();
        vec![
            "--http-enabled=true".into(),
            "--http-host=127.0.0.1".into(),
            format!("--http-port={}", self.http),
            format!("--https-port={}", self.https),
            format!(
                "--https-certificate-file={}",
                self.authority.certificate().display()
            ),
            format!(
                "--https-certificate-key-file={}",
                self.authority.key().display()
            ),
            format!("--http-management-port={management_port}"),
            "--http-management-scheme=http".into(),
        ]
    }
}

impl Server for Keycloak {
    fn name(&self) -> &'static str {
        "keycloak"
    }

    fn version(&self) -> String {
        KEYCLOAK.version.into()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    fn install(&self) -> Result<()> {
        install::once(&self.program, || {
            self.unpack_and_build()?;
            self.make_database()
        })
    }

    fn launch(&self, index: usize) -> Result<()> {
        let daemon = &self.daemons[index];
        let own = daemon.folder().join("h2");
        if !own.exists() {
            fs::create_dir_all(&own)?;
            for file in fs::read_dir(self.database())? {
                let file = file?;
                fs::copy(file.path(), own.join(file.file_name()))?;
            }
        }
        self.start(daemon)
    }

    fn is_ready(&self, _: usize) -> bool {
        probe::answers(&self.management, "/health/ready")
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let user = format!("{ADMIN}:{PASSWORD}");
        vec![
            (
                "RIWAQ_TEST_KEYCLOAK",
                format!("http://{user}@127.0.0.1:{}", self.http),
            ),
            (
                "RIWAQ_TEST_KEYCLOAK_TLS",
                format!("https://{user}@localhost:{}", self.https),
            ),
        ]
    }
}

/// The repository's own sign-in pages, where it has some.
fn themes(folder: &Path) -> Option<String> {
    folder
        .is_dir()
        .then(|| format!("--spi-theme--folder--dir={}", folder.display()))
}
