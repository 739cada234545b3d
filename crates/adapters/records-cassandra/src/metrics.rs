//! What an operator sees of the calls to the cluster.

use std::future::Future;

use futures::FutureExt;
use metrics::Gauge;
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;
use riwaq_records::RecordsError;
use scylla::client::session::Session;

const BACKEND: &str = "cassandra";
const OUTCOMES: &[&str] = &["ok", "refused", "unavailable", "unknown", "error"];

#[derive(Debug)]
pub(crate) struct Metrics {
    calls: Calls,
    connected: Gauge,
    away: Gauge,
}

impl Metrics {
    pub(crate) fn new(clock: SharedClock) -> Self {
        metrics::describe_gauge!(
            "riwaq_backend_nodes",
            "Nodes of a backend that this process knows, by whether it is connected to them"
        );
        let nodes =
            |state| metrics::gauge!("riwaq_backend_nodes", "backend" => BACKEND, "state" => state);
        Self {
            calls: Calls::new(BACKEND, OUTCOMES, clock),
            connected: nodes("connected"),
            away: nodes("away"),
        }
    }

    /// Carries out a call, and counts and times it.
    pub(crate) fn of<T>(
        &self,
        operation: &'static str,
        session: &Session,
        call: impl Future<Output = Result<T, RecordsError>> + Send,
    ) -> impl Future<Output = Result<T, RecordsError>> + Send {
        let counted = self.calls.of(operation, call, outcome);
        counted.inspect(|result| {
            // The nodes are counted when they matter.
            if result.as_ref().is_err_and(RecordsError::is_retryable) {
                self.nodes(session);
            }
        })
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

fn outcome<T>(result: &Result<T, RecordsError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(RecordsError::InvalidInput { .. } | RecordsError::TooLarge { .. }) => "refused",
        Err(RecordsError::Unavailable { .. }) => "unavailable",
        Err(RecordsError::Unknown { .. }) => "unknown",
        Err(_) => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_may_have_happened_has_an_outcome_of_its_own() {
        let named = |error: RecordsError| outcome::<()>(&Err(error));
        assert_eq!(outcome(&Ok(())), "ok");
        assert_eq!(named(RecordsError::invalid("a", "b")), "refused");
        assert_eq!(named(RecordsError::unavailable("a")), "unavailable");
        assert_eq!(named(RecordsError::unknown("a")), "unknown");
        assert_eq!(named(RecordsError::schema("a")), "error");
    }
}
