//! Whether the process lives, is ready, and why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use riwaq_clock::SharedClock;
use serde::Serialize;
use tokio::sync::Mutex;

use super::Check;

/// How long one answer is good for: whoever asks often must not keep the stores busy.
const FRESH: Duration = Duration::from_secs(1);
/// How long a refusal is good for: whoever waits for the start should not wait longer than it takes.
const FRESH_REFUSAL: Duration = Duration::from_millis(25);
const READY: &str = "ready";
/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The health of all services of the process. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    checks: Vec<(&'static str, &'static str, Check)>,
    clock: SharedClock,
    started: AtomicBool,
    draining: AtomicBool,
    /// The last report, and when it was made.
    last: Mutex<Option<(Duration, Report)>>,
}

/// What `/health` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ready`, `not_ready`, `starting` or `draining`.
    pub status: &'static str,
    /// Every check; why one fails is in the log.
    pub checks: Vec<CheckReport>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The service that needs it.
    pub service: &'static str,
    /// What is checked.
    pub name: &'static str,
    /// Whether it is all right.
    pub ok: bool,
}

impl Health {
    pub(super) fn new(
        checks: Vec<(&'static str, &'static str, Check)>,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(Inner {
            checks,
            clock,
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            last: Mutex::new(None),
        }))
    }

    pub(super) fn set_started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    pub(super) fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// The present health; at most a second old.
    pub async fn report(&self) -> Report {
        if self.0.draining.load(Ordering::Acquire) {
            return Report {
                status: "draining",
                checks: Vec::new(),
            };
        }
        if !self.0.started.load(Ordering::Acquire) {
            return Report {
                status: "starting",
                checks: Vec::new(),
            };
        }
        // Held over the checks: those who ask at the same time share one answer.
        let mut last = self.0.last.lock().await;
        let now = self.0.clock.monotonic();
        if let Some((at, report)) = &*last
            && now.saturating_sub(*at)
                < if report.status == READY {
                    FRESH
                } else {
                    FRESH_REFUSAL
                }
        {
            return report.clone();
        }
        let before = last
            .take()
            .map(|(_, report)| report.checks)
            .unwrap_or_default();
        let checks = join_all(
            self.0
                .checks
                .iter()
                .map(|(service, name, check)| ask(service, name, check, &before)),
        )
        .await;
        let status = if checks.iter().all(|check| check.ok) {
            READY
        } else {
            "not_ready"
        };
        let report = Report { status, checks };
        *last = Some((self.0.clock.monotonic(), report.clone()));
        report
    }

    /// Whether requests may be sent here.
    pub async fn is_ready(&self) -> bool {
        self.report().await.status == READY
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

/// Asks one check. What changed is worth a line of the log, what stays as it was is not.
async fn ask(
    service: &'static str,
    name: &'static str,
    check: &Check,
    before: &[CheckReport],
) -> CheckReport {
    let was_ok = before
        .iter()
        .find(|one| one.service == service && one.name == name)
        .map(|one| one.ok);
    let failure = match tokio::time::timeout(PATIENCE, check()).await {
        Ok(Ok(())) => {
            if was_ok == Some(false) {
                tracing::info!(service, check = name, "ready again");
            }
            return CheckReport {
                service,
                name,
                ok: true,
            };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    match was_ok {
        Some(true) => tracing::warn!(service, check = name, cause = failure, "not ready any more"),
        Some(false) => tracing::debug!(service, check = name, cause = failure, "still not ready"),
        None => tracing::info!(service, check = name, cause = failure, "not ready yet"),
    }
    CheckReport {
        service,
        name,
        ok: false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use riwaq_clock::ManualClock;

    use super::*;

    #[tokio::test]
    async fn checks_are_asked_at_most_once_a_second() {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let check: Check = Arc::new(move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                if number == 0 {
                    Err("down".into())
                } else {
                    Ok(())
                }
            })
        });
        let health = Health::new(
            vec![("courses", "records", check)],
            Arc::clone(&clock) as SharedClock,
        );
        assert_eq!(health.report().await.status, "starting");
        health.set_started();
        assert!(!health.is_ready().await);
        assert!(!health.is_ready().await);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        clock.advance(Duration::from_secs(2));
        assert!(health.is_ready().await);
        health.set_draining();
        assert_eq!(health.report().await.status, "draining");
    }
}
