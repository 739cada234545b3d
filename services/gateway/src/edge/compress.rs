//! Compression of answers that are text.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tower::{Layer, Service};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

/// Below this many bytes compression costs more than it saves.
const SMALLEST: u64 = 1024;

/// Compresses the answer where the client takes that and it pays. What is compressed already, a part of something,
/// or a stream of events, stays as it is.
pub(crate) async fn compress(
    accept: Option<HeaderValue>,
    response: Response<Body>,
) -> Response<Body> {
    if !eligible(&response) {
        return response;
    }
    let mut response = response;
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let Some(accept) = accept else {
        return response;
    };
    let mut request = Request::new(Body::empty());
    request
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, accept);
    let layer = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(0));
    match layer.layer(Once(Some(response))).call(request).await {
        Ok(compressed) => compressed.map(Body::new),
        Err(never) => match never {},
    }
}

/// A service that has one answer already.
struct Once(Option<Response<Body>>);

impl Service<Request<Body>> for Once {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(self.0.take().unwrap_or_default()))
    }
}

fn eligible(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let whole = response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_RANGE);
    let plain = !headers.contains_key(header::CONTENT_ENCODING);
    let large = response
        .body()
        .size_hint()
        .upper()
        .is_none_or(|size| size >= SMALLEST);
    large && whole && plain && is_text(headers) && !is_untouchable(headers)
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    (essence.starts_with("text/") && essence != "text/event-stream")
        || matches!(
            essence,
            "application/json" | "application/javascript" | "image/svg+xml" | "application/xml"
        )
        || essence.ends_with("+json")
}

/// `Cache-Control: no-transform` (RFC 9111, section 5.2.2.6).
fn is_untouchable(headers: &HeaderMap) -> bool {
    let said = headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok());
    said.is_some_and(|value| value.contains("no-transform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn encoding(
        kind: &str,
        extra: &[(&str, &str)],
        size: usize,
        accept: &'static str,
    ) -> Option<String> {
        let mut response = Response::builder().header(header::CONTENT_TYPE, kind);
        for (name, value) in extra {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from("x".repeat(size))).unwrap();
        let response = compress(Some(HeaderValue::from_static(accept)), response).await;
        let encoding = response
            .headers()
            .get(header::CONTENT_ENCODING)
            .map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        assert_eq!(encoding.is_some(), body.len() < size);
        encoding
    }

    #[tokio::test]
    async fn text_that_is_large_enough_is_compressed() {
        assert_eq!(
            encoding("application/json", &[], 5000, "gzip")
                .await
                .as_deref(),
            Some("gzip")
        );
        assert_eq!(
            encoding("text/html; charset=utf-8", &[], 5000, "gzip, br")
                .await
                .as_deref(),
            Some("br")
        );
        assert_eq!(
            encoding("application/problem+json", &[], 5000, "gzip")
                .await
                .as_deref(),
            Some("gzip")
        );
    }

    #[tokio::test]
    async fn everything_else_stays_as_it_is() {
        assert_eq!(encoding("application/json", &[], 500, "gzip").await, None);
        assert_eq!(
            encoding("application/json", &[], 5000, "identity").await,
            None
        );
        assert_eq!(encoding("text/event-stream", &[], 5000, "gzip").await, None);
        assert_eq!(encoding("application/pdf", &[], 5000, "gzip").await, None);
        assert_eq!(encoding("image/png", &[], 5000, "gzip").await, None);
        assert_eq!(
            encoding(
                "text/plain",
                &[("content-range", "bytes 0-1/2")],
                5000,
                "gzip"
            )
            .await,
            None
        );
        assert_eq!(
            encoding(
                "text/plain",
                &[("cache-control", "no-transform")],
                5000,
                "gzip"
            )
            .await,
            None
        );
    }
}
