//! Bodies under watch: how large they may become, and how long they may pause.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use riwaq_kit::{BoxError, Code, Problem};
use tokio::time::{Instant, Sleep, sleep_until};

/// Answers that are in memory already are not worth watching.
const SMALL: u64 = 64 << 10;

/// Why a request's body was cut off; the service behind learns only that it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<AtomicU8>);

const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

impl Verdict {
    /// The answer to give, whatever the service made of the torso.
    pub(crate) fn problem(&self, limit: u64) -> Option<Problem> {
        match self.0.load(Ordering::Acquire) {
            TOO_LARGE => Some(too_large(limit)),
            TOO_SLOW => Some(Problem::new(
                Code::RequestTimeout,
                "the body came too slowly",
            )),
            _ => None,
        }
    }
}

pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(Code::TooLarge, format!("at most {limit} bytes"))
}

/// Watches the body of a request; its length, where it is said, was checked before.
pub(crate) fn watch_request(body: Body, limit: u64, idle: Duration) -> (Body, Option<Verdict>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let verdict = Verdict::default();
    let watched = Watched {
        body,
        left: limit,
        pause: Pause::new(idle),
        verdict: Some(verdict.clone()),
    };
    (Body::new(watched), Some(verdict))
}

/// Watches the body of an answer, unless it is small and there.
pub(crate) fn watch_answer(body: Body, idle: Duration) -> Body {
    if body.is_end_stream() || body.size_hint().exact().is_some_and(|size| size <= SMALL) {
        return body;
    }
    Body::new(Watched {
        body,
        left: u64::MAX,
        pause: Pause::new(idle),
        verdict: None,
    })
}

struct Watched {
    body: Body,
    left: u64,
    pause: Pause,
    verdict: Option<Verdict>,
}

/// How long nothing has come, while somebody waited for it.
struct Pause {
    idle: Duration,
    /// Made at the first pause: most bodies have none.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Pause {
    const fn new(idle: Duration) -> Self {
        Self {
            idle,
            timer: None,
            waiting: false,
        }
    }

    fn over(&mut self) {
        self.waiting = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = Instant::now() + self.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if !self.waiting {
            timer.as_mut().reset(until);
            self.waiting = true;
        }
        timer.as_mut().poll(cx)
    }
}

impl Watched {
    fn cut(&self, verdict: u8, why: &'static str) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(shared) = &self.verdict {
            shared.0.store(verdict, Ordering::Release);
        }
        Poll::Ready(Some(Err(why.into())))
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            return match self.pause.poll(cx) {
                Poll::Ready(()) => self.cut(TOO_SLOW, "nothing came for too long"),
                Poll::Pending => Poll::Pending,
            };
        };
        self.pause.over();
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return self.cut(TOO_LARGE, "the body is too large");
            };
            self.left = left;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|size| Ok::<_, BoxError>(Bytes::from(vec![0; *size])))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_that_grows_past_the_limit_is_cut_off() {
        let (body, verdict) = watch_request(chunks(&[5, 5]), 10, IDLE);
        assert_eq!(axum::body::to_bytes(body, 100).await.unwrap().len(), 10);
        assert!(verdict.unwrap().problem(10).is_none());

        let (body, verdict) = watch_request(chunks(&[5, 6]), 10, IDLE);
        assert!(axum::body::to_bytes(body, 100).await.is_err());
        assert_eq!(verdict.unwrap().problem(10).unwrap().code(), Code::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_pauses_too_long_is_cut_off() {
        let (body, verdict) = watch_request(
            Body::from_stream(stream::pending::<Result<Bytes, BoxError>>()),
            10,
            IDLE,
        );
        let started = Instant::now();
        assert!(axum::body::to_bytes(body, 100).await.is_err());
        assert!(started.elapsed() >= IDLE);
        assert_eq!(
            verdict.unwrap().problem(10).unwrap().code(),
            Code::RequestTimeout
        );
    }

    #[tokio::test]
    async fn a_slow_stream_that_never_pauses_too_long_may_take_longer_than_a_pause() {
        let ticks = stream::unfold(0, async |tick| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            (tick < 30).then(|| (Ok::<_, BoxError>(Bytes::from_static(b"x")), tick + 1))
        });
        let body = watch_answer(Body::from_stream(Box::pin(ticks)), IDLE);
        let started = Instant::now();
        let bytes = axum::body::to_bytes(body, 1000).await.unwrap();
        assert_eq!(bytes.len(), 30);
        assert!(started.elapsed() > IDLE);
    }
}
