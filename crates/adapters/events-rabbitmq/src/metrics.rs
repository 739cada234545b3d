//! What an operator sees of the calls to the broker, and of what is on its way.

use std::future::Future;

use metrics::{Counter, Gauge};
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;
use riwaq_events::{EventsError, Result};

const BACKEND: &str = "rabbitmq";
const OUTCOMES: &[&str] = &["ok", "refused", "unavailable", "error"];

#[derive(Debug)]
pub(crate) struct Metrics {
    calls: Calls,
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
}

impl Metrics {
    pub(crate) fn new(clock: SharedClock) -> Self {
        describe();
        Self {
            calls: Calls::new(BACKEND, OUTCOMES, clock),
            unroutable: metrics::counter!("riwaq_events_unroutable_total"),
            repeated: metrics::counter!("riwaq_events_repeated_total"),
            unreadable: metrics::counter!("riwaq_events_unreadable_total"),
            unconfirmed: metrics::gauge!("riwaq_events_unconfirmed"),
            connections: metrics::gauge!("riwaq_backend_connections", "backend" => BACKEND),
        }
    }

    /// Carries out a call, and counts and times it.
    pub(crate) fn of<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        self.calls.of(operation, call, outcome)
    }
}

fn describe() {
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

fn outcome<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(
            EventsError::InvalidInput { .. }
            | EventsError::TooLarge { .. }
            | EventsError::NotHeld
            | EventsError::NoSuchDeadLetter { .. },
        ) => "refused",
        Err(EventsError::Unavailable(_)) => "unavailable",
        Err(_) => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_wrongly_a_broker_that_is_away_and_a_bad_message_differ() {
        let named = |error: EventsError| outcome::<()>(&Err(error));
        assert_eq!(outcome(&Ok(())), "ok");
        assert_eq!(named(EventsError::NotHeld), "refused");
        let away = EventsError::Unavailable(String::new());
        assert_eq!(named(away), "unavailable");
        assert_eq!(named(EventsError::Corrupt(String::new())), "error");
    }
}
