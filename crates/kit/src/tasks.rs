//! The only place that starts tasks, so that all of them are known, named, traced and drained.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context;
use crate::problem::Problem;

/// The tasks of one service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TaskGroup(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Told first: background tasks end their loop.
    closing: CancellationToken,
    tracker: TaskTracker,
    /// Told last: whoever is still there is cut off.
    abort: CancellationToken,
}

/// A task did not run to its end: it panicked, or the process is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailed {
    /// It panicked; the panic is in the log.
    #[error("the task panicked")]
    Panicked,
    /// It was cut off at the end of the drain.
    #[error("the task was cut off by the shutdown")]
    CutOff,
}

impl From<TaskFailed> for Problem {
    fn from(failed: TaskFailed) -> Self {
        match failed {
            TaskFailed::Panicked => Self::internal(failed),
            TaskFailed::CutOff => Self::unavailable(failed),
        }
    }
}

impl From<TaskFailed> for tonic::Status {
    fn from(failed: TaskFailed) -> Self {
        Problem::from(failed).into()
    }
}

impl TaskGroup {
    /// A group without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a change to its end, whether or not the caller stays to hear of it. It keeps the trace and
    /// the user of the request, and is waited for by the drain.
    ///
    /// # Errors
    /// Those of `future`, and [`TaskFailed`].
    pub async fn run<F, T, E>(&self, future: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<TaskFailed> + Send + 'static,
    {
        let task = self.start(future);
        match task.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(TaskFailed::CutOff.into()),
            Err(_) => Err(TaskFailed::Panicked.into()),
        }
    }

    /// Starts a background task. It should end soon after [`TaskGroup::closing`]; otherwise the end of
    /// the drain cuts it off. A panic is logged under `name`.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = self.start(future);
        // Watches the task, so that one that dies does not do so silently.
        self.start(async move {
            if work.await.is_err() {
                tracing::error!(task = name, "background task panicked");
                metrics::counter!("riwaq_background_panics_total", "task" => name).increment(1);
            }
        });
    }

    #[expect(clippy::disallowed_methods, reason = "this is where tasks are started")]
    fn start<F>(&self, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let scope = context::copy();
        let abort = self.0.abort.clone();
        let tracked = self.0.tracker.track_future(async move {
            let work = context::carried(scope, future);
            abort.run_until_cancelled(work).await
        });
        tokio::spawn(tracked)
    }

    /// Resolves when the group begins to close.
    pub async fn closing(&self) {
        self.0.closing.cancelled().await;
    }

    /// The token behind [`TaskGroup::closing`], for `select!` and for adapters.
    #[must_use]
    pub fn closing_token(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    /// Tells background tasks to end, without waiting.
    pub fn close(&self) {
        self.0.closing.cancel();
        self.0.tracker.close();
    }

    /// Tells background tasks to end, waits at most `patience` for all tasks, cuts off the rest.
    /// Returns how many were cut off.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.close();
        if tokio::time::timeout(patience, self.0.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let left = self.0.tracker.len();
        self.0.abort.cancel();
        // A task that never yields cannot be cut off: give up rather than hang.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.tracker.wait()).await;
        left
    }

    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.tracker.len()
    }

    /// Whether there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::code::Code;
    use crate::context::{TraceContext, current, within};

    #[tokio::test]
    async fn a_change_is_finished_although_the_caller_went_away() {
        let group = TaskGroup::new();
        let (go, gone) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        {
            let change = group.run(async move {
                gone.await.map_err(|_| TaskFailed::Panicked)?;
                done.send(()).map_err(|()| TaskFailed::Panicked)
            });
            tokio::pin!(change);
            assert!(futures::poll!(&mut change).is_pending());
        }
        go.send(()).unwrap();
        finished.await.unwrap();
        assert_eq!(group.drain(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test]
    async fn a_panic_in_a_change_is_an_internal_problem() {
        let group = TaskGroup::new();
        let failed: Result<(), Problem> = group.run(async { panic!("boom") }).await;
        assert_eq!(failed.unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn tasks_keep_the_trace_of_their_request() {
        let group = TaskGroup::new();
        let trace = TraceContext::root(true);
        let seen = within(trace, group.run(async { Ok::<_, TaskFailed>(current()) })).await;
        assert_eq!(seen.unwrap(), Some(trace));
    }

    #[tokio::test]
    async fn the_drain_waits_for_tasks_and_cuts_off_those_that_stay() {
        let group = TaskGroup::new();
        let closing = group.clone();
        group.spawn("polite", async move { closing.closing().await });
        assert_eq!(group.drain(Duration::from_secs(5)).await, 0);

        let group = TaskGroup::new();
        group.spawn("stubborn", std::future::pending());
        assert!(group.drain(Duration::from_millis(20)).await > 0);
        assert!(group.is_empty());
    }
}
