//! One server process: started apart from this one, known by its pid, ended by it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STOP: Duration = Duration::from_secs(30);

/// A server that keeps its pid, log and data under one folder.
pub(crate) struct Server {
    folder: PathBuf,
}

impl Server {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Starts `command` in a process group of its own; the folder's path must be among its
    /// arguments, since that is how a pid is known to be ours.
    pub(crate) fn start(&self, command: &mut Command) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let log = File::create(self.log())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        fs::write(self.folder.join("pid"), child.id().to_string())?;
        // Until the new program is in place, the pid shows another command line.
        let started = Instant::now();
        while self.pid().is_none() && started.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The pid, when it lives and runs what we started.
    pub(crate) fn pid(&self) -> Option<i32> {
        let pid = fs::read_to_string(self.folder.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = self.folder.to_string_lossy().into_owned();
        String::from_utf8_lossy(&command)
            .contains(&ours)
            .then_some(pid)
    }

    /// Waits until `ready`; fails when the process ends or `limit` passes.
    pub(crate) fn wait(&self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if self.pid().is_none() {
                bail!("it ended before it was ready; see {}", self.log().display());
            }
            if started.elapsed() > limit {
                bail!(
                    "not ready after {} s; see {}",
                    limit.as_secs(),
                    self.log().display()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Ends it with SIGTERM, after half a minute with SIGKILL. Ending what does not run is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let started = Instant::now();
        while self.pid().is_some() {
            if started.elapsed() > STOP {
                kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}
