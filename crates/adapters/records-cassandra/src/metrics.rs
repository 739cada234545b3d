//! What an operator sees of the calls to the cluster.
//!
//! Handles are kept, so that a call costs no look-up.

use std::future::Future;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use riwaq_clock::SharedClock;
use riwaq_records::RecordsError;
use scylla::client::session::Session;

const BACKEND: &str = "cassandra";
const OUTCOMES: [&str; 5] = ["ok", "refused", "unavailable", "unknown", "error"];

/// What a call does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Get,
    GetSerial,
    Scan,
    Write,
    Batch,
    Apply,
    ScanTable,
    SchemaNumber,
    Migrate,
    Ping,
    Risks,
}

impl Operation {
    /// In the order of the declaration, which is that of the handles.
    const NAMES: [&str; 11] = [
        "get",
        "get_serial",
        "scan",
        "write",
        "batch",
        "apply",
        "scan_table",
        "schema_number",
        "migrate",
        "ping",
        "risks",
    ];
}

/// The handles of one operation.
struct Handles {
    calls: [Counter; OUTCOMES.len()],
    seconds: Histogram,
}

/// All handles.
pub(crate) struct Metrics {
    operations: [Handles; Operation::NAMES.len()],
    connected: Gauge,
    away: Gauge,
    clock: SharedClock,
}

impl Metrics {
    pub(crate) fn new(clock: SharedClock) -> Self {
        metrics::describe_counter!(
            "riwaq_backend_calls_total",
            "Calls to a backend, by what they did and how they ended"
        );
        metrics::describe_histogram!(
            "riwaq_backend_call_seconds",
            metrics::Unit::Seconds,
            "How long calls to a backend took"
        );
        metrics::describe_gauge!(
            "riwaq_backend_nodes",
            "Nodes of a backend that this process knows, by whether it is connected to them"
        );
        let nodes =
            |state| metrics::gauge!("riwaq_backend_nodes", "backend" => BACKEND, "state" => state);
        Self {
            operations: Operation::NAMES.map(|operation| Handles {
                calls: OUTCOMES.map(|outcome| {
                    metrics::counter!(
                        "riwaq_backend_calls_total",
                        "backend" => BACKEND, "operation" => operation, "outcome" => outcome
                    )
                }),
                seconds: metrics::histogram!(
                    "riwaq_backend_call_seconds", "backend" => BACKEND, "operation" => operation
                ),
            }),
            connected: nodes("connected"),
            away: nodes("away"),
            clock,
        }
    }

    /// Carries out a call, and counts and times it.
    pub(crate) async fn of<T>(
        &self,
        operation: Operation,
        session: &Session,
        call: impl Future<Output = Result<T, RecordsError>> + Send,
    ) -> Result<T, RecordsError> {
        let started = self.clock.monotonic();
        let result = call.await;
        let taken = self.clock.monotonic().saturating_sub(started);
        self.count(operation, outcome(&result), taken);
        // The nodes are counted when they matter: when something failed, and whenever readiness is asked for.
        if matches!(operation, Operation::Ping)
            || result.as_ref().is_err_and(RecordsError::is_retryable)
        {
            self.nodes(session);
        }
        result
    }

    fn count(&self, operation: Operation, outcome: usize, taken: Duration) {
        let handles = &self.operations[operation as usize];
        handles.calls[outcome].increment(1);
        handles.seconds.record(taken.as_secs_f64());
    }

    /// Sets how many nodes there are, with and without a connection.
    #[expect(clippy::cast_precision_loss, reason = "a cluster has few nodes")]
    pub(crate) fn nodes(&self, session: &Session) {
        let state = session.get_cluster_state();
        let nodes = state.get_nodes_info();
        let connected = nodes.iter().filter(|node| node.is_connected()).count();
        self.connected.set(connected as f64);
        self.away.set((nodes.len() - connected) as f64);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn outcome<T>(result: &Result<T, RecordsError>) -> usize {
    match result {
        Ok(_) => 0,
        Err(RecordsError::InvalidInput { .. } | RecordsError::TooLarge { .. }) => 1,
        Err(RecordsError::Unavailable { .. }) => 2,
        Err(RecordsError::Unknown { .. }) => 3,
        Err(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_error_has_its_name() {
        assert_eq!(Operation::NAMES[Operation::Risks as usize], "risks");
        assert_eq!(Operation::NAMES[Operation::Apply as usize], "apply");
        let named = |error: RecordsError| OUTCOMES[outcome::<()>(&Err(error))];
        assert_eq!(OUTCOMES[outcome(&Ok(()))], "ok");
        assert_eq!(named(RecordsError::invalid("a", "b")), "refused");
        assert_eq!(named(RecordsError::unavailable("a")), "unavailable");
        assert_eq!(named(RecordsError::unknown("a")), "unknown");
        assert_eq!(named(RecordsError::schema("a")), "error");
    }
}
