//! The matrix as a page of the documentation: the same run gives the same text.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{MODES, Passed, REQUIRED, SCENARIOS};

const HEAD: &str = "# What passes on what

Written by `cargo xtask test` from what the suites printed. Each port has
one suite, and each adapter runs the whole of it: against a real server where it has one, of the versions
that `xtask/src/backends/versions.rs` pins. A scenario drives the whole program over HTTP: `embedded` is all
roles in one process on the adapters that need no server, `distributed` is two processes a role on Cassandra (three
nodes), MinIO, RabbitMQ, OpenSearch and Keycloak.

✓ passed. An empty cell is a case that the adapter's suite does not have, such as the ones of a single
adapter, or of the memory under injected faults; or a fault that one process cannot have.
";

/// One table for each port, and one for the scenarios.
pub(super) fn render(passed: &Passed) -> String {
    let mut page = HEAD.to_owned();
    let ports = REQUIRED.iter().map(|(port, adapters)| (*port, *adapters));
    for (port, usual) in ports.chain([(SCENARIOS, MODES)]) {
        let Some(adapters) = passed.get(port) else {
            continue;
        };
        // In the table's order, then what else there is by its name.
        let others = adapters.keys().map(String::as_str);
        let others = others.filter(|adapter| !usual.contains(adapter));
        let columns: Vec<&str> = usual.iter().copied().chain(others).collect();
        let cases: BTreeSet<&str> = adapters.values().flatten().map(String::as_str).collect();
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {port}\n\n| |");
        for column in &columns {
            let _ = write!(page, " {} |", escaped(column));
        }
        let _ = write!(page, "\n|---|{}\n", "---|".repeat(columns.len()));
        for case in cases {
            let _ = write!(page, "| {} |", escaped(case));
            for column in &columns {
                let has = adapters
                    .get(*column)
                    .is_some_and(|cases| cases.contains(case));
                page.push_str(if has { " ✓ |" } else { " |" });
            }
            page.push('\n');
        }
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    #[test]
    fn behaviours_are_rows_adapters_are_columns_and_the_order_of_lines_does_not_matter() {
        let lines = [
            "conformance: index/tantivy/finds a|b ok",
            "conformance: index/memory/finds a|b ok",
            "conformance: index/extra/deletes ok",
        ];
        let read = |lines: &mut dyn Iterator<Item = &&str>| {
            let mut matrix = Matrix::default();
            lines.for_each(|line| matrix.add(line));
            render(&matrix.passed)
        };
        let page = read(&mut lines.iter());
        assert_eq!(page, read(&mut lines.iter().rev()));
        let table = page.split("## index\n\n").nth(1).unwrap();
        assert_eq!(
            table,
            "| | memory | tantivy | opensearch | extra |\n|---|---|---|---|---|\n\
             | deletes | | | | ✓ |\n| finds a\\|b | ✓ | ✓ | | |\n"
        );
    }
}
