//! A MinIO server of a test's own, which it may kill and start again on its data.
//!
//! The shared one of `cargo xtask backends` must stay whole. Its program is used:
//! `RIWAQ_TEST_MINIO_PROGRAM` names it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backends::{Backend, minio_program};
use crate::ports::ReservedPort;
use crate::process::{Process, log_end};

/// A start on a busy machine.
const START: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
const ACCESS: &str = "test-access";
const SECRET: &str = "test-secret-of-this-test-alone";
const READY: &[u8; 12] = b"HTTP/1.1 200";

/// One server on loopback, with one drive. Killed when dropped.
#[derive(Debug)]
pub struct MinioNode {
    /// Dropped before the folder that it writes to.
    server: Option<Process>,
    folder: TempDir,
    program: PathBuf,
    port: ReservedPort,
}

impl MinioNode {
    /// Starts a server and waits until it serves. None where MinIO is not installed (`NOT RUN` was printed).
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error holds the end of its log.
    ///
    /// # Panics
    /// When it is not installed although `RIWAQ_TEST_REQUIRED` names `minio-node`.
    pub async fn start() -> Result<Option<Self>> {
        let Backend::Ready(program) = minio_program() else {
            return Ok(None);
        };
        let mut node = Self {
            server: None,
            folder: TempDir::with_prefix("riwaq-minio-")?,
            program: program.into(),
            port: ReservedPort::new()?,
        };
        node.launch()?;
        node.wait().await?;
        Ok(Some(node))
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where it answers and as whom, as `RIWAQ_TEST_S3` says it: `http://access:secret@host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{ACCESS}:{SECRET}@{}", self.port.address())
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.server
            .take()
            .context("the server does not run")?
            .kill()
    }

    /// Starts a killed one on its data; it serves once [`Self::wait`] returns.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "the server runs");
        let mut command = Command::new(&self.program);
        command
            .arg("server")
            .arg(self.folder.path().join("data"))
            .args(["--address", &self.port.address().to_string()])
            .env("HOME", self.folder.path())
            .env("MINIO_ROOT_USER", ACCESS)
            .env("MINIO_ROOT_PASSWORD", SECRET)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        self.server = Some(Process::start(command, &self.log())?);
        Ok(())
    }

    /// Waits until it serves; gives the time that it took from now.
    ///
    /// # Errors
    /// When it ends or takes too long; the error holds the end of its log.
    pub async fn wait(&mut self) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if matches!(
                tokio::time::timeout(LOOK, self.is_ready()).await,
                Ok(Ok(()))
            ) {
                return Ok(began.elapsed());
            }
            let ended = match &mut self.server {
                Some(server) => server.has_ended()?,
                None => true,
            };
            if ended || began.elapsed() > START {
                bail!("MinIO does not serve:\n{}", log_end(&self.log()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Its `ready` and `live` say yes before there is anything to ask.
    async fn is_ready(&self) -> Result<()> {
        let address = self.port.address();
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET /minio/health/cluster HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut start = [0; READY.len()];
        stream.read_exact(&mut start).await?;
        ensure!(&start == READY, "it is not ready");
        Ok(())
    }

    /// The process, while it runs.
    #[must_use]
    pub const fn process(&self) -> Option<&Process> {
        self.server.as_ref()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("output.log")
    }
}
