//! Deadlines: the `grpc-timeout` header, and how much time the call that is being served has left.
//!
//! Format: gRPC over HTTP/2, "Timeout → TimeoutValue TimeoutUnit", at most eight digits.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use riwaq_clock::SharedClock;
use tonic::Status;

/// The header that carries the time a caller is ready to wait.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

tokio::task_local! {
    /// The deadline of the call that this task serves: calls it makes in turn end by then too.
    static SERVING: Deadline;
}

/// A point on the monotonic clock.
#[derive(Debug, Clone)]
pub struct Deadline {
    clock: SharedClock,
    at: Duration,
}

impl Deadline {
    /// `timeout` from now.
    #[must_use]
    pub fn after(clock: &SharedClock, timeout: Duration) -> Self {
        Self {
            clock: Arc::clone(clock),
            at: clock.monotonic().saturating_add(timeout),
        }
    }

    /// What is left; zero once passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }

    /// Waits for `work`, and no longer than the deadline: then `work` is dropped, which cancels it.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` when the time is over first.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Result<T, Status> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.clock.sleep(self.remaining()) => Err(exceeded()),
        }
    }

    /// Returns once the deadline has passed; owns what it needs, so a body can keep it.
    pub(crate) async fn passed(self) {
        self.clock.sleep(self.remaining()).await;
    }

    /// Runs `work` as the serving of a call that must end by this deadline.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        SERVING.scope(self, work).await
    }
}

/// The answer when time is over.
#[must_use]
pub fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// What is left of the call that this task serves; `None` outside of one, or where it has no
/// deadline.
#[must_use]
pub fn inherited() -> Option<Duration> {
    SERVING.try_with(Deadline::remaining).ok()
}

/// The caller's `grpc-timeout`; `None` where absent or malformed (the specification leaves that to
/// the server; a malformed one gets the server's own limit).
#[must_use]
pub fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "n" => Some(Duration::from_nanos(value)),
        "u" => Some(Duration::from_micros(value)),
        "m" => Some(Duration::from_millis(value)),
        "S" => Some(Duration::from_secs(value)),
        "M" => Some(Duration::from_secs(value * 60)),
        "H" => Some(Duration::from_secs(value * 3600)),
        _ => None,
    }
}

/// Writes `timeout` as `grpc-timeout`, in the finest unit that its eight digits allow.
#[must_use]
pub fn format(timeout: Duration) -> HeaderValue {
    const LARGEST: u128 = 99_999_999;
    let text = if timeout.as_micros() <= LARGEST {
        format!("{}u", timeout.as_micros())
    } else if timeout.as_millis() <= LARGEST {
        format!("{}m", timeout.as_millis())
    } else {
        format!("{}S", u128::from(timeout.as_secs()).min(LARGEST))
    };
    // Digits and a letter: always a valid header value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("1S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_str(text).unwrap());
        parse(&headers)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for timeout in [
            1_u64,
            999,
            99_999_999,
            5_000_000,
            3_600_000_000,
            86_400_000_000,
        ]
        .map(Duration::from_micros)
        {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, format(timeout));
            let read = parse(&headers).unwrap();
            assert!(
                timeout.abs_diff(read) < Duration::from_millis(1),
                "{timeout:?} {read:?}"
            );
        }
        assert_eq!(format(Duration::MAX), "99999999S");
    }

    #[test]
    fn malformed_timeouts_are_ignored() {
        for text in [
            "",
            "5",
            "m",
            "123456789m",
            "-5S",
            "5s",
            "1.5S",
            "5 S",
            "+5S",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(parsed("2M"), Some(Duration::from_secs(120)));
    }
}
