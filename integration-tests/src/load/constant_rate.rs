//! Requests at an even rate, whatever becomes of them: each that fails is one that somebody saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use riwaq_test_kit::{Answer, Client};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::scenario::variable;

/// Requests a second where `RIWAQ_TEST_RATE` says nothing else.
const RATE: u32 = 25;
/// A person would have gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// Failures that are told in words.
const TOLD: usize = 8;

/// Somebody's list of courses, asked for again and again. What is answered is never asked again; when the connection breaks
/// before there is an answer, or cannot be made, the request is sent once more, as clients may (RFC 9110 section 9.2.2): a
/// server that closes an idle connection cannot know what is on its way to it.
#[derive(Debug)]
pub struct ConstantRate {
    counts: Arc<Counts>,
    worker: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    failed: Mutex<Vec<String>>,
    broken: AtomicU64,
    took: Mutex<Vec<Duration>>,
}

/// What it came to.
#[derive(Debug)]
pub struct RateReport {
    /// Requests that were answered 200.
    pub succeeded: u64,
    /// Those that were not: what came instead.
    pub failed: Vec<String>,
    /// Those that were sent twice, because the first time there was no answer.
    pub broken: u64,
    /// How long each took, the quickest first.
    took: Vec<Duration>,
}

impl ConstantRate {
    /// Begins.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        let rate = variable("RIWAQ_TEST_RATE").and_then(|rate| rate.parse().ok());
        let counts = Arc::<Counts>::default();
        let mut worker = JoinSet::new();
        worker.spawn(ask(
            client.clone(),
            Duration::from_secs(1) / rate.unwrap_or(RATE),
            Arc::clone(&counts),
        ));
        Self { counts, worker }
    }

    /// Ends, and says what it came to; what is under way is left out.
    #[must_use]
    pub fn stop(mut self) -> RateReport {
        self.worker.abort_all();
        let failed = std::mem::take(&mut *lock(&self.counts.failed));
        let mut took = std::mem::take(&mut *lock(&self.counts.took));
        took.sort_unstable();
        RateReport {
            succeeded: (took.len() as u64).saturating_sub(failed.len() as u64),
            failed,
            broken: self.counts.broken.load(Ordering::Relaxed),
            took,
        }
    }
}

impl RateReport {
    /// So many of a hundred took no longer, in milliseconds.
    fn percentile(&self, hundredth: usize) -> f64 {
        let last = self.took.len().saturating_sub(1);
        let at = self.took.get(last * hundredth / 100);
        at.map_or(0.0, |took| took.as_secs_f64() * 1e3)
    }
}

impl std::fmt::Display for RateReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} requests answered, {} sent twice, {} failed, p50 {:.1} ms, p99 {:.1} ms, the slowest {:.1} ms",
            self.succeeded,
            self.broken,
            self.failed.len(),
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
        )?;
        for failure in self.failed.iter().take(TOLD) {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

async fn ask(client: Client, every: Duration, counts: Arc<Counts>) {
    let mut ticks = interval(every);
    // A machine that was held up does not make it up by a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = JoinSet::new();
    loop {
        ticks.tick().await;
        let (client, counts) = (client.clone(), Arc::clone(&counts));
        asked.spawn(async move { counts.note(&client).await });
        while asked.try_join_next().is_some() {}
    }
}

impl Counts {
    async fn note(&self, client: &Client) {
        let began = Instant::now();
        let answer = timeout(PATIENCE, self.ask(client)).await;
        let took = began.elapsed();
        if let Err(failure) = succeeded(answer) {
            lock(&self.failed).push(format!("{failure} ({} ms)", took.as_millis()));
        }
        lock(&self.took).push(took);
    }

    async fn ask(&self, client: &Client) -> Result<Answer> {
        let answer = client.get("/api/courses").await;
        if answer.is_ok() {
            return answer;
        }
        self.broken.fetch_add(1, Ordering::Relaxed);
        client.get("/api/courses").await
    }
}

fn succeeded(answer: Result<Result<Answer>, tokio::time::error::Elapsed>) -> Result<(), String> {
    match answer {
        Err(_) => Err("no answer".into()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Ok(Ok(answer)) if answer.status == 200 => Ok(()),
        Ok(Ok(answer)) => Err(format!("{} {}", answer.status, answer.text())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
