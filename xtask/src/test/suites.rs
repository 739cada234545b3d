//! The workspace's test programs: found by what cargo says of them, and run side by side, as it would run each.
//!
//! Cargo runs them one after the other, and most of that time is spent waiting for a server.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{paths, process};

/// How many packages are tested at once. More than there are cores: most of their tests wait.
const LANES: usize = 3;
/// Whose tests wait for servers: the longest, so the first.
const WAITING: &str = "crates/adapters";
/// Whose tests break things and say how soon they are well again: nothing runs beside it.
const ALONE: &str = "integration-tests";
/// How many tests of a program that runs alone are run at once: what needs quiet says so itself, the others wait for
/// processes to come and go.
const THREADS: &str = "4";

const LIBTEST_THREADS: &str = "RUST_TEST_THREADS";

/// One test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suite {
    /// The folder of its package, where it runs.
    package: PathBuf,
    /// What cargo calls it.
    target: String,
    executable: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Compiles what `cargo`, a `cargo test`, would run, and gives it by package and name.
pub(super) fn built(cargo: &mut Command) -> Result<Vec<Suite>> {
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = process::output(cargo)?;
    let suites = messages.lines().filter_map(|line| suite(line).transpose());
    let mut suites = suites.collect::<Result<Vec<_>>>()?;
    suites.sort_by(|one, other| (&one.package, &one.target).cmp(&(&other.package, &other.target)));
    Ok(suites)
}

fn suite(message: &str) -> Result<Option<Suite>> {
    let message: Message = serde_json::from_str(message).context("a message of cargo's")?;
    let is_test = message.profile.is_some_and(|profile| profile.test);
    let (Some(executable), Some(target), true) = (message.executable, message.target, is_test)
    else {
        return Ok(None);
    };
    let package = message.manifest_path.parent().map(Path::to_path_buf);
    Ok(Some(Suite {
        package: package.unwrap_or_default(),
        target: target.name,
        executable,
    }))
}

/// Runs them all, those of one package one after the other, and hands each line that they print on: the lines of
/// one stay together. What has the machine alone comes last.
pub(super) fn run(
    suites: Vec<Suite>,
    prepare: impl Fn(&mut Command) + Sync,
    each: &mut (impl FnMut(&str) + Send),
) -> Result<()> {
    let (beside, alone) = parted(suites);
    let queue = Mutex::new(VecDeque::from(beside));
    let each = Mutex::new(each);
    std::thread::scope(|scope| {
        let lane = || {
            while let Some(package) = next(&queue) {
                for suite in package {
                    // Its lines come at its end: without this, nobody would know of one that hangs.
                    held(&each)(&format!("       Begun {}", suite.name()));
                    let began = Instant::now();
                    let mut lines = Vec::new();
                    let ended = suite.streamed(&prepare, &mut |line| lines.push(line.to_owned()));
                    let took = began.elapsed().as_secs();
                    let mut each = held(&each);
                    each(&format!("     Running {} ({took} s)", suite.name()));
                    lines.iter().for_each(|line| each(line));
                    // What it said before it went wrong says why.
                    ended?;
                }
            }
            Ok::<_, anyhow::Error>(())
        };
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join()
                .unwrap_or_else(|_| bail!("a lane of tests panicked"))
        })
    })?;
    let mut each = held(&each);
    for suite in alone {
        each(&format!("     Running {}", suite.name()));
        suite.streamed(&prepare, &mut **each)?;
    }
    Ok(())
}

fn next(queue: &Mutex<VecDeque<Vec<Suite>>>) -> Option<Vec<Suite>> {
    held(queue).pop_front()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By package, in the order in which they are begun; and those that nothing runs beside.
fn parted(suites: Vec<Suite>) -> (Vec<Vec<Suite>>, Vec<Suite>) {
    let (alone, beside): (Vec<_>, Vec<_>) = suites
        .into_iter()
        .partition(|suite| suite.package.ends_with(ALONE));
    let mut packages: Vec<Vec<Suite>> = Vec::new();
    for suite in beside {
        match packages
            .iter_mut()
            .find(|package| package[0].package == suite.package)
        {
            Some(package) => package.push(suite),
            None => packages.push(vec![suite]),
        }
    }
    let folder = paths::root().join(WAITING);
    packages.sort_by_key(|package| !package[0].package.starts_with(&folder));
    (packages, alone)
}

impl Suite {
    fn name(&self) -> String {
        let package = self
            .package
            .strip_prefix(paths::root())
            .unwrap_or(&self.package);
        format!("{} of {}", self.target, package.display())
    }

    /// As cargo would: in the folder of its package, which it is told.
    fn command(&self, prepare: impl Fn(&mut Command)) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.package)
            .env("CARGO_MANIFEST_DIR", &self.package);
        if self.package.ends_with(ALONE) && std::env::var_os(LIBTEST_THREADS).is_none() {
            command.env(LIBTEST_THREADS, THREADS);
        }
        prepare(&mut command);
        command
    }

    /// Its lines as they come. A failed test is a line; an error is a program that did not come to its end, which one that
    /// leaves in the middle of a test may call a success.
    fn streamed(&self, prepare: impl Fn(&mut Command), each: &mut dyn FnMut(&str)) -> Result<()> {
        let mut counted = false;
        streamed(&mut self.command(prepare), &mut |line| {
            counted |= line.starts_with("test result: ");
            each(line);
        })
        .with_context(|| self.name())?;
        ensure!(counted, "{} ended without a result", self.name());
        Ok(())
    }
}

/// Runs a test program, or cargo with several, and hands its lines on as they come.
pub(super) fn streamed(command: &mut Command, each: &mut dyn FnMut(&str)) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot be started")?;
    let mut counted = false;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            counted |= line.starts_with("test result: FAILED");
            each(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() && !counted {
        bail!("ended with {status} and counted no failure");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_suite(package: &str, target: &str) -> Suite {
        Suite {
            package: paths::root().join(package),
            target: target.to_owned(),
            executable: PathBuf::from("/bin/true"),
        }
    }

    #[test]
    fn what_waits_is_begun_first_and_what_breaks_things_has_the_machine_alone() {
        let (beside, alone) = parted(vec![
            a_suite("crates/kit", "riwaq_kit"),
            a_suite("integration-tests", "it"),
            a_suite("crates/kit", "https"),
            a_suite("crates/adapters/blobs-s3", "outages"),
        ]);
        let order: Vec<Vec<&str>> = beside
            .iter()
            .map(|package| package.iter().map(|suite| suite.target.as_str()).collect())
            .collect();
        assert_eq!(order, [vec!["outages"], vec!["riwaq_kit", "https"]]);
        assert_eq!(alone, [a_suite("integration-tests", "it")]);
    }

    #[test]
    fn only_what_cargo_would_run_as_a_test_is_taken() {
        let message = |test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/r/kit/Cargo.toml","target":{{"name":"https"}},
                "profile":{{"test":{test}}},"executable":"/t/https-1"}}"#
            )
        };
        let found = suite(&message(true)).unwrap().unwrap();
        assert_eq!(
            (found.package, found.target),
            (PathBuf::from("/r/kit"), "https".to_owned())
        );
        assert_eq!(suite(&message(false)).unwrap(), None);
        assert_eq!(
            suite(r#"{"reason":"build-finished","success":true}"#).unwrap(),
            None
        );
    }

    #[test]
    fn the_lines_of_one_stay_together_and_all_come() {
        let folder = tempfile::tempdir().unwrap();
        let suites = ["a", "b", "c", "d", "integration-tests"].map(|package| {
            let package = folder.path().join(package);
            std::fs::create_dir(&package).unwrap();
            Suite {
                package,
                target: "suite".to_owned(),
                executable: PathBuf::from("/bin/sh"),
            }
        });
        let where_it_is = |command: &mut Command| {
            command.args(["-c", "pwd; echo 'test result: ok. 1 passed'"]);
        };
        let mut lines = Vec::new();
        let ended = run(suites.into(), where_it_is, &mut |line: &str| {
            lines.push(line.to_owned());
        });
        ended.unwrap();
        lines.retain(|line| !line.starts_with("       Begun "));
        assert_eq!(lines.len(), 15);
        for of_one in lines.chunks(3) {
            assert!(of_one[0].starts_with("     Running suite of "), "{lines:?}");
            assert!(of_one[0].contains(&of_one[1]), "{lines:?}");
        }
        assert!(lines[13].ends_with("integration-tests"), "{lines:?}");
    }

    #[test]
    fn a_program_that_leaves_in_the_middle_of_a_test_did_not_pass() {
        let mut suite = a_suite("xtask", "suite");
        suite.executable = PathBuf::from("/bin/sh");
        let leaves = |command: &mut Command| {
            command.args(["-c", "echo running 2 tests; exit 0"]);
        };
        let ended = run(vec![suite], leaves, &mut |_: &str| {});
        let error = format!("{:#}", ended.unwrap_err());
        assert!(error.contains("ended without a result"), "{error}");
    }

    #[test]
    fn what_a_program_said_before_it_went_wrong_is_passed_on() {
        let mut suite = a_suite("xtask", "suite");
        suite.executable = PathBuf::from("/bin/sh");
        let crash = |command: &mut Command| {
            command.args(["-c", "echo said; kill -9 $$"]);
        };
        let mut lines = Vec::new();
        let ended = run(vec![suite], crash, &mut |line: &str| {
            lines.push(line.to_owned());
        });
        assert!(format!("{:#}", ended.unwrap_err()).contains("suite of xtask"));
        assert_eq!(lines.last().map(String::as_str), Some("said"));
    }

    #[test]
    fn a_program_that_ends_without_counting_is_an_error_and_a_counted_failure_is_not() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            streamed(&mut command, &mut |_| {})
        };
        assert!(shell("exit 101").is_err());
        assert!(shell("echo 'test result: FAILED. 0 passed; 1 failed'; exit 101").is_ok());
    }
}
