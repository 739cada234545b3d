//! What is known about the request that is being handled: its place in a trace, and who asked.
//!
//! Kept in a task-local rather than in `tracing` spans: reading it costs a few nanoseconds, and entering a
//! span at every poll of every request would not.

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry::trace::{FutureExt as _, SpanKind};
use rand::RngExt as _;
use uuid::Uuid;

use crate::telemetry::traces::Step;

/// The header and metadata key of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static CURRENT: Scope;
}

/// A place in a trace (W3C Trace Context, version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Names the whole trace; never zero.
    pub trace_id: u128,
    /// Names this step of it; never zero.
    pub span_id: u64,
    /// Whether the trace is being recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// The start of a new trace.
    #[must_use]
    pub fn root(sampled: bool) -> Self {
        let mut random = rand::rng();
        Self {
            trace_id: random.random::<u128>().max(1),
            span_id: random.random::<u64>().max(1),
            sampled,
        }
    }

    /// The next step of this trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: rand::rng().random::<u64>().max(1),
            ..*self
        }
    }

    /// Reads a `traceparent`; `None` for one that the specification says to ignore.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        // A later version may be longer, but begins alike (section 4.3).
        if bytes.len() < 55 || (bytes.len() > 55 && (&bytes[..2] == b"00" || bytes[55] != b'-')) {
            return None;
        }
        if bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' || &bytes[..2] == b"ff" {
            return None;
        }
        let digits = [&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..55]];
        if !digits.iter().all(|part| part.iter().all(lower_hex)) {
            return None;
        }
        let trace_id = u128::from_str_radix(text.get(3..35)?, 16)
            .ok()
            .filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(text.get(36..52)?, 16)
            .ok()
            .filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
        Some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// Reads the `traceparent` header, if there is exactly one valid one.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let first = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(first.to_str().ok()?)
    }

    /// Writes it as a `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }

    /// Puts it into headers (or gRPC metadata) as `traceparent`.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// The trace id as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// The scope of one request or one delivery.
pub(crate) struct Scope {
    step: Step,
    /// Set once the caller is known.
    user: Cell<Option<Uuid>>,
}

/// The place in the trace of the request that is being handled, if one is.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|scope| scope.step.trace).ok()
}

/// The user of the request that is being handled, if known.
#[must_use]
pub fn current_user() -> Option<Uuid> {
    CURRENT.try_with(|scope| scope.user.get()).ok().flatten()
}

/// Notes who asked, for the log lines of this request. Called by whoever verified the identity.
pub fn set_user(user: Uuid) {
    // Outside of a request there is nothing to note it in.
    let _ = CURRENT.try_with(|scope| scope.user.set(Some(user)));
}

/// Puts the present trace into the headers (or gRPC metadata) of a call that goes out.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(context) = current() {
        context.write_to(headers);
    }
}

/// The present trace as a `traceparent`, for the extension attribute of an event.
#[must_use]
pub fn traceparent() -> Option<String> {
    current().map(|context| context.traceparent())
}

/// Runs `future` inside of `trace`: its log lines, problems, calls and events belong to that trace.
pub async fn within<F: Future>(trace: TraceContext, future: F) -> F::Output {
    enter(Step { trace, otel: None }, future).await
}

/// Handles an event in `service` as a step of the trace that it came from (`traceparent` is the event's
/// extension attribute), or of a new one. `what` says what is done, such as `index riwaq.files.file.changed`.
///
/// # Errors
/// Those of `future`.
pub async fn consuming<F, T, E>(
    service: &'static str,
    what: &str,
    traceparent: Option<&str>,
    future: F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let parent = traceparent.and_then(TraceContext::parse);
    step(SpanKind::Consumer, service, what, parent, future).await
}

/// Does a part of the work in `service` as a step of its own of the present trace.
///
/// # Errors
/// Those of `future`.
pub async fn in_step<F, T, E>(service: &'static str, what: &str, future: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    step(SpanKind::Internal, service, what, current(), future).await
}

async fn step<F, T, E>(
    kind: SpanKind,
    service: &'static str,
    what: &str,
    parent: Option<TraceContext>,
    future: F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let step = Step::begin(kind, parent, || what.to_owned().into());
    let result = enter(step.clone(), future).await;
    step.end(result.is_err(), || {
        vec![KeyValue::new("service.role", service)]
    });
    result
}

pub(crate) fn enter<F: Future>(step: Step, future: F) -> impl Future<Output = F::Output> {
    carried(
        Some(Scope {
            step,
            user: Cell::new(None),
        }),
        future,
    )
}

/// Runs `future` in a copy of the present scope, for work that moves to a task of its own.
pub(crate) async fn carried<F: Future>(scope: Option<Scope>, future: F) -> F::Output {
    let Some(scope) = scope else {
        return future.await;
    };
    match scope.step.otel.clone() {
        None => CURRENT.scope(scope, future).await,
        Some(otel) => CURRENT.scope(scope, future.with_context(otel)).await,
    }
}

/// Does something short in a scope that was kept.
pub(crate) fn resumed<T>(scope: Option<Scope>, work: impl FnOnce() -> T) -> T {
    match scope {
        Some(scope) => CURRENT.sync_scope(scope, work),
        None => work(),
    }
}

/// A copy of the present scope.
pub(crate) fn copy() -> Option<Scope> {
    CURRENT
        .try_with(|scope| Scope {
            step: scope.step.clone(),
            user: Cell::new(scope.user.get()),
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written_alike() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert!(context.sampled);
        assert_eq!(context.traceparent(), EXAMPLE);
        assert_eq!(context.child().trace_id, context.trace_id);
        assert_ne!(context.child().span_id, context.span_id);
    }

    #[test]
    fn a_malformed_traceparent_is_ignored() {
        let long = format!("{EXAMPLE}-00");
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let upper = EXAMPLE.to_uppercase();
        let version_ff = EXAMPLE.replacen("00", "ff", 1);
        let signs = EXAMPLE.replacen("0af7", "+af7", 1);
        let wide = "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01";
        for bad in [
            "",
            "00",
            &long,
            zero_trace,
            zero_span,
            &upper,
            &version_ff,
            &signs,
            wide,
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        assert!(TraceContext::parse(&EXAMPLE.replacen("00", "cc", 1)).is_some());
    }

    #[test]
    fn two_traceparents_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert!(TraceContext::from_headers(&headers).is_some());
        headers.append(TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert!(TraceContext::from_headers(&headers).is_none());
    }

    #[tokio::test]
    async fn what_runs_within_a_trace_sees_it_and_its_user() {
        let trace = TraceContext::root(true);
        let user = Uuid::from_u128(7);
        within(trace, async {
            set_user(user);
            assert_eq!(current(), Some(trace));
            let scope = copy();
            let seen = carried(scope, async { (current(), current_user()) }).await;
            assert_eq!(seen, (Some(trace), Some(user)));
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            assert_eq!(TraceContext::from_headers(&headers), Some(trace));
        })
        .await;
        assert_eq!(current(), None);
    }
}
