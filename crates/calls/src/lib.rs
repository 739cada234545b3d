//! What an operator sees of the calls to a backend: how many, how they ended, how long they took, how many run.
//!
//! Owns the metrics `riwaq_backend_calls_total` (`backend`, `operation`, `outcome`), `riwaq_backend_call_seconds`
//! (`backend`, `operation`) and `riwaq_backend_calls_running` (`backend`), the same for every adapter. Must not know
//! any backend: operations and outcomes are the adapter's words.
#![warn(missing_docs)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt;
use metrics::{Counter, Gauge, Histogram};
use riwaq_clock::SharedClock;

/// The outcome of a call that nobody waited for to its end: whoever asked had no more time, or has gone.
pub const ABANDONED: &str = "abandoned";

/// The calls to one backend. To be made when the process has its recorder of metrics.
pub struct Calls {
    backend: &'static str,
    outcomes: &'static [&'static str],
    clock: SharedClock,
    running: Gauge,
    operations: RwLock<HashMap<&'static str, Arc<Handles>>>,
}

/// The handles of one operation, kept so that a call does not look them up among all metrics.
struct Handles {
    seconds: Histogram,
    ended: Vec<(&'static str, Counter)>,
}

impl Calls {
    /// Counts calls to `backend`. Each operation shows every one of `outcomes` from its first call on, so that a
    /// first failure is seen as a growth; [`ABANDONED`] is added.
    #[must_use]
    pub fn new(
        backend: &'static str,
        outcomes: &'static [&'static str],
        clock: SharedClock,
    ) -> Self {
        describe();
        Self {
            backend,
            outcomes,
            clock,
            running: metrics::gauge!("riwaq_backend_calls_running", "backend" => backend),
            operations: RwLock::default(),
        }
    }

    /// Carries out a call, and counts and times it under the outcome that `outcome` calls it. It counts as running
    /// from now on; one that is dropped before its end, as [`ABANDONED`].
    // Not an `async fn`: that would keep the call twice.
    pub fn of<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = T>,
        outcome: impl FnOnce(&T) -> &'static str,
    ) -> impl Future<Output = T> {
        let running = Running::start(self, operation);
        call.inspect(move |result| running.end(outcome(result)))
    }

    fn handles(&self, operation: &'static str) -> Arc<Handles> {
        let known = self.operations.read();
        if let Some(handles) = known.unwrap_or_else(PoisonError::into_inner).get(operation) {
            return Arc::clone(handles);
        }
        let mut known = self
            .operations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let handles = known
            .entry(operation)
            .or_insert_with(|| Arc::new(Handles::of(self, operation)));
        Arc::clone(handles)
    }

    fn counter(&self, operation: &'static str, outcome: &'static str) -> Counter {
        metrics::counter!(
            "riwaq_backend_calls_total",
            "backend" => self.backend, "operation" => operation, "outcome" => outcome
        )
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Calls").field(&self.backend).finish()
    }
}

impl Handles {
    fn of(calls: &Calls, operation: &'static str) -> Self {
        let outcomes = calls.outcomes.iter().copied().chain([ABANDONED]);
        Self {
            seconds: metrics::histogram!(
                "riwaq_backend_call_seconds",
                "backend" => calls.backend, "operation" => operation
            ),
            ended: outcomes
                .map(|outcome| (outcome, calls.counter(operation, outcome)))
                .collect(),
        }
    }
}

/// A call that runs. Ends when dropped.
struct Running<'a> {
    calls: &'a Calls,
    operation: &'static str,
    started: Duration,
    outcome: &'static str,
}

impl<'a> Running<'a> {
    fn start(calls: &'a Calls, operation: &'static str) -> Self {
        calls.running.increment(1.0);
        Self {
            calls,
            operation,
            started: calls.clock.monotonic(),
            outcome: ABANDONED,
        }
    }

    fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Self {
            calls, operation, ..
        } = self;
        calls.running.decrement(1.0);
        let taken = calls.clock.monotonic().saturating_sub(self.started);
        let handles = calls.handles(operation);
        handles.seconds.record(taken.as_secs_f64());
        let kept = handles.ended.iter().find(|(name, _)| *name == self.outcome);
        match kept {
            Some((_, counter)) => counter.increment(1),
            None => calls.counter(operation, self.outcome).increment(1),
        }
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
        "riwaq_backend_calls_running",
        "Calls to a backend that have begun and not ended"
    );
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use chrono::DateTime;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use riwaq_clock::ManualClock;

    use super::*;

    /// What is shown after `calls` were made.
    fn shown(calls: impl FnOnce(&Calls, &ManualClock)) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let clock = ManualClock::at(DateTime::UNIX_EPOCH);
            let counted = Calls::new("library", &["ok", "refused"], clock.clone());
            calls(&counted, &clock);
        });
        handle.render()
    }

    fn holds(text: &str, line: &str) {
        assert!(
            text.lines().any(|shown| shown == line),
            "no {line} in\n{text}"
        );
    }

    #[test]
    fn a_call_is_counted_by_its_outcome_and_every_outcome_is_shown_from_the_first() {
        let text = shown(|calls, clock| {
            let slow = async {
                clock.advance(Duration::from_secs(2));
                Ok::<_, ()>(7)
            };
            let label = |result: &Result<i32, ()>| result.map_or("refused", |_| "ok");
            assert_eq!(calls.of("lend", slow, label).now_or_never(), Some(Ok(7)));
        });
        let ended = |outcome: &str, times: u32| {
            let labels = format!(r#"backend="library",operation="lend",outcome="{outcome}""#);
            holds(
                &text,
                &format!("riwaq_backend_calls_total{{{labels}}} {times}"),
            );
        };
        ended("ok", 1);
        ended("refused", 0);
        ended(ABANDONED, 0);
        let labels = r#"backend="library",operation="lend""#;
        holds(
            &text,
            &format!("riwaq_backend_call_seconds_sum{{{labels}}} 2"),
        );
        holds(&text, r#"riwaq_backend_calls_running{backend="library"} 0"#);
    }

    #[test]
    fn a_call_that_runs_is_shown_and_one_that_is_dropped_is_abandoned_and_runs_no_more() {
        let running = r#"riwaq_backend_calls_running{backend="library"}"#;
        let text = shown(|calls, _| {
            let mut lending = Box::pin(calls.of("lend", pending::<()>(), |()| "ok"));
            assert!(lending.as_mut().now_or_never().is_none());
            std::mem::forget(lending);
        });
        holds(&text, &format!("{running} 1"));
        let text = shown(|calls, _| {
            let lending = calls.of("lend", pending::<()>(), |()| "ok");
            assert!(lending.now_or_never().is_none());
        });
        holds(&text, &format!("{running} 0"));
        let labels = r#"backend="library",operation="lend",outcome="abandoned""#;
        holds(&text, &format!("riwaq_backend_calls_total{{{labels}}} 1"));
    }

    #[test]
    fn an_outcome_that_was_not_declared_is_counted_all_the_same() {
        let text = shown(|calls, _| {
            calls.of("lend", ready(()), |()| "lost").now_or_never();
        });
        let labels = r#"backend="library",operation="lend",outcome="lost""#;
        holds(&text, &format!("riwaq_backend_calls_total{{{labels}}} 1"));
    }
}
