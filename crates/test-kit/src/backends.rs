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

/// One real server, the variable that holds where it is, and the function that asks for it.
macro_rules! servers {
    ($($(#[$doc:meta])* $name:ident, $label:literal, $variable:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// When it is missing although `RIWAQ_TEST_REQUIRED` names it: then the test has failed.
        #[must_use]
        pub fn $name() -> Backend<String> {
            find($label, $variable)
        }
    )*};
}

servers! {
    /// One Cassandra node: `host:port`, role `cassandra`.
    cassandra, "cassandra", "RIWAQ_TEST_CASSANDRA";
    /// Three Cassandra nodes: `host:port`, with commas between; TLS is optional on the same ports.
    cassandra_cluster, "cassandra-cluster", "RIWAQ_TEST_CASSANDRA_CLUSTER";
    /// The folder of an installed Cassandra (its jars lie in `lib`), for tests that kill nodes of their own.
    cassandra_home, "cassandra-nodes", "RIWAQ_TEST_CASSANDRA_HOME";
    /// MinIO: `http://access:secret@host:port`.
    s3, "s3", "RIWAQ_TEST_S3";
    /// A second S3 server of other makers, over TLS: `https://access:secret@host:port`.
    s3_second, "s3-second", "RIWAQ_TEST_S3_SECOND";
    /// The program of an installed MinIO, for tests that kill a server of their own.
    minio_program, "minio-node", "RIWAQ_TEST_MINIO_PROGRAM";
    /// The program of an installed Pebble, for tests that order certificates from an authority of their own.
    pebble_program, "pebble", "RIWAQ_TEST_PEBBLE_PROGRAM";
    /// RabbitMQ: `amqp://user:password@host:port/%2f`; the user may administer it.
    rabbitmq, "rabbitmq", "RIWAQ_TEST_RABBITMQ";
    /// The same RabbitMQ over TLS: `amqps://…`.
    rabbitmq_tls, "rabbitmq-tls", "RIWAQ_TEST_RABBITMQ_TLS";
    /// The folder of an installed RabbitMQ (its programs lie in `bin`), for tests that kill a broker of their own.
    rabbitmq_home, "rabbitmq-node", "RIWAQ_TEST_RABBITMQ_HOME";
    /// OpenSearch: `http://host:port`.
    opensearch, "opensearch", "RIWAQ_TEST_OPENSEARCH";
    /// Keycloak: `http://admin:password@host:port`, an administrator of the realm `master`.
    keycloak, "keycloak", "RIWAQ_TEST_KEYCLOAK";
    /// The same Keycloak over TLS: `https://…`.
    keycloak_tls, "keycloak-tls", "RIWAQ_TEST_KEYCLOAK_TLS";
    /// The file of the authority (PEM) that signed every test server's certificate.
    authority, "authority", "RIWAQ_TEST_CA";
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

/// The Kubernetes cluster of `cargo xtask cluster` (`RIWAQ_TEST_CLUSTER`): a file that says how it is reached (JSON).
///
/// # Panics
/// When it is missing although `RIWAQ_TEST_REQUIRED` names it.
#[must_use]
pub fn cluster() -> Backend<PathBuf> {
    match find("cluster", "RIWAQ_TEST_CLUSTER") {
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
