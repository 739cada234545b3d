//! A RabbitMQ broker of a test's own, which it may kill and make short of memory.
//!
//! The shared one of `cargo xtask backends` must stay whole. Its programs are used:
//! `RIWAQ_TEST_RABBITMQ_HOME` names the folder that holds `bin/rabbitmq-server` and, where Erlang is not on the path,
//! `bin/epmd`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backends::{Backend, rabbitmq_home};
use crate::ports::ReservedPort;
use crate::process::{Process, log_end};

/// A start on a busy machine.
const START: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
const USER: &str = "test";
/// AMQP 0-9-1, 4.2.2: the protocol header.
const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// As a share of the machine's memory; so little that the alarm is raised at once.
const NO_MEMORY: &str = "0.000001";
const ENOUGH_MEMORY: &str = "0.8";

/// One broker on loopback, with a user that may do everything. Killed when dropped.
#[derive(Debug)]
pub struct RabbitmqNode {
    /// Dropped before the folder that it writes to, and before the name server.
    broker: Option<Process>,
    _names: Process,
    folder: TempDir,
    programs: PathBuf,
    port: ReservedPort,
    distribution_port: ReservedPort,
    names_port: ReservedPort,
}

impl RabbitmqNode {
    /// Starts a broker and waits until it serves. None where RabbitMQ is not installed (`NOT RUN` was printed).
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error holds the end of its log.
    ///
    /// # Panics
    /// When it is not installed although `RIWAQ_TEST_REQUIRED` names `rabbitmq-node`.
    pub async fn start() -> Result<Option<Self>> {
        let Backend::Ready(home) = rabbitmq_home() else {
            return Ok(None);
        };
        let folder = TempDir::with_prefix("riwaq-rabbitmq-")?;
        let names_port = ReservedPort::new()?;
        let programs = Path::new(&home).join("bin");
        let own = programs.join("epmd");
        // Erlang lies with the broker, or on the path.
        let mut names = Command::new(if own.exists() { own } else { "epmd".into() });
        names.args([
            "-address",
            "127.0.0.1",
            "-port",
            &names_port.port().to_string(),
        ]);
        let mut node = Self {
            broker: None,
            _names: Process::start(names, &folder.path().join("names.log"))?,
            programs,
            folder,
            port: ReservedPort::new()?,
            distribution_port: ReservedPort::new()?,
            names_port,
        };
        node.configure()?;
        node.launch()?;
        node.wait().await?;
        Ok(Some(node))
    }

    /// Where it answers, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// The user's name, which is the password as well.
    #[must_use]
    pub const fn user(&self) -> &'static str {
        USER
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.broker
            .take()
            .context("the broker does not run")?
            .kill()
    }

    /// Starts a killed one on its data; it serves once [`Self::wait`] returns.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.broker.is_none(), "the broker runs");
        self.broker = Some(Process::start(
            self.command("rabbitmq-server"),
            &self.log(),
        )?);
        Ok(())
    }

    /// Waits until it speaks AMQP; gives the time that it took from now.
    ///
    /// # Errors
    /// When it ends or takes too long; the error holds the end of its log.
    pub async fn wait(&mut self) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if matches!(tokio::time::timeout(LOOK, self.speaks()).await, Ok(Ok(()))) {
                return Ok(began.elapsed());
            }
            let ended = match &mut self.broker {
                Some(broker) => broker.has_ended()?,
                None => true,
            };
            if ended || began.elapsed() > START {
                bail!("the broker does not serve:\n{}", log_end(&self.log()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn speaks(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.port.address()).await?;
        stream.write_all(PROTOCOL_HEADER).await?;
        // A method frame on channel 0: connection.start.
        let mut start = [0; 3];
        stream.read_exact(&mut start).await?;
        ensure!(
            start == [1, 0, 0],
            "it does not speak AMQP 0-9-1: {start:?}"
        );
        Ok(())
    }

    /// The process, while it runs.
    #[must_use]
    pub const fn process(&self) -> Option<&Process> {
        self.broker.as_ref()
    }

    /// Raises the memory alarm: the broker stops reading from connections that publish.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn run_out_of_memory(&self) -> Result<()> {
        self.watermark(NO_MEMORY).await
    }

    /// Clears the memory alarm.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn have_memory(&self) -> Result<()> {
        self.watermark(ENOUGH_MEMORY).await
    }

    async fn watermark(&self, share: &str) -> Result<()> {
        self.ctl(&["set_vm_memory_high_watermark", share])
            .await
            .map(drop)
    }

    /// Runs `rabbitmqctl` for this broker; gives what it printed.
    ///
    /// # Errors
    /// When it fails; the error holds what it said.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command("rabbitmqctl");
        command.args(arguments);
        let output = tokio::process::Command::from(command).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rabbitmqctl: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("output.log")
    }

    fn configure(&self) -> Result<()> {
        let port = self.port.port();
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             distribution.listener.interface = 127.0.0.1\n\
             default_user = {USER}\n\
             default_pass = {USER}\n\
             loopback_users = none\n\
             vm_memory_high_watermark.relative = {ENOUGH_MEMORY}\n\
             disk_free_limit.absolute = 10MB\n"
        );
        for (name, text) in [
            ("rabbitmq.conf", text.as_str()),
            ("advanced.config", "[].\n"),
            ("plugins", "[].\n"),
        ] {
            fs::write(self.folder.path().join(name), text)?;
        }
        Ok(())
    }

    /// A program of RabbitMQ that knows this broker and no other.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(self.programs.join(program));
        command
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_CRASH_DUMP", folder.join("erl_crash.dump"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.names_port.port().to_string())
            .env(
                "RABBITMQ_NODENAME",
                format!("riwaq{}@localhost", self.port.port()),
            )
            .env(
                "RABBITMQ_DIST_PORT",
                self.distribution_port.port().to_string(),
            )
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env(
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                folder.join("advanced.config"),
            )
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("broker.pid"))
            // The script then becomes the virtual machine: its pid is the one to kill.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }
}
