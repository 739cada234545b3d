//! Finding the real backends that `cargo xtask test` started.

use std::path::PathBuf;

/// A backend that a test wants.
#[derive(Debug, Clone)]
pub enum Backend<T> {
    /// It runs; this is how it is reached.
    Ready(T),
    /// It does not run here and nobody required it; `NOT RUN` was printed.
    NotRun,
}

/// The address of the Cassandra node (`RIWAQ_TEST_CASSANDRA`, `host:port`, role `cassandra`).
///
/// # Panics
/// When it is missing although `RIWAQ_TEST_REQUIRED` names it: then the test has failed.
#[must_use]
pub fn cassandra() -> Backend<String> {
    find("cassandra", "RIWAQ_TEST_CASSANDRA")
}

/// A Python that has the stock protocol clients (`RIWAQ_TEST_PYTHON`).
///
/// # Panics
/// When it is missing although `RIWAQ_TEST_REQUIRED` names it.
#[must_use]
pub fn python() -> Backend<PathBuf> {
    match find("python", "RIWAQ_TEST_PYTHON") {
        Backend::Ready(path) => Backend::Ready(path.into()),
        Backend::NotRun => Backend::NotRun,
    }
}

fn find(name: &str, variable_name: &str) -> Backend<String> {
    if let Some(value) = variable(variable_name) {
        return Backend::Ready(value);
    }
    let required = variable("RIWAQ_TEST_REQUIRED").unwrap_or_default();
    assert!(
        !required.split(',').any(|required| required.trim() == name),
        "the backend {name} is required and {variable_name} is not set"
    );
    println!("NOT RUN: {name} ({variable_name} is not set; `cargo xtask test` sets it)");
    Backend::NotRun
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness is configured by its environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
