//! Asking again, while an answer may still come.

use std::time::Duration;

use riwaq_clock::Clock;
use riwaq_records::RecordsError;

const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// Asks until the answer is one that asking again does not change, or `patience` is over; the last answer counts.
/// For what may be repeated.
pub(crate) async fn insist<T, F>(
    clock: &dyn Clock,
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, RecordsError>
where
    F: Future<Output = Result<T, RecordsError>>,
{
    let deadline = clock.monotonic() + patience;
    loop {
        match ask().await {
            Err(error) if error.is_retryable() && clock.monotonic() < deadline => {
                tracing::warn!(%error, "cassandra does not answer yet, trying again");
                clock.sleep(BETWEEN_TRIES).await;
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::time::SystemTime;

    use riwaq_clock::ManualClock;

    use super::*;

    /// What comes of a question that is answered so, one time after the other, and not at all afterwards.
    async fn insisted(answers: Vec<Result<bool, RecordsError>>) -> Result<bool, RecordsError> {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH.into());
        let mut answers = answers.into_iter();
        let mut ask = || {
            let silence = || Err(RecordsError::unknown("no answer"));
            ready(answers.next().unwrap_or_else(silence))
        };
        let seconds = async {
            loop {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = insist(&*clock, Duration::from_secs(60), &mut ask) => result,
            never = seconds => never,
        }
    }

    #[tokio::test]
    async fn what_got_no_answer_is_asked_again() {
        let slow = || Err(RecordsError::unknown("one answer of two in time"));
        let away = || Err(RecordsError::unavailable("one node of two"));
        assert!(insisted(vec![slow(), away(), Ok(true)]).await.unwrap());
        assert!(!insisted(vec![slow(), Ok(false), Ok(true)]).await.unwrap());
    }

    #[tokio::test]
    async fn a_refusal_and_a_long_silence_end_it() {
        let refused = insisted(vec![Err(RecordsError::schema("refused")), Ok(true)]).await;
        assert!(matches!(refused, Err(RecordsError::Schema { .. })));
        let silent = insisted(Vec::new()).await;
        assert!(matches!(silent, Err(RecordsError::Unknown { .. })));
    }
}
