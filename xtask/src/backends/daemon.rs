//! One process of a server: started apart from this one, known by its pid, ended by it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

const STOP: Duration = Duration::from_secs(30);
/// In the environment of every process that is ours, with its folder: a pid that was handed out again
/// does not have it.
const MARK: &str = "RIWAQ_BACKEND_FOLDER";

/// A process that keeps its pid, log and data under one folder.
pub(crate) struct Daemon {
    name: String,
    folder: PathBuf,
}

impl Daemon {
    /// `name` is the server's, followed by `/` and what tells its processes apart.
    pub(crate) fn new(run: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: run.join(name),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Starts `command` in a process group of its own, so that Ctrl-C does not reach it.
    pub(crate) fn start(&self, command: &mut Command) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let log = File::create(self.log())?;
        let mut child = command
            .env(MARK, &self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        fs::write(self.folder.join("pid"), child.id().to_string())?;
        // For a moment the new program is not in place, and the mark cannot be read.
        while self.pid().is_none() && child.try_wait()?.is_none() {
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The pid, when it lives and is what we started.
    pub(crate) fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.folder.join("pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        self.is_ours(pid).then_some(pid)
    }

    fn is_ours(&self, pid: i32) -> bool {
        let mark = format!("{MARK}={}", self.folder.display());
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| {
            all.split(|byte| *byte == 0)
                .any(|one| one == mark.as_bytes())
        })
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024)
    }

    /// Waits until `ready`; fails when the process ends or `limit` passes.
    pub(crate) fn wait(&self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if self.pid().is_none() {
                bail!(
                    "{} ended before it was ready; {}",
                    self.name,
                    self.last_words()
                );
            }
            if started.elapsed() > limit {
                let seconds = limit.as_secs();
                bail!(
                    "{} is not ready after {seconds} s; {}",
                    self.name,
                    self.last_words()
                );
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();
        format!("the end of {}:\n{}", self.log().display(), tail.join("\n"))
    }

    /// Ends it with SIGTERM, after half a minute with SIGKILL. Ending what does not run is fine.
    pub(crate) fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let started = Instant::now();
        while !is_gone(pid) {
            if started.elapsed() > STOP {
                killpg(Pid::from_raw(pid), Signal::SIGKILL)?;
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends it, and what it started, with SIGKILL.
    pub(crate) fn kill(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        killpg(Pid::from_raw(pid), Signal::SIGKILL)?;
        while !is_gone(pid) {
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes everything that it left; it must not run.
    pub(crate) fn wipe(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot empty {}", self.folder.display()))?;
        }
        Ok(())
    }
}

/// Whether nothing of it is left but, perhaps, what its parent has not looked at yet. Its memory goes
/// before its sockets do: until then its port still seems to be open.
fn is_gone(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    let state = stat.rsplit(')').next().unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    state.trim_start().starts_with('Z') && threads <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_mark_and_ended_by_its_pid() {
        let run = tempfile::tempdir().unwrap();
        let daemon = Daemon::new(run.path(), "sleeper/1");
        assert_eq!(daemon.pid(), None);
        daemon.start(Command::new("sleep").arg("600")).unwrap();
        daemon.wait(STOP, || daemon.pid().is_some()).unwrap();
        assert!(daemon.resident_mib().is_some());
        daemon.stop().unwrap();
        assert_eq!(daemon.pid(), None);
    }

    #[test]
    fn a_pid_that_is_not_ours_is_left_alone() {
        let run = tempfile::tempdir().unwrap();
        let daemon = Daemon::new(run.path(), "stranger");
        fs::create_dir_all(daemon.folder()).unwrap();
        fs::write(daemon.folder().join("pid"), std::process::id().to_string()).unwrap();
        assert_eq!(daemon.pid(), None);
        daemon.stop().unwrap();
        daemon.kill().unwrap();
    }

    #[test]
    fn what_ends_before_it_is_ready_is_reported_with_its_last_words() {
        let run = tempfile::tempdir().unwrap();
        let daemon = Daemon::new(run.path(), "failing");
        daemon
            .start(Command::new("sh").args(["-c", "echo no such port; exit 1"]))
            .unwrap();
        let error = daemon.wait(STOP, || false).unwrap_err();
        assert!(error.to_string().contains("no such port"), "{error}");
    }
}
