//! The matrix of ports and adapters, gathered from the lines that the suites print.

use std::collections::{BTreeMap, BTreeSet};

/// Every adapter whose suite must have run. An adapter that is missing here is found by its lines;
/// one that is here and printed nothing is NOT RUN.
const REQUIRED: &[(&str, &[&str])] = &[
    ("records", &["memory", "sqlite", "cassandra"]),
    ("aggregates", &["memory", "sqlite", "cassandra"]),
    ("events", &["memory", "sqlite"]),
    ("blobs", &["memory", "folder"]),
    (
        "directory",
        &[
            "memory",
            "local over memory",
            "local over sqlite",
            "local over cassandra",
        ],
    ),
    ("index", &["memory", "tantivy"]),
    ("mail", &["memory", "folder", "smtp"]),
    ("llm", &["scripted"]),
];

/// Cases that passed, for each port and adapter.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    passed: BTreeMap<(String, String), BTreeSet<String>>,
    not_run: BTreeSet<String>,
}

impl Matrix {
    /// Takes `conformance: PORT/ADAPTER/CASE ok` and `NOT RUN: WHAT`; other lines say nothing here.
    pub(crate) fn add(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("NOT RUN: ") {
            self.not_run.insert(what.to_owned());
        }
        let Some(rest) = line.strip_prefix("conformance: ") else {
            return;
        };
        let Some(name) = rest.strip_suffix(" ok") else {
            return;
        };
        let mut parts = name.splitn(3, '/');
        if let (Some(port), Some(adapter), Some(case)) = (parts.next(), parts.next(), parts.next())
        {
            let key = (port.to_owned(), adapter.to_owned());
            self.passed.entry(key).or_default().insert(case.to_owned());
        }
    }

    /// Prints it; gives what was required and did not run.
    pub(crate) fn print(&self) -> Vec<String> {
        println!("conformance, port by adapter:");
        for ((port, adapter), cases) in &self.passed {
            println!("  {port:10} {adapter:28} {:4} cases passed", cases.len());
        }
        let missing = self.missing();
        for what in &missing {
            println!("  {what}  NOT RUN");
        }
        missing
    }

    fn missing(&self) -> Vec<String> {
        let required = REQUIRED
            .iter()
            .flat_map(|(port, adapters)| adapters.iter().map(move |adapter| (*port, *adapter)));
        required
            .filter(|(port, adapter)| {
                !self
                    .passed
                    .contains_key(&((*port).to_owned(), (*adapter).to_owned()))
            })
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
}
