//! What was asked of a system while it was being broken, and what must be true of it afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How an operation ended, as far as its caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The system said that it was done.
    Acknowledged,
    /// No answer, or one that leaves it open (5xx, a time-out): it may be done or not.
    Unknown,
    /// The system said that it was not done, and will not be (4xx).
    Failed,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation<T> {
    /// By what its effect is found again; no two operations have the same.
    pub key: String,
    /// What the answer said, where it was acknowledged.
    pub answer: Option<T>,
    /// When it began, since the history's start.
    pub begun: Duration,
    /// When it ended; none while it is under way, or when its caller went away.
    pub ended: Option<Duration>,
    /// How often it was tried.
    pub tries: u32,
    /// How it ended; one that never ended is unknown.
    pub outcome: Outcome,
}

/// Operations of many tasks at once. Clones write into the same one.
#[derive(Debug)]
pub struct History<T> {
    operations: Arc<Mutex<Vec<Operation<T>>>>,
    started: Instant,
}

impl<T> Clone for History<T> {
    fn clone(&self) -> Self {
        Self {
            operations: Arc::clone(&self.operations),
            started: self.started,
        }
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            operations: Arc::default(),
            started: Instant::now(),
        }
    }
}

/// An operation under way. Dropped without an outcome, its outcome is unknown.
#[derive(Debug)]
pub struct Pending<T> {
    history: History<T>,
    at: usize,
}

impl<T> History<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An operation begins. Its effect will be looked for under `key`.
    pub fn begin(&self, key: impl Into<String>) -> Pending<T> {
        let mut operations = self.operations();
        operations.push(Operation {
            key: key.into(),
            answer: None,
            begun: self.started.elapsed(),
            ended: None,
            tries: 1,
            outcome: Outcome::Unknown,
        });
        Pending {
            at: operations.len() - 1,
            history: self.clone(),
        }
    }

    /// Every operation's key, in the order in which they began.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let operations = self.operations();
        operations
            .iter()
            .map(|operation| operation.key.clone())
            .collect()
    }

    /// Those that were acknowledged, with what they were answered.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<(String, T)>
    where
        T: Clone,
    {
        let operations = self.operations();
        let answered = operations
            .iter()
            .filter_map(|operation| Some((operation.key.clone(), operation.answer.clone()?)));
        answered.collect()
    }

    /// Holds it against the effects that are there now, each key as often as its effect is.
    #[must_use]
    pub fn verdict<'a>(&self, found: impl IntoIterator<Item = &'a str>) -> Verdict {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for key in found {
            *times.entry(key).or_default() += 1;
        }
        let mut verdict = Verdict::default();
        for operation in self.operations().iter() {
            let times = times.remove(operation.key.as_str()).unwrap_or_default();
            verdict.judge(operation, times);
        }
        verdict.strange = times.into_keys().map(str::to_owned).collect();
        verdict
    }

    fn operations(&self) -> MutexGuard<'_, Vec<Operation<T>>> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Pending<T> {
    /// The system said that it was done, and `answer`.
    pub fn acknowledged(self, answer: T) {
        self.end(Outcome::Acknowledged, Some(answer));
    }

    /// Nobody can say whether it was done.
    pub fn unknown(self) {
        self.end(Outcome::Unknown, None);
    }

    /// The system said that it was not done.
    pub fn failed(self) {
        self.end(Outcome::Failed, None);
    }

    /// It is tried once more.
    pub fn again(&self) {
        if let Some(operation) = self.history.operations().get_mut(self.at) {
            operation.tries += 1;
        }
    }

    fn end(&self, outcome: Outcome, answer: Option<T>) {
        let ended = self.history.started.elapsed();
        if let Some(operation) = self.history.operations().get_mut(self.at) {
            operation.outcome = outcome;
            operation.answer = answer;
            operation.ended = Some(ended);
        }
    }
}

/// What a history and the effects say of each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// How many are unknown.
    pub unknown: usize,
    /// How many of the unknown ones were done.
    pub unknown_but_done: usize,
    /// How many failed.
    pub failed: usize,
    /// The most tries that one took.
    pub most_tries: u32,
    /// The longest that one took until its end, tries and all.
    pub slowest: Duration,
    /// Acknowledged, and not there.
    pub lost: Vec<String>,
    /// There more than once.
    pub doubled: Vec<String>,
    /// Failed, and there.
    pub risen: Vec<String>,
    /// There, and nobody asked for it.
    pub strange: Vec<String>,
}

impl Verdict {
    fn judge<T>(&mut self, operation: &Operation<T>, times: usize) {
        let key = || operation.key.clone();
        match operation.outcome {
            Outcome::Acknowledged => {
                self.acknowledged += 1;
                if times == 0 {
                    self.lost.push(key());
                }
            }
            Outcome::Unknown => {
                self.unknown += 1;
                self.unknown_but_done += usize::from(times > 0);
            }
            Outcome::Failed => {
                self.failed += 1;
                if times > 0 {
                    self.risen.push(key());
                }
            }
        }
        if times > 1 {
            self.doubled.push(key());
        }
        self.most_tries = self.most_tries.max(operation.tries);
        if let Some(ended) = operation.ended {
            self.slowest = self.slowest.max(ended.saturating_sub(operation.begun));
        }
    }

    /// Nothing acknowledged is lost, nothing was done twice, and nothing is there that nobody asked for.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn holds(&self) -> Result<()> {
        let wrong: usize = [&self.lost, &self.doubled, &self.risen, &self.strange]
            .iter()
            .map(|keys| keys.len())
            .sum();
        if wrong > 0 {
            bail!(
                "acknowledged and lost: {:?}; done twice: {:?}; refused and done: {:?}; never asked for: {:?}; {self}",
                self.lost,
                self.doubled,
                self.risen,
                self.strange
            );
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} unknown ({} of them done), {} refused, {} lost, {} doubled; at most {} tries and {} ms",
            self.acknowledged,
            self.unknown,
            self.unknown_but_done,
            self.failed,
            self.lost.len(),
            self.doubled.len(),
            self.most_tries,
            self.slowest.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> History<u32> {
        let history = History::new();
        history.begin("done").acknowledged(1);
        history.begin("open").unknown();
        drop(history.begin("left alone"));
        history.begin("refused").failed();
        history
    }

    #[test]
    fn what_was_acknowledged_must_be_there() {
        assert!(some().verdict(["done"]).holds().is_ok());
        let lost = some().verdict([]);
        assert_eq!(lost.lost, ["done"]);
        assert!(lost.holds().is_err());
    }

    #[test]
    fn what_is_unknown_may_be_there_once() {
        let verdict = some().verdict(["done", "open", "left alone"]);
        verdict.holds().unwrap();
        assert_eq!((verdict.unknown, verdict.unknown_but_done), (2, 2));
        let doubled = some().verdict(["done", "open", "open"]);
        assert_eq!(doubled.doubled, ["open"]);
        assert!(doubled.holds().is_err());
    }

    #[test]
    fn what_was_acknowledged_must_not_be_there_twice() {
        let doubled = some().verdict(["done", "done"]);
        assert_eq!(doubled.doubled, ["done"]);
        assert!(doubled.holds().is_err());
    }

    #[test]
    fn what_was_refused_or_never_asked_for_must_not_be_there() {
        let risen = some().verdict(["done", "refused"]);
        assert_eq!(risen.risen, ["refused"]);
        assert!(risen.holds().is_err());
        let strange = some().verdict(["done", "from elsewhere"]);
        assert_eq!(strange.strange, ["from elsewhere"]);
        assert!(strange.holds().is_err());
    }

    #[test]
    fn tries_are_counted_and_answers_kept() {
        let history = History::new();
        let pending = history.begin("third time lucky");
        pending.again();
        pending.again();
        pending.acknowledged("an id");
        assert_eq!(
            history.acknowledged(),
            [("third time lucky".to_owned(), "an id")]
        );
        let verdict = history.verdict(["third time lucky"]);
        assert_eq!((verdict.most_tries, verdict.acknowledged), (3, 1));
    }
}
