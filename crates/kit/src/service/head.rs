//! Refuses heads of requests that are too large before anything else looks at them.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::code::Code;
use crate::problem::Problem;

/// How long an address may be, in bytes.
const MAX_URI: usize = 8 << 10;

pub(super) async fn check(
    State(max_bytes): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri();
    let uri_bytes = uri.path_and_query().map_or(0, |part| part.as_str().len());
    if uri_bytes > MAX_URI {
        return Problem::new(Code::UriTooLong, format!("at most {MAX_URI} bytes")).into_response();
    }
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers > max_bytes {
        return Problem::new(Code::HeadersTooLarge, format!("at most {max_bytes} bytes"))
            .into_response();
    }
    next.run(request).await
}
