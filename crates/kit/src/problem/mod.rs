//! The one error that services answer with: RFC 9457 problem details, over HTTP and over gRPC.

mod ports;
mod schema;
mod status;

use std::borrow::Cow;
use std::error::Error;
use std::panic::Location;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::Code;
use crate::context;

/// The media type of a problem (RFC 9457, section 6.1).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What a handler returns.
pub type ApiResult<T> = Result<T, Problem>;

/// One field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The path of the field in the request, such as `sections[2].title`.
    pub field: String,
    /// What is wrong with it, in a sentence that a person can act on.
    pub message: String,
}

/// A failure as the caller gets it.
///
/// Carries nothing internal: the cause of an [`Code::Internal`] problem is logged where the problem is
/// made, under the trace id that the answer shows.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with a code and a sentence about this occurrence. One that passes by itself says when to come back.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: code.retry_after(),
        }))
    }

    /// 400: the request cannot be read.
    #[must_use]
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// 422: one field does not fit.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// 422: these fields do not fit.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => Cow::Owned(format!("`{}` {}", only.field, only.message)),
            _ => Cow::Borrowed("see `errors` for the fields"),
        };
        Self(Box::new(Inner {
            code: Code::ValidationFailed,
            detail,
            errors,
            retry_after: None,
        }))
    }

    /// 401: nobody is signed in, or the token is not valid.
    #[must_use]
    pub fn unauthenticated(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthenticated, detail)
    }

    /// 403: the caller does not have the right.
    #[must_use]
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// 404: there is no such `thing` (say `course`), or the caller may not know of it.
    #[must_use]
    pub fn not_found(thing: &str) -> Self {
        Self::new(Code::NotFound, format!("no such {thing}"))
    }

    /// 409: the present state does not allow it.
    #[must_use]
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// 412: the version named by `If-Match` is not the present one.
    #[must_use]
    pub fn stale() -> Self {
        Self::new(
            Code::Stale,
            "the version in If-Match is not the present one; read it again",
        )
    }

    /// 400: the cursor is not one of this list and this user.
    #[must_use]
    pub fn bad_cursor() -> Self {
        Self::new(Code::BadCursor, "start again without a cursor")
    }

    /// 429: too many requests; come back after `retry_after`.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(Code::RateLimited, "wait before the next request").with_retry_after(retry_after)
    }

    /// 500: our own failure. Logs `cause` with everything beneath it; the caller learns only the trace id.
    #[must_use]
    #[track_caller]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::error!(cause = %Chain(cause.as_ref()), at = %Location::caller(), "internal error");
        Self::new(Code::Internal, "the cause is in the log under the trace id")
    }

    /// 503: something needed is down. Logs `cause`; may be retried.
    #[must_use]
    #[track_caller]
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::warn!(cause = %Chain(cause.as_ref()), at = %Location::caller(), "unavailable");
        Self::new(Code::Unavailable, "try again shortly")
    }

    /// 504: it did not finish in time; whether it had an effect is not known. Logs `cause`.
    #[must_use]
    #[track_caller]
    pub fn timeout(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::warn!(cause = %Chain(cause.as_ref()), at = %Location::caller(), "timed out");
        Self::new(Code::Timeout, "it may or may not have taken effect")
    }

    /// Adds `Retry-After` (rounded up to whole seconds, at least one).
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the fields that the problem is about.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Whether the request itself was refused: nothing was done, and the same request is refused again. A body that
    /// did not come in time is not, since it may be complete the next time.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status().is_client_error() && self.code() != Code::RequestTimeout
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence about this occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The fields that do not fit.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// When to come back, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.code.http_status()
    }

    /// The body of the answer, with the trace id of the request that is being handled.
    #[must_use]
    pub fn body(&self) -> ProblemBody<'_> {
        let facts = self.0.code.facts();
        ProblemBody {
            kind: schema::type_uri(self.0.code),
            title: Cow::Borrowed(facts.title),
            status: facts.http.as_u16(),
            detail: Cow::Borrowed(&self.0.detail),
            code: self.0.code,
            trace_id: context::current().map(|context| context.trace_id_hex()),
            errors: Cow::Borrowed(&self.0.errors),
        }
    }
}

pub use schema::ProblemBody;

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // A struct of strings and numbers always serialises.
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if self.0.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Rounded up, so that a client that obeys is not refused again.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + up).max(1)
}

/// An error with everything beneath it, on one line: many outer ones say little.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut above = self.0.to_string();
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source in their own text.
            if !above.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            above = text;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
