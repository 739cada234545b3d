//! One process of an installation.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ports::ReservedPort;
use crate::process::{Process, log_end, pss_kib};

/// How many lines are shown of each process when something failed.
const COMPLAINTS: usize = 8;

/// One process of a role: at the same port and with the same log, however often it is started.
#[derive(Debug, Clone)]
pub struct Replica(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    role: &'static str,
    number: usize,
    port: ReservedPort,
    log: PathBuf,
    /// As on a machine of its own: nobody else sees it, and nothing that must be kept lies in it.
    data: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Process>,
    ready_in: Duration,
}

/// What a process takes.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Its role.
    pub role: &'static str,
    /// Its number among its role's.
    pub number: usize,
    /// How long it took from its start until it was ready.
    pub ready_in: Duration,
    /// Processor time so far.
    pub cpu: Duration,
    /// Memory: its own and its share of what others have as well, in KiB.
    pub pss_kib: u64,
}

impl Replica {
    pub(super) fn new(role: &'static str, number: usize, folder: &Path) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            role,
            number,
            port: ReservedPort::new()?,
            log: folder.join(format!("{role}-{number}.log")),
            data: folder.join(format!("{role}-{number}")),
            state: Mutex::default(),
        })))
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.0.role
    }

    /// Its number among its role's, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0.number
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.port.address()
    }

    /// The file that its output goes to, kept over restarts.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.0.log
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        log_end(&self.0.log)
    }

    /// The last warnings and errors of its log.
    pub(super) fn complaints(&self) -> String {
        let text = std::fs::read_to_string(&self.0.log).unwrap_or_default();
        let quiet = ["\"level\":\"info\"", "\"level\":\"debug\""];
        let loud = |line: &&str| !quiet.iter().any(|level| line.contains(level));
        let lines: Vec<_> = text.lines().filter(loud).collect();
        lines[lines.len().saturating_sub(COMPLAINTS)..].join("\n")
    }

    /// Starts it; `command` is the program with its role and configuration.
    pub(super) fn start(&self, mut command: Command) -> Result<()> {
        let mut state = self.state();
        ensure!(state.process.is_none(), "{self} runs already");
        command
            .args(["--port", &self.0.port.port().to_string()])
            .arg("--data-dir")
            .arg(&self.0.data);
        state.process = Some(Process::start(command, &self.0.log)?);
        Ok(())
    }

    /// Waits until it is ready; gives the time since its start.
    pub(super) async fn ready(&self, limit: Duration) -> Result<Duration> {
        // Taken out while it is waited for: a lock is not held over a wait.
        let mut process = self.take()?;
        let ready_in = process
            .ready(self.address(), limit)
            .await
            .with_context(|| self.to_string())?;
        let mut state = self.state();
        state.process = Some(process);
        state.ready_in = ready_in;
        Ok(ready_in)
    }

    /// kill -9.
    ///
    /// # Errors
    /// When it does not run, or had ended already: then something else is wrong.
    pub fn kill(&self) -> Result<()> {
        self.take()?.kill().with_context(|| self.to_string())
    }

    /// SIGTERM, and waits until it has drained and ended; gives how long that took.
    ///
    /// # Errors
    /// When it does not end in time or ends with a failure.
    pub async fn terminate(&self) -> Result<Duration> {
        let process = self.take()?;
        process.terminate().await.with_context(|| self.to_string())
    }

    /// What it takes now.
    ///
    /// # Errors
    /// When it does not run.
    pub fn figures(&self) -> Result<Figures> {
        let state = self.state();
        let process = state.process.as_ref().context("it does not run")?;
        Ok(Figures {
            role: self.0.role,
            number: self.0.number,
            ready_in: state.ready_in,
            cpu: process.cpu()?,
            pss_kib: pss_kib(process.pid())?,
        })
    }

    fn take(&self) -> Result<Process> {
        self.state()
            .process
            .take()
            .with_context(|| format!("{self} does not run"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.role, self.0.number)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {}: ready in {:>5} ms, {:>5} ms of processor time, {:>6.1} MiB (PSS)",
            self.role,
            self.number,
            self.ready_in.as_millis(),
            self.cpu.as_millis(),
            f64::from(u32::try_from(self.pss_kib).unwrap_or(u32::MAX)) / 1024.0
        )
    }
}
