//! The real program as a child process.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::backends::variable;
use crate::client::Client;

const READY: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(40);

/// A free port of loopback. Another process may take it before it is used; that is rare and loud.
///
/// # Errors
/// When the machine has none left.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How a program is to be started.
#[derive(Debug)]
pub struct ProgramBuilder {
    demo_password: String,
    variables: Vec<(String, String)>,
    port: u16,
}

impl ProgramBuilder {
    /// `riwaq dev` on a free port with a new data folder, rate limits off.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn new() -> Result<Self> {
        Ok(Self {
            demo_password: "a-demo-password-for-tests".into(),
            variables: vec![("RIWAQ_GATEWAY_RATE_LIMIT".into(), "off".into())],
            port: free_port()?,
        })
    }

    /// Adds a variable of the environment, such as `RIWAQ_RECORDS_ENGINE`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until `/readyz` says so.
    ///
    /// # Errors
    /// When it ends or is not ready in a minute; the error holds the end of its log.
    pub async fn start(self) -> Result<Program> {
        let folder = TempDir::with_prefix("riwaq-test-")?;
        let mut program = Program {
            builder: self,
            folder,
            child: None,
        };
        program.start().await?;
        Ok(program)
    }
}

/// A running `riwaq dev`, killed when dropped.
#[derive(Debug)]
pub struct Program {
    builder: ProgramBuilder,
    folder: TempDir,
    child: Option<Child>,
}

impl Program {
    /// The address that it answers at, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.builder.port)
    }

    /// The password of the three demonstration accounts.
    #[must_use]
    pub fn demo_password(&self) -> &str {
        &self.builder.demo_password
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The file that its output goes to, kept over restarts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// As [`ProgramBuilder::start`].
    pub async fn start(&mut self) -> Result<()> {
        let output = File::options().create(true).append(true).open(self.log())?;
        let child = self
            .command(&["dev"])?
            .args(["--port", &self.builder.port.to_string()])
            .args(["--demo-password", &self.builder.demo_password])
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start riwaq")?;
        self.child = Some(child);
        self.wait_until_ready().await
    }

    /// The program with its environment and data folder set, for its other commands.
    ///
    /// # Errors
    /// When the program was not built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(program_path()?);
        command
            .args(args)
            .arg("--data-dir")
            .arg(self.data())
            .env_clear()
            .envs(
                ["PATH", "HOME", "TMPDIR"]
                    .iter()
                    .filter_map(|name| Some((name, variable(name)?))),
            )
            .envs(
                self.builder
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null());
        Ok(command)
    }

    /// kill -9: nothing is flushed, nothing is closed.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it has drained and ended.
    ///
    /// # Errors
    /// When it does not end in time or ends with a failure.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
        let started = Instant::now();
        while started.elapsed() < DRAIN {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    bail!("it ended with {status}:\n{}", self.log_end());
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill()?;
        bail!("it did not end after SIGTERM:\n{}", self.log_end())
    }

    /// An anonymous client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// A client signed in as one of the demonstration accounts: `admin`, `teacher` or `student`.
    ///
    /// # Errors
    /// When signing in fails.
    pub async fn signed_in(&self, name: &str) -> Result<Client> {
        self.client()
            .sign_in(&format!("{name}@riwaq.local"), &self.builder.demo_password)
            .await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let client = self.client();
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!(
                    "it ended with {status} before it was ready:\n{}",
                    self.log_end()
                );
            }
            if let Ok(answer) = client.get("/readyz").await
                && answer.status == 200
            {
                return Ok(());
            }
            if started.elapsed() > READY {
                bail!(
                    "it was not ready in {} s:\n{}",
                    READY.as_secs(),
                    self.log_end()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `RIWAQ_TEST_PROGRAM`, else `riwaq` beside the folder of the running test.
fn program_path() -> Result<PathBuf> {
    if let Some(path) = variable("RIWAQ_TEST_PROGRAM") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let path = test
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new(""))
        .join("riwaq");
    if !path.exists() {
        bail!(
            "{} is not there: build it first with `cargo build`",
            path.display()
        );
    }
    Ok(path)
}
