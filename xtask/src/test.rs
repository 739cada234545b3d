//! Every check and every test, with the real backends that they need.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::backends::{self, Data, Fleet};
use crate::cluster::{self, Cluster};
use crate::matrix::Matrix;
use crate::{build, checks, process, tools};

/// Which part of the whole to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave format, lints, arrows, sizes and licences out
    #[arg(long)]
    no_checks: bool,
    /// Leave the tests on Kubernetes out, which need root
    #[arg(long)]
    no_cluster: bool,
    /// Only the tests on Kubernetes
    #[arg(long, conflicts_with_all = ["no_cluster", "args"])]
    only_cluster: bool,
    /// Leave the backends running afterwards
    #[arg(long)]
    keep_backends: bool,
    /// Handed to `cargo test` in place of `--workspace`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// What no test may pass over, by the names of `riwaq_test_kit::backends`.
const REQUIRED: &[&str] = &[
    "cassandra",
    "cassandra-cluster",
    "cassandra-nodes",
    "s3",
    "s3-second",
    "minio-node",
    "rabbitmq",
    "rabbitmq-tls",
    "rabbitmq-node",
    "opensearch",
    "keycloak",
    "keycloak-tls",
    "pebble",
    "authority",
    "python",
    "cluster",
];

/// Where tests find the cluster.
const CLUSTER: &str = "RIWAQ_TEST_CLUSTER";

impl Options {
    fn has_checks(&self) -> bool {
        !self.no_checks && !self.only_cluster
    }

    /// A part of the tests does without.
    fn has_cluster(&self) -> bool {
        self.args.is_empty() && !self.no_cluster
    }
}

/// What the test runner counted.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs it all; the last line says how many tests ran.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.has_cluster() {
        // Told now, and not when everything else has run.
        cluster::ensure_root().context("`--no-cluster` leaves the tests on Kubernetes out")?;
    }
    if options.has_checks() {
        checks::quick()?;
    }
    let fleet = backends::for_tests()?;
    let _held = fleet.hold_for_tests()?;
    let running = fleet.running();
    let tested = with_backends(options, &fleet);
    if !options.keep_backends {
        fleet.down_except(&running)?;
    }
    let (counts, matrix) = tested?;
    if counts.failed == 0 {
        // The logs of a failure stay.
        fleet.wipe()?;
    }
    // A part of the tests leaves most of the matrix empty, which says nothing.
    let complete = options.args.is_empty() && !options.only_cluster;
    let missing = if complete { matrix.print() } else { Vec::new() };
    println!(
        "tests: {} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.ignored
    );
    if complete && options.no_cluster {
        println!("left out: the tests on Kubernetes");
    }
    if !missing.is_empty() {
        bail!("required and not run: {}", missing.join(", "));
    }
    if counts.failed > 0 || counts.passed == 0 || counts.ignored > 0 {
        bail!("every test must run and pass");
    }
    if complete { matrix.publish() } else { Ok(()) }
}

/// Servers are installed and started while cargo compiles.
fn with_backends(options: &Options, fleet: &Fleet) -> Result<(Counts, Matrix)> {
    let began = Instant::now();
    let (program, python) = std::thread::scope(|scope| {
        let preparing = scope.spawn(|| {
            fleet.up(Data::Fresh)?;
            tools::python()
        });
        let built = check_and_build(options);
        let prepared = preparing
            .join()
            .unwrap_or_else(|_| bail!("starting the backends panicked"));
        Ok::<_, anyhow::Error>((built?, prepared?))
    })?;
    println!(
        "checked, built and started after {} s",
        began.elapsed().as_secs()
    );
    if options.has_cluster() {
        cluster::install_meanwhile();
    }
    let began = Instant::now();
    let mut tested = if options.only_cluster {
        (Counts::default(), Matrix::default())
    } else {
        tests(options, fleet, &program, &python)?
    };
    println!("tested for {} s", began.elapsed().as_secs());
    // The rest needs the machine for a cluster, and is for naught when a test failed.
    if options.has_cluster() && tested.0.failed == 0 {
        let began = Instant::now();
        tested.0 += on_a_cluster(fleet, &program, &python)?;
        println!("tested on a cluster for {} s", began.elapsed().as_secs());
    }
    Ok(tested)
}

/// The chart, installed on a real Kubernetes that is started for it.
fn on_a_cluster(fleet: &Fleet, program: &Path, python: &Path) -> Result<Counts> {
    let cluster = Cluster::new();
    let was_up = cluster.is_up();
    cluster.up()?;
    let tested = cluster.takes_the_chart().and_then(|()| {
        let facts = cluster.for_tests(program)?;
        let mut cargo = cargo_test_on_a_cluster();
        cargo.args(["--", "--show-output"]);
        let (counts, _) = counted(told(&mut cargo, fleet, program, python).env(CLUSTER, facts))?;
        Ok(counts)
    });
    if !was_up {
        cluster.down()?;
    }
    tested
}

fn check_and_build(options: &Options) -> Result<PathBuf> {
    if options.has_checks() {
        checks::thorough()?;
    }
    let program = build::build(build::Profile::Debug)?;
    // Compiled before the servers' readiness is waited for.
    if !options.only_cluster {
        process::run(cargo_test(options).arg("--no-run"))?;
    }
    if options.has_cluster() {
        process::run(cargo_test_on_a_cluster().arg("--no-run"))?;
    }
    Ok(program)
}

fn cargo_test(options: &Options) -> Command {
    let mut cargo = process::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    if options.args.is_empty() {
        cargo.arg("--workspace");
    } else {
        cargo.args(&options.args);
    }
    cargo
}

fn cargo_test_on_a_cluster() -> Command {
    let mut cargo = process::cargo();
    // Of the workspace: with the features of one package alone much would be compiled anew.
    cargo.args(["test", "--locked", "--workspace", "--test", "kubernetes"]);
    cargo
}

fn tests(
    options: &Options,
    fleet: &Fleet,
    program: &Path,
    python: &Path,
) -> Result<(Counts, Matrix)> {
    let mut cargo = cargo_test(options);
    // What passing tests print holds the lines of the suites.
    cargo.args(["--", "--show-output"]);
    counted(told(&mut cargo, fleet, program, python))
}

/// What tests read of their surroundings.
fn told<'a>(
    cargo: &'a mut Command,
    fleet: &Fleet,
    program: &Path,
    python: &Path,
) -> &'a mut Command {
    cargo
        .env("RIWAQ_TEST_PROGRAM", program)
        .env("RIWAQ_TEST_PYTHON", python)
        .envs(fleet.variables())
        .env("RIWAQ_TEST_REQUIRED", REQUIRED.join(","))
}

/// Passes the runner's output on, line by line, and adds up its closing lines.
fn counted(command: &mut Command) -> Result<(Counts, Matrix)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let (mut counts, mut matrix) = (Counts::default(), Matrix::default());
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            counts.add(&line);
            matrix.add(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        bail!("cargo test ended with {status}");
    }
    Ok((counts, matrix))
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.ignored += more.ignored;
    }
}

impl Counts {
    fn add(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once("test result: ") else {
            return;
        };
        for part in rest.split([';', '.']) {
            let mut words = part.split_whitespace();
            if let (Some(number), Some(word)) = (words.next(), words.next())
                && let Ok(number) = number.parse::<u64>()
            {
                match word {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What tests ask for: `name, "label", "VARIABLE";` for each server.
    const ASKED: &str = include_str!("../../crates/test-kit/src/backends.rs");

    #[test]
    fn every_server_that_tests_ask_for_is_started_and_required() {
        let variables = backends::for_tests().unwrap().variables();
        let mut asked = 0;
        for line in ASKED.lines() {
            let quoted: Vec<&str> = line.split('"').collect();
            if let [_, label, ", ", variable, ";"] = quoted[..] {
                asked += 1;
                assert!(REQUIRED.contains(&label), "{label} may be passed over");
                let told = variables.iter().any(|(name, _)| *name == variable);
                assert!(told, "nobody tells tests {variable}");
            }
        }
        // Two are asked for in words of their own.
        assert_eq!(asked + 2, REQUIRED.len());
        assert!(REQUIRED.contains(&"python") && REQUIRED.contains(&"cluster"));
        assert!(ASKED.contains(CLUSTER));
    }

    #[test]
    fn closing_lines_are_added_up_and_other_lines_are_not() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s");
        counts
            .add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.add("test a_test ... ok");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (14, 3, 1));
    }
}
