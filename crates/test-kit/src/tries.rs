//! Asking again, as a patient client does.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use reqwest::RequestBuilder;

use crate::client::{Answer, Client};

/// The longest pause between two tries, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// How often and how long something is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries at most.
    pub tries: u32,
    /// For one try.
    pub each: Duration,
    /// The pause before the second try where the answer names none; it doubles.
    pub pause: Duration,
    /// How long it waits for an earlier try of its own that is still under way (409 with `Retry-After`), once it has met
    /// it: its process may have been killed, and is not taken for dead at once. What is answered so does not count as a try.
    pub under_way: Duration,
}

impl Default for Patience {
    /// Three tries, as a browser's code or a good client makes them.
    fn default() -> Self {
        Self {
            tries: 3,
            each: Duration::from_secs(20),
            pause: Duration::from_millis(300),
            under_way: Duration::from_secs(60),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// The last answer; an error when none came.
    pub answer: Result<Answer>,
    /// How many tries it took.
    pub tries: u32,
    /// How long all of it took, pauses included.
    pub took: Duration,
    /// What came of the tries before the last: an answer's status or an error, when it came and how long it took.
    pub earlier: Vec<String>,
}

impl Tried {
    /// Whether an answer came that is not the server's failure.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.answer.as_ref().is_ok_and(is_settled)
    }
}

fn is_settled(answer: &Answer) -> bool {
    answer.status < 500 && answer.status != 429
}

fn is_under_way(answer: &Answer) -> bool {
    answer.status == 409 && retry_after(answer).is_some()
}

fn told(answer: &Result<Answer>, asked_at: Duration, answered_at: Duration) -> String {
    let what = match answer {
        Ok(answer) => answer.status.to_string(),
        Err(error) => format!("{error:#}"),
    };
    let took = answered_at.saturating_sub(asked_at);
    format!(
        "{what} at {} ms after {} ms",
        answered_at.as_millis(),
        took.as_millis()
    )
}

impl Client {
    /// Sends what `build` builds until an answer comes that settles it: anything but 5xx, 429, no answer, and that an
    /// earlier try is still under way.
    /// A change must carry an `Idempotency-Key`, the same at every try, or be harmless to repeat.
    pub async fn try_hard(
        &self,
        patience: Patience,
        build: impl Fn(&Self) -> Result<RequestBuilder>,
    ) -> Tried {
        let began = Instant::now();
        let mut tries = 1;
        let mut pause = patience.pause;
        let mut met = None;
        let mut earlier = Vec::new();
        loop {
            let asked_at = began.elapsed();
            let answer = self.one_try(patience.each, &build).await;
            let meets_itself = answer.as_ref().is_ok_and(is_under_way)
                && met.get_or_insert_with(Instant::now).elapsed() < patience.under_way;
            let settled = answer.as_ref().is_ok_and(is_settled);
            if !meets_itself && (settled || tries == patience.tries) {
                return Tried {
                    answer,
                    tries,
                    took: began.elapsed(),
                    earlier,
                };
            }
            earlier.push(told(&answer, asked_at, began.elapsed()));
            let asked = answer.as_ref().ok().and_then(retry_after);
            tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            if !meets_itself {
                pause = (pause * 2).min(LONGEST_PAUSE);
                tries += 1;
            }
        }
    }

    async fn one_try(
        &self,
        limit: Duration,
        build: impl Fn(&Self) -> Result<RequestBuilder>,
    ) -> Result<Answer> {
        let request = build(self)?;
        match tokio::time::timeout(limit, self.send(request)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer in {} s", limit.as_secs()),
        }
    }
}

/// The pause that an answer asks for.
#[must_use]
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    answer
        .header("retry-after")
        .parse()
        .ok()
        .map(Duration::from_secs)
}
