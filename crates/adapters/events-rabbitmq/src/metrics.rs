//! What an operator sees of the calls to the broker. Handles are kept, so that a call costs no look-up.

use std::future::Future;

use metrics::{Counter, Gauge, Histogram};
use riwaq_clock::SharedClock;
use riwaq_events::{EventsError, Result};

const BACKEND: &str = "rabbitmq";
const OUTCOMES: [&str; 4] = ["ok", "refused", "unavailable", "error"];

/// What a call does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Declare,
    Retire,
    Publish,
    Subscribe,
    Ack,
    Nack,
    DeadLetters,
    Replay,
    Discard,
    Depths,
    Ping,
}

impl Operation {
    /// In the order of the declaration, which is that of the handles.
    const NAMES: [&str; 11] = [
        "declare",
        "retire",
        "publish",
        "subscribe",
        "ack",
        "nack",
        "dead_letters",
        "replay",
        "discard",
        "depths",
        "ping",
    ];
}

struct Handles {
    calls: [Counter; OUTCOMES.len()],
    seconds: Histogram,
}

/// All handles.
pub(crate) struct Metrics {
    operations: [Handles; Operation::NAMES.len()],
    /// Publications that no group and no replica wanted.
    pub(crate) unroutable: Counter,
    /// Publications that were sent again because their confirmation did not come.
    pub(crate) repeated: Counter,
    /// Messages that are no events.
    pub(crate) unreadable: Counter,
    /// Publications that wait for their confirmation.
    pub(crate) unconfirmed: Gauge,
    /// Open connections of this process.
    pub(crate) connections: Gauge,
    clock: SharedClock,
}

impl Metrics {
    pub(crate) fn new(clock: SharedClock) -> Self {
        describe();
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
            unroutable: metrics::counter!("riwaq_events_unroutable_total"),
            repeated: metrics::counter!("riwaq_events_repeated_total"),
            unreadable: metrics::counter!("riwaq_events_unreadable_total"),
            unconfirmed: metrics::gauge!("riwaq_events_unconfirmed"),
            connections: metrics::gauge!("riwaq_backend_connections", "backend" => BACKEND),
            clock,
        }
    }

    /// Carries out a call, and counts and times it.
    pub(crate) async fn of<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let started = self.clock.monotonic();
        let result = call.await;
        let taken = self.clock.monotonic().saturating_sub(started);
        let handles = &self.operations[operation as usize];
        handles.calls[outcome(&result)].increment(1);
        handles.seconds.record(taken.as_secs_f64());
        result
    }
}

fn describe() {
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
        "riwaq_backend_connections",
        "Open connections of this process to a backend"
    );
    metrics::describe_counter!(
        "riwaq_events_unroutable_total",
        "Events that no group and no replica wanted"
    );
    metrics::describe_counter!(
        "riwaq_events_repeated_total",
        "Events that were sent again because their confirmation did not come"
    );
    metrics::describe_counter!(
        "riwaq_events_unreadable_total",
        "Messages in our queues that are no events; they are kept aside"
    );
    metrics::describe_gauge!(
        "riwaq_events_unconfirmed",
        "Publications that wait for their confirmation"
    );
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn outcome<T>(result: &Result<T>) -> usize {
    match result {
        Ok(_) => 0,
        Err(
            EventsError::InvalidInput { .. }
            | EventsError::TooLarge { .. }
            | EventsError::NotHeld
            | EventsError::NoSuchDeadLetter { .. },
        ) => 1,
        Err(EventsError::Unavailable(_)) => 2,
        Err(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_error_has_its_name() {
        assert_eq!(Operation::NAMES[Operation::Ping as usize], "ping");
        assert_eq!(Operation::NAMES[Operation::Nack as usize], "nack");
        let named = |error: EventsError| OUTCOMES[outcome::<()>(&Err(error))];
        assert_eq!(OUTCOMES[outcome(&Ok(()))], "ok");
        assert_eq!(named(EventsError::NotHeld), "refused");
        assert_eq!(
            named(EventsError::Unavailable(String::new())),
            "unavailable"
        );
        assert_eq!(named(EventsError::Corrupt(String::new())), "error");
    }
}
