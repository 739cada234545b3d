//! Answers: an object with its ETag, and answers that can be given again for an idempotency key.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use riwaq_aggregates::Recorded;
use riwaq_kit::{ETag, Problem};
use serde::Serialize;

/// What browsers may do with an answer that is one person's: keep it, and ask before using it again.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

/// An answer with a body of JSON, or none.
#[derive(Debug)]
pub(crate) struct Answer(Recorded);

impl Answer {
    /// The JSON of `body`.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        serde_json::to_string(body)
            .map(|body| Self::text(status, body))
            .map_err(Problem::internal)
    }

    /// JSON that is written already.
    pub(crate) fn text(status: StatusCode, body: String) -> Self {
        Self(Recorded {
            status: status.as_u16(),
            headers: Vec::new(),
            body,
        })
    }

    /// With the tag of a version.
    pub(crate) fn version(self, version: i64) -> Self {
        self.header(
            header::ETAG,
            ETag::of_version(version.cast_unsigned()).to_string(),
        )
    }

    /// With the address of what was made.
    pub(crate) fn location(self, path: String) -> Self {
        self.header(header::LOCATION, path)
    }

    pub(crate) fn into_recorded(self) -> Recorded {
        self.0
    }

    fn header(mut self, name: HeaderName, value: String) -> Self {
        self.0.headers.push((name.as_str().to_owned(), value));
        self
    }
}

impl From<Recorded> for Answer {
    fn from(recorded: Recorded) -> Self {
        Self(recorded)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Recorded {
            status,
            headers,
            body,
        } = self.0;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let target = response.headers_mut();
        target.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        target.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        for (name, value) in headers {
            // What was recorded was made from valid ones.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                target.insert(name, value);
            }
        }
        response
    }
}

/// 304 for a client that has this version already.
pub(crate) fn not_modified(version: i64) -> Response {
    let tag = ETag::of_version(version.cast_unsigned());
    (
        StatusCode::NOT_MODIFIED,
        tag,
        [(header::CACHE_CONTROL, CACHE_CONTROL)],
    )
        .into_response()
}
