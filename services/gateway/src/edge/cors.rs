//! Pages of other sites (the Fetch standard, CORS protocol). They use tokens: our cookies are not for them.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, if-match, if-none-match, idempotency-key, range, traceparent, tus-resumable, \
     upload-length, upload-metadata, upload-offset",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "content-disposition, content-range, etag, location, retry-after, x-request-id, upload-offset, \
     riwaq-file-id, tus-resumable",
);
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The sites that are allowed.
#[derive(Debug, Clone)]
pub(crate) struct Cors(Vec<HeaderValue>);

impl Cors {
    /// Entries that cannot be an origin are left out, with a line in the log.
    pub(crate) fn new(origins: &[String]) -> Self {
        let usable = |origin: &String| {
            let value = HeaderValue::try_from(origin.trim_end_matches('/')).ok()?;
            (origin.starts_with("https://") || origin.starts_with("http://")).then_some(value)
        };
        for origin in origins.iter().filter(|origin| usable(origin).is_none()) {
            tracing::warn!(origin, "gateway.cors_origins: not an origin");
        }
        Self(origins.iter().filter_map(usable).collect())
    }

    /// The site that asks, if it is allowed.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        headers
            .get(header::ORIGIN)
            .filter(|origin| self.0.contains(origin))
            .cloned()
    }

    /// The answer to a browser that asks before it asks.
    pub(crate) fn preflight(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = asks.then(|| self.allowed(request.headers()))??;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        self.mark(&mut response, Some(origin));
        Some(response)
    }

    /// Lets the page of an allowed site read the answer.
    pub(crate) fn mark(&self, response: &mut Response<Body>, origin: Option<HeaderValue>) {
        if self.0.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, origin: &str) -> Request<Body> {
        Request::builder()
            .method(method)
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn only_listed_sites_are_answered() {
        let cors = Cors::new(&["https://apps.example.edu/".into(), "*".into()]);
        let answer = cors
            .preflight(&ask(Method::OPTIONS, "https://apps.example.edu"))
            .unwrap();
        assert_eq!(
            answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://apps.example.edu"
        );
        assert!(
            !answer
                .headers()
                .contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
        );
        for other in [
            "https://evil.example",
            "https://apps.example.edu.evil",
            "null",
            "*",
        ] {
            assert!(
                cors.preflight(&ask(Method::OPTIONS, other)).is_none(),
                "{other}"
            );
        }
        assert!(
            cors.preflight(&ask(Method::PUT, "https://apps.example.edu"))
                .is_none()
        );
    }
}
