//! Every check and every test, with the real backends that they need.

mod counts;
mod report;
mod suites;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::counts::Counts;
use self::report::Report;
use self::suites::Suite;
use crate::backends::{self, Data, Fleet};
use crate::cluster::{self, Cluster};
use crate::matrix::Matrix;
use crate::{build, checks, paths, process, tools};

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
    /// Test this program, and not a debug build of the sources: for figures
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Leave the backends running afterwards
    #[arg(long)]
    keep_backends: bool,
    /// Handed to `cargo test` in place of `--workspace`; after a second `--`, to the programs that it makes
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

    /// Which tests cargo compiles.
    fn of_cargo(&self) -> Vec<String> {
        if self.args.is_empty() {
            return vec!["--workspace".to_owned()];
        }
        let of_cargo = self.args.iter().take_while(|arg| *arg != "--");
        of_cargo.cloned().collect()
    }

    /// Which of those run, by a part of their names, and how.
    fn of_the_harness(&self) -> impl Iterator<Item = &String> {
        self.args.iter().skip_while(|arg| *arg != "--").skip(1)
    }
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
        // Nobody wants what is in them: they need not put it in order.
        fleet.kill_except(&running)?;
    }
    let Seen {
        counts,
        matrix,
        report,
    } = tested?;
    if counts.failed == 0 {
        // The logs of a failure stay.
        fleet.wipe()?;
    }
    // A part of the tests leaves most of the matrix empty, which says nothing.
    let complete = options.args.is_empty() && !options.only_cluster;
    let missing = if complete { matrix.print() } else { Vec::new() };
    for line in report.closing() {
        println!("{line}");
    }
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
fn with_backends(options: &Options, fleet: &Fleet) -> Result<Seen> {
    let began = Instant::now();
    let (built, python) = std::thread::scope(|scope| {
        let preparing = scope.spawn(|| {
            fleet.up(Data::Fresh)?;
            tools::python()
        });
        let built = Built::of(options);
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
    let around = Around {
        options,
        program: &built.program,
        python: &python,
        fleet,
    };
    let mut seen = Seen::new()?;
    let began = Instant::now();
    around.test(built.suites, &mut seen)?;
    // The rest needs the machine for a cluster, and is for naught when a test failed.
    if options.has_cluster() && seen.counts.failed == 0 {
        around.test_on_a_cluster(built.on_a_cluster, &mut seen)?;
    } else {
        around.test_examples(&mut seen)?;
    }
    println!("tested for {} s", began.elapsed().as_secs());
    Ok(seen)
}

/// What was compiled, before the servers' readiness is waited for.
struct Built {
    program: PathBuf,
    suites: Vec<Suite>,
    on_a_cluster: Vec<Suite>,
}

impl Built {
    fn of(options: &Options) -> Result<Self> {
        if options.has_checks() {
            checks::thorough()?;
        }
        let built = |wanted: bool, args: &[String]| {
            let suites = wanted.then(|| suites::built(cargo_test().args(args)));
            suites.transpose().map(Option::unwrap_or_default)
        };
        let program = match &options.program {
            Some(program) => program.canonicalize().context("--program")?,
            None => build::build(build::Profile::Debug)?,
        };
        // Of the workspace: with the features of one package alone much would be compiled anew.
        let on_a_cluster = ["--workspace", "--test", "kubernetes"].map(String::from);
        Ok(Self {
            program,
            suites: built(!options.only_cluster, &options.of_cargo())?,
            on_a_cluster: built(options.has_cluster(), &on_a_cluster)?,
        })
    }
}

fn cargo_test() -> Command {
    let mut cargo = process::cargo();
    cargo.args(["test", "--locked"]);
    cargo
}

/// What tests read of their surroundings.
struct Around<'a> {
    options: &'a Options,
    program: &'a Path,
    python: &'a Path,
    fleet: &'a Fleet,
}

impl Around<'_> {
    fn tell(&self, test: &mut Command) {
        // What passing tests print holds the lines of the suites.
        test.arg("--show-output")
            .env("RIWAQ_TEST_PROGRAM", self.program)
            .env("RIWAQ_TEST_PYTHON", self.python)
            .envs(self.fleet.variables())
            .env("RIWAQ_TEST_REQUIRED", REQUIRED.join(","));
    }

    fn test(&self, suites: Vec<Suite>, seen: &mut Seen) -> Result<()> {
        let tell = |test: &mut Command| {
            self.tell(test);
            test.args(self.options.of_the_harness());
        };
        suites::run(suites, tell, &mut |line: &str| seen.line(line))
    }

    /// What stands in the documentation, where everything is tested.
    fn test_examples(&self, seen: &mut Seen) -> Result<()> {
        if !self.options.args.is_empty() || self.options.only_cluster {
            return Ok(());
        }
        let mut examples = cargo_test();
        examples.args(["--no-fail-fast", "--workspace", "--doc"]);
        suites::streamed(&mut examples, &mut |line| seen.line(line))
            .context("the examples of the documentation")
    }

    /// The chart, installed on a real Kubernetes that is started for it, while the examples of the documentation run.
    fn test_on_a_cluster(&self, suites: Vec<Suite>, seen: &mut Seen) -> Result<()> {
        let cluster = Cluster::new();
        let was_up = cluster.is_up();
        let tested = std::thread::scope(|scope| {
            let preparing = scope.spawn(|| {
                cluster.up()?;
                cluster.takes_the_chart()?;
                cluster.for_tests(self.program)
            });
            self.test_examples(seen)?;
            preparing
                .join()
                .unwrap_or_else(|_| bail!("starting the cluster panicked"))
        })
        .and_then(|facts| {
            // An example may have failed meanwhile.
            if seen.counts.failed > 0 {
                return Ok(());
            }
            let began = Instant::now();
            let tell = |test: &mut Command| {
                self.tell(test);
                test.env(CLUSTER, &facts);
            };
            suites::run(suites, tell, &mut |line: &str| seen.line(line))?;
            println!("tested on a cluster for {} s", began.elapsed().as_secs());
            Ok(())
        });
        let gone = if was_up { Ok(()) } else { cluster.down() };
        // What went wrong first says why.
        tested.and(gone)
    }
}

/// What the lines of test programs came to.
struct Seen {
    counts: Counts,
    matrix: Matrix,
    report: Report,
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            counts: Counts::default(),
            matrix: Matrix::default(),
            report: Report::new(paths::target().join("tests.log"))?,
        })
    }

    /// Takes a line and passes it on.
    fn line(&mut self, line: &str) {
        if self.report.takes(line) {
            println!("{line}");
        }
        self.counts.add(line);
        self.matrix.add(line);
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
}
