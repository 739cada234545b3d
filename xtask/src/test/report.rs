//! What test programs print: all of it in a log, on the screen what tells how it goes, and why a test failed once more at the
//! end.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Of what a failed test printed, how much is told again: its error is the last of it.
const TOLD_AGAIN: usize = 30;

/// What a test program is saying.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Which test ended how.
    Progress,
    /// What passed tests printed.
    Passed,
    /// What failed ones did.
    Failed,
}

/// Of all test programs, one after the other.
pub(super) struct Report {
    path: PathBuf,
    log: LineWriter<File>,
    part: Part,
    /// By test: its heading, and what it printed.
    failures: Vec<Vec<String>>,
}

impl Report {
    /// With a log of its own at `path`.
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        let log = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path,
            log: LineWriter::new(log),
            part: Part::Progress,
            failures: Vec::new(),
        })
    }

    /// Takes a line; gives whether it is one for the screen, as is each that the log did not take.
    pub(super) fn takes(&mut self, line: &str) -> bool {
        let is_kept = writeln!(self.log, "{line}").is_ok();
        let begins = match line {
            "successes:" => Some(Part::Passed),
            "failures:" => Some(Part::Failed),
            _ if line.starts_with("test result: ") || line.starts_with("     Running ") => {
                Some(Part::Progress)
            }
            _ => None,
        };
        self.part = begins.unwrap_or(self.part);
        if self.part == Part::Failed && begins.is_none() {
            self.remember(line);
        }
        self.part != Part::Passed || !is_kept
    }

    /// Two lists come under one heading: what they printed by test, then their names, which are indented.
    fn remember(&mut self, line: &str) {
        if line.starts_with("---- ") {
            self.failures.push(Vec::new());
        }
        if let Some(test) = self.failures.last_mut()
            && !line.is_empty()
        {
            test.push(line.to_owned());
        }
    }

    /// What is told when all is over.
    pub(super) fn closing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for test in &self.failures {
            let left_out = test.len().saturating_sub(TOLD_AGAIN + 1);
            lines.extend(test.first().cloned());
            if left_out > 0 {
                lines.push(format!("({left_out} lines before these)"));
            }
            lines.extend(test.iter().skip(1 + left_out).cloned());
        }
        lines.push(format!("all that tests printed: {}", self.path.display()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 3 tests
test a ... ok
test b ... FAILED
test c ... FAILED

successes:

---- a stdout ----
a figure

successes:
    a

failures:

---- b stdout ----
before
Error: b's reason

---- c stdout ----
Error: c's reason


failures:
    b
    c

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out
     Running the next
running 0 tests";

    fn after(printed: &str) -> (String, String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tests.log");
        let mut report = Report::new(path.clone()).unwrap();
        let shown = printed.lines().filter(|line| report.takes(line));
        let shown: Vec<&str> = shown.collect();
        let log = std::fs::read_to_string(path).unwrap();
        (shown.join("\n"), log, report.closing())
    }

    #[test]
    fn what_passed_tests_print_is_in_the_log_alone() {
        let (shown, log, _) = after(PRINTED);
        assert_eq!(log.trim_end(), PRINTED);
        assert!(!shown.contains("a figure"), "{shown}");
        for line in ["test a ... ok", "b's reason", "running 0 tests"] {
            assert!(shown.contains(line), "{line} is missing: {shown}");
        }
    }

    #[test]
    fn why_tests_failed_is_told_again_at_the_end() {
        let (_, _, closing) = after(PRINTED);
        let expected = [
            "---- b stdout ----",
            "before",
            "Error: b's reason",
            "---- c stdout ----",
            "Error: c's reason",
            "    b",
            "    c",
        ];
        assert_eq!(closing[..7], expected);
        assert_eq!(closing.len(), 8, "{closing:?}");
    }

    #[test]
    fn of_a_long_one_the_end_is_told() {
        let lines: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
        let printed = format!("failures:\n---- d stdout ----\n{}", lines.join("\n"));
        let (_, _, closing) = after(&printed);
        assert_eq!(closing[1], "(70 lines before these)");
        assert_eq!(closing[2], "line 70");
        assert_eq!(closing[31], "line 99");
    }
}
