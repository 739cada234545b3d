//! Faults on purpose: a decorator for tests of whoever uses records.
//!
//! Random faults come from a seed; a crash comes exactly at the write that the test names. The
//! decorator itself never sleeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{
    Conditional, Key, MigrationPlan, MigrationReport, Outcome, ReadLevel, Records, RecordsError,
    Risk, Scan, StoredRow, TableCursor, TablePage, TableSchema, Write,
};

/// How often each fault happens: probabilities from 0 to 1, each drawn by itself for every call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// The call fails with [`RecordsError::Unavailable`] and nothing is done.
    pub fail_before: f64,
    /// It is done, and the answer is lost: [`RecordsError::Unknown`] for a write,
    /// [`RecordsError::Unavailable`] for a read.
    pub fail_after: f64,
    /// Other tasks run before the call reaches the store.
    pub delay: f64,
    /// A write reaches the store twice; the first answer is returned.
    pub duplicate: f64,
}

/// On which side of the fatal write the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The write does not reach the store.
    Before,
    /// The write is done, and its answer is lost.
    After,
}

/// Records that fail now and then.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Records>,
    rates: FaultRates,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    writes: u64,
    crash: Option<(u64, CrashPoint)>,
    dead: bool,
}

/// What will happen to one call.
#[derive(Clone, Copy, Debug)]
struct Fate {
    fail_before: bool,
    fail_after: bool,
    yields: u8,
    duplicate: bool,
}

impl Faulty {
    /// Faults at these rates, repeatable by the seed as far as the order of calls is.
    #[must_use]
    pub fn new(inner: Arc<dyn Records>, rates: FaultRates, seed: u64) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            writes: 0,
            crash: None,
            dead: false,
        };
        Self {
            inner,
            rates,
            state: Mutex::new(state),
        }
    }

    /// No faults, until [`Self::crash_at`].
    #[must_use]
    pub fn reliable(inner: Arc<dyn Records>) -> Self {
        Self::new(inner, FaultRates::default(), 0)
    }

    /// Dies at the write with this number, counted from 1 over `write` and `apply` since the decorator was
    /// made or revived: that call and every one after it fails, reads included, until [`Self::revive`].
    pub fn crash_at(&self, write: u64, point: CrashPoint) {
        self.state().crash = Some((write, point));
    }

    /// Works again, as after a restart of the process, and counts writes from 1 again.
    pub fn revive(&self) {
        let mut state = self.state();
        state.dead = false;
        state.crash = None;
        state.writes = 0;
    }

    /// How many writes were asked for since the decorator was made or revived.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Whether the crash has happened.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, is_write: bool) -> Fate {
        let rates = self.rates;
        let mut state = self.state();
        let mut draw = |rate: f64| state.random.random_bool(rate.clamp(0.0, 1.0));
        let (before, after) = (draw(rates.fail_before), draw(rates.fail_after));
        let (delayed, duplicate) = (draw(rates.delay), draw(rates.duplicate));
        let yields = if delayed {
            state.random.random_range(1..16)
        } else {
            0
        };
        let mut fate = Fate {
            fail_before: before,
            fail_after: after,
            yields,
            duplicate: duplicate && is_write,
        };
        if state.dead {
            return Fate {
                fail_before: true,
                ..fate
            };
        }
        if !is_write {
            return fate;
        }
        state.writes += 1;
        if let Some((fatal, point)) = state.crash
            && state.writes == fatal
        {
            state.dead = true;
            fate = Fate {
                fail_before: point == CrashPoint::Before,
                fail_after: true,
                yields: 0,
                duplicate: false,
            };
        }
        fate
    }

    /// Runs a call; `lost` is the error for an answer that is lost.
    async fn run<T: Send, F>(
        &self,
        fate: Fate,
        lost: fn(&str) -> RecordsError,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, RecordsError>
    where
        F: Future<Output = Result<T, RecordsError>> + Send,
    {
        for _ in 0..fate.yields {
            tokio::task::yield_now().await;
        }
        if fate.fail_before {
            return Err(RecordsError::unavailable("injected fault before the call"));
        }
        let answer = call().await;
        if fate.duplicate {
            // Only the effect of the repetition matters.
            let _ = call().await;
        }
        if fate.fail_after && answer.is_ok() {
            return Err(lost("injected fault after the call"));
        }
        answer
    }

    async fn read<T: Send, F>(&self, call: impl Fn() -> F + Send + Sync) -> Result<T, RecordsError>
    where
        F: Future<Output = Result<T, RecordsError>> + Send,
    {
        self.run(
            self.fate(false),
            |reason| RecordsError::unavailable(reason),
            call,
        )
        .await
    }
}

#[async_trait]
impl Records for Faulty {
    async fn get(
        &self,
        schema: &'static TableSchema,
        key: &Key,
        level: ReadLevel,
    ) -> Result<Option<StoredRow>, RecordsError> {
        self.read(|| self.inner.get(schema, key, level)).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<StoredRow>, RecordsError> {
        self.read(|| self.inner.scan(scan)).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), RecordsError> {
        let lost = |reason: &str| RecordsError::unknown(reason);
        self.run(self.fate(true), lost, || self.inner.write(writes.clone()))
            .await
    }

    async fn apply(&self, conditional: Conditional) -> Result<Outcome, RecordsError> {
        let lost = |reason: &str| RecordsError::unknown(reason);
        self.run(self.fate(true), lost, || {
            self.inner.apply(conditional.clone())
        })
        .await
    }

    async fn scan_table(
        &self,
        schema: &'static TableSchema,
        after: Option<&TableCursor>,
        limit: usize,
    ) -> Result<TablePage, RecordsError> {
        self.read(|| self.inner.scan_table(schema, after, limit))
            .await
    }

    async fn schema_number(&self) -> Result<u32, RecordsError> {
        self.read(|| self.inner.schema_number()).await
    }

    async fn migrate(&self, plan: &MigrationPlan) -> Result<MigrationReport, RecordsError> {
        self.read(|| self.inner.migrate(plan)).await
    }

    async fn ping(&self) -> Result<(), RecordsError> {
        self.read(|| self.inner.ping()).await
    }

    async fn risks(&self) -> Result<Vec<Risk>, RecordsError> {
        self.read(|| self.inner.risks()).await
    }
}
