//! The matrix of ports, adapters and behaviours, gathered from the lines that the suites print.
//!
//! It is part of the documentation: a complete run of the tests writes it, and with `CI` set fails when what is
//! committed says something else.

mod page;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::paths;

/// Where it is written.
const PAGE: &str = "docs/conformance.md";

/// Every adapter whose suite must have run. An adapter that is missing here is found by its lines;
/// one that is here and printed nothing is NOT RUN.
const REQUIRED: &[(&str, &[&str])] = &[
    (
        "records",
        &["memory", "sqlite", "cassandra", "cassandra-cluster"],
    ),
    ("aggregates", &["memory", "sqlite", "cassandra"]),
    ("events", &["memory", "sqlite", "rabbitmq"]),
    (
        "blobs",
        &["memory", "folder", "s3 (minio)", "s3 (versitygw)"],
    ),
    (
        "directory",
        &[
            "memory",
            "local over memory",
            "local over sqlite",
            "local over cassandra",
            "keycloak",
        ],
    ),
    ("index", &["memory", "tantivy", "opensearch"]),
    ("mail", &["memory", "folder", "smtp"]),
    ("llm", &["scripted"]),
];

/// Every way to run the program in which scenarios must have passed.
const MODES: &[&str] = &["embedded", "distributed"];

/// What passed: for each port or for the scenarios, for each adapter or mode, the behaviours.
type Passed = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

const SCENARIOS: &str = "scenarios";

/// Cases that passed.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    passed: Passed,
    not_run: BTreeSet<String>,
}

impl Matrix {
    /// Takes `conformance: PORT/ADAPTER/CASE ok`, `scenario: NAME/MODE ok (..)` (or `left out`) and `NOT RUN: WHAT`; other
    /// lines say nothing here.
    pub(crate) fn add(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("NOT RUN: ") {
            self.not_run.insert(what.to_owned());
        } else if let Some(rest) = line.strip_prefix("conformance: ") {
            self.add_case(rest);
        } else if let Some(rest) = line.strip_prefix("scenario: ") {
            self.add_scenario(rest);
        }
    }

    fn add_case(&mut self, rest: &str) {
        let Some(name) = rest.strip_suffix(" ok") else {
            return;
        };
        let mut parts = name.splitn(3, '/');
        if let (Some(port), Some(adapter), Some(case)) = (parts.next(), parts.next(), parts.next())
        {
            self.note(port, adapter, case);
        }
    }

    fn add_scenario(&mut self, rest: &str) {
        let Some((name, outcome)) = rest.split_once(' ') else {
            return;
        };
        if outcome == "NOT RUN" || outcome == "left out" {
            self.not_run.insert(name.to_owned());
        } else if let Some((scenario, mode)) = name.rsplit_once('/')
            && (outcome == "ok" || outcome.starts_with("ok "))
        {
            self.note(SCENARIOS, mode, &scenario.replace('_', " "));
        }
    }

    fn note(&mut self, port: &str, adapter: &str, case: &str) {
        let adapters = self.passed.entry(port.to_owned()).or_default();
        adapters
            .entry(adapter.to_owned())
            .or_default()
            .insert(case.to_owned());
    }

    /// Prints it; gives what was required and did not run.
    pub(crate) fn print(&self) -> Vec<String> {
        println!("conformance, port by adapter:");
        for (port, adapters) in &self.passed {
            for (adapter, cases) in adapters {
                println!("  {port:10} {adapter:28} {:4} cases passed", cases.len());
            }
        }
        let missing = self.missing();
        for what in &missing {
            println!("  {what}  NOT RUN");
        }
        missing
    }

    /// Writes the page of the documentation; in CI, fails when the committed one is another.
    pub(crate) fn publish(&self) -> Result<()> {
        let path = paths::root().join(PAGE);
        let page = page::render(&self.passed);
        if std::fs::read_to_string(&path).is_ok_and(|committed| committed == page) {
            return Ok(());
        }
        std::fs::write(&path, page)?;
        if paths::variable("CI").is_some() {
            bail!("{PAGE} is not what the tests found; run `cargo xtask test` and commit it");
        }
        println!("{PAGE} is new: commit it");
        Ok(())
    }

    fn missing(&self) -> Vec<String> {
        let modes: (&str, &[&str]) = (SCENARIOS, MODES);
        let required = REQUIRED
            .iter()
            .chain([&modes])
            .flat_map(|(port, adapters)| adapters.iter().map(move |adapter| (*port, *adapter)));
        let ran = |port: &str, adapter: &str| {
            let adapters = self.passed.get(port);
            adapters.is_some_and(|adapters| adapters.contains_key(adapter))
        };
        required
            .filter(|(port, adapter)| !ran(port, adapter))
            .map(|(port, adapter)| format!("{port}/{adapter}"))
            .chain(self.not_run.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_that_printed_nothing_is_not_run() {
        let mut matrix = Matrix::default();
        matrix.add("conformance: records/sqlite/rows come in order ok");
        matrix.add("conformance: records/cassandra/rows come in order FAILED: no");
        let missing = matrix.missing();
        assert!(!missing.contains(&"records/sqlite".to_owned()));
        assert!(missing.contains(&"records/cassandra".to_owned()));
    }

    #[test]
    fn a_backend_that_was_passed_over_is_not_run() {
        let mut matrix = Matrix::default();
        matrix.add("NOT RUN: python (RIWAQ_TEST_PYTHON is not set)");
        assert!(
            matrix
                .missing()
                .iter()
                .any(|what| what.starts_with("python"))
        );
    }

    #[test]
    fn a_scenario_counts_for_the_mode_in_which_it_passed() {
        let mut matrix = Matrix::default();
        matrix.add("scenario: the_main_job/embedded ok (312 ms)");
        matrix.add("scenario: the_main_job/distributed FAILED (9 ms)");
        matrix.add("scenario: traces/distributed NOT RUN");
        matrix.add("scenario: traces/embedded left out");
        let missing = matrix.missing();
        assert!(!missing.contains(&"scenarios/embedded".to_owned()));
        assert!(!matrix.passed[SCENARIOS].contains_key("distributed"));
        assert!(missing.contains(&"traces/distributed".to_owned()));
        assert!(matrix.passed[SCENARIOS]["embedded"].contains("the main job"));
    }
}
