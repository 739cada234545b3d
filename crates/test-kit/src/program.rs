//! The real program with every role, as one child process.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::client::Client;
use crate::ports::ReservedPort;
use crate::process::{Process, log_end, riwaq, run};

/// A first start makes every table, on a machine that does much else.
const READY: Duration = Duration::from_secs(240);

/// How a program is to be started.
#[derive(Debug)]
pub struct ProgramBuilder {
    demo_password: String,
    variables: Vec<(String, String)>,
    commands: Vec<(Vec<String>, String)>,
    port: ReservedPort,
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
            commands: Vec::new(),
            port: ReservedPort::new()?,
        })
    }

    /// Adds a variable of the environment, such as `RIWAQ_RECORDS_ENGINE`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A command of the program to be run before it starts, with a text for it to read.
    #[must_use]
    pub fn command(mut self, args: &[&str], input: &str) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned());
        self.commands.push((args.collect(), input.to_owned()));
        self
    }

    /// The address that it will answer at, known before it starts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Starts it and waits until `/readyz` says so.
    ///
    /// # Errors
    /// When a command fails; when it ends or is not ready in four minutes; the error holds the end of its log.
    pub async fn start(self) -> Result<Program> {
        let folder = TempDir::with_prefix("riwaq-test-")?;
        let mut program = Program {
            builder: self,
            folder,
            process: None,
        };
        for (args, input) in &program.builder.commands {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(program.command(&args)?, input).await?;
        }
        program.start().await?;
        Ok(program)
    }
}

/// A running `riwaq dev`, killed when dropped.
#[derive(Debug)]
pub struct Program {
    builder: ProgramBuilder,
    folder: TempDir,
    process: Option<Process>,
}

impl Program {
    /// The address that it answers at, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.builder.port.address())
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
        self.process.as_ref().map(Process::pid)
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// As [`ProgramBuilder::start`].
    pub async fn start(&mut self) -> Result<()> {
        let mut command = self.command(&["dev"])?;
        command
            .args(["--port", &self.builder.port.port().to_string()])
            .args(["--demo-password", &self.builder.demo_password]);
        let mut process = Process::start(command, &self.log())?;
        process.ready(self.builder.port.address(), READY).await?;
        self.process = Some(process);
        Ok(())
    }

    /// The program with its environment and data folder set, for its other commands.
    ///
    /// # Errors
    /// When the program was not built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = riwaq(args)?;
        let variables = self.builder.variables.iter();
        command
            .arg("--data-dir")
            .arg(self.data())
            .envs(variables.map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// kill -9: nothing is flushed, nothing is closed.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("it does not run")?.kill()
    }

    /// SIGTERM, and waits until it has drained and ended.
    ///
    /// # Errors
    /// When it does not end in time or ends with a failure.
    pub async fn terminate(&mut self) -> Result<()> {
        let process = self.process.take().context("it does not run")?;
        process.terminate().await?;
        Ok(())
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

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        log_end(&self.log())
    }
}
