//! Answers that several handlers give alike.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use riwaq_aggregates::Recorded;
use riwaq_kit::{ApiResult, Code, ETag, Problem};
use serde::Serialize;

/// The answer to a creation, in the form that an idempotency key remembers.
pub(crate) fn created<T: Serialize>(location: &str, etag: &ETag, body: &T) -> ApiResult<Recorded> {
    Ok(Recorded {
        status: StatusCode::CREATED.as_u16(),
        headers: vec![
            (LOCATION.as_str().to_owned(), location.to_owned()),
            (ETAG.as_str().to_owned(), etag.to_string()),
            (
                CONTENT_TYPE.as_str().to_owned(),
                "application/json".to_owned(),
            ),
        ],
        body: serde_json::to_string(body).map_err(Problem::internal)?,
    })
}

/// The same answer as the first time.
pub(crate) fn replay(recorded: Recorded) -> ApiResult<Response> {
    let mut response = recorded.body.into_response();
    *response.status_mut() = StatusCode::from_u16(recorded.status).map_err(Problem::internal)?;
    for (name, value) in recorded.headers {
        let name = HeaderName::try_from(name).map_err(Problem::internal)?;
        let value = HeaderValue::try_from(value).map_err(Problem::internal)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// Whether a request that ended so surely has done nothing, so that its key may be used again.
pub(crate) fn nothing_done(problem: &Problem) -> bool {
    !matches!(
        problem.code(),
        Code::Unavailable | Code::Timeout | Code::Internal
    )
}
