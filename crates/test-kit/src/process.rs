//! A child process: its log, whether it is ready, and its end.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backends::variable;

/// How long a process may take to drain.
const DRAIN: Duration = Duration::from_secs(40);
/// How long one look at `/readyz` may take.
const LOOK: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(25);
const SHOWN_LINES: usize = 40;

/// A program that was started here, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    started: Instant,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says is added to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            started,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until `/readyz` at `address` answers 200; gives the time since the start.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; the error holds the end of its log.
    pub async fn ready(&mut self, address: SocketAddr, limit: Duration) -> Result<Duration> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "it ended with {status} before it was ready:\n{}",
                    log_end(&self.log)
                );
            }
            let look = tokio::time::timeout(LOOK, status_of_readyz(address)).await;
            if let Ok(Ok(200)) = look {
                return Ok(self.started.elapsed());
            }
            if self.started.elapsed() > limit {
                bail!(
                    "it was not ready in {} s ({look:?}):\n{}",
                    limit.as_secs(),
                    log_end(&self.log)
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// kill -9: nothing is flushed, nothing is closed.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "it had ended already with {status}:\n{}",
                log_end(&self.log)
            );
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it has drained and ended; gives how long that took.
    ///
    /// # Errors
    /// When it does not end in time or ends with a failure.
    pub async fn terminate(mut self) -> Result<Duration> {
        let asked = Instant::now();
        kill(Pid::from_raw(self.pid().try_into()?), Signal::SIGTERM)?;
        while asked.elapsed() < DRAIN {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("it ended with {status}:\n{}", log_end(&self.log));
                }
                return Ok(asked.elapsed());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("it did not end after SIGTERM:\n{}", log_end(&self.log))
    }

    /// How much processor time it has used.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        /// What Linux counts these in, whatever the kernel's own tick is (`USER_HZ`).
        const TICKS_PER_SECOND: u64 = 100;
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The name may hold spaces; what follows its parenthesis does not. utime and stime are the 12th and 13th.
        let (_, rest) = text.rsplit_once(')').context("not a stat line")?;
        let times = rest.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of `GET /readyz`, without a client's pools and certificates: it is asked often.
async fn status_of_readyz(address: SocketAddr) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let text = std::str::from_utf8(&head)?;
    let status = text.strip_prefix("HTTP/1.1 ").context("not HTTP/1.1")?;
    Ok(status.parse()?)
}

/// The last lines of a log.
pub(crate) fn log_end(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The program `riwaq` with nothing of our own environment but what every program needs.
///
/// # Errors
/// When the program was not built.
pub(crate) fn riwaq(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program_path()?);
    let kept = ["PATH", "HOME", "TMPDIR"];
    command
        .args(args)
        .env_clear()
        .envs(kept.iter().filter_map(|name| Some((name, variable(name)?))))
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs a command to its end, with a text for it to read.
///
/// # Errors
/// When it fails; the error holds what it said.
pub(crate) async fn run(command: Command, input: &str) -> Result<Output> {
    let arguments: Vec<_> = command
        .get_args()
        .map(|text| text.to_string_lossy())
        .collect();
    let what = format!(
        "{} {}",
        command.get_program().display(),
        arguments.join(" ")
    );
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    // One that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "{what} ended with {}:\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
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
    if File::open(&path).is_err() {
        bail!(
            "{} is not there: build it first with `cargo build`",
            path.display()
        );
    }
    Ok(path)
}

/// What a process holds in memory, in KiB: its own pages and its share of what others hold as well (PSS).
///
/// # Errors
/// When there is none of that id, or it is somebody else's.
pub fn pss_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .context("no Pss in smaps_rollup")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn one_that_ends_before_it_is_ready_says_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = Process::start(shell("echo the reason >&2; exit 3"), &log).unwrap();
        let port = crate::ReservedPort::new().unwrap();
        let error = process
            .ready(port.address(), Duration::from_secs(20))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the reason") && error.contains('3'),
            "{error}"
        );
    }

    #[tokio::test]
    async fn sigterm_is_told_apart_from_failure() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        // The shell says when its trap is set: a signal before that would end it.
        let started = |script: &str| Process::start(shell(script), &log).unwrap();
        let said = |word: &str| {
            let began = Instant::now();
            while !std::fs::read_to_string(&log)
                .unwrap_or_default()
                .contains(word)
            {
                assert!(began.elapsed() < Duration::from_secs(20));
                std::thread::yield_now();
            }
        };
        let good = started("trap 'exit 0' TERM; echo first; while true; do sleep 0.01; done");
        said("first");
        assert!(good.cpu().unwrap() < Duration::from_secs(20));
        assert!(pss_kib(good.pid()).unwrap() > 0);
        good.terminate().await.unwrap();
        let bad = started("trap 'exit 9' TERM; echo second; while true; do sleep 0.01; done");
        said("second");
        assert!(bad.terminate().await.is_err());
    }
}
