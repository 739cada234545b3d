//! Headers that every answer carries, whoever made it.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, header};

/// For answers that are data.
const DATA_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
/// For pages: their own scripts and styles only, nothing inline.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds what the answer does not say itself; a service may be stricter, or know better.
pub(crate) fn finish(response: &mut Response<Body>, secure: bool) {
    let headers = response.headers_mut();
    let page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if page { PAGE_POLICY } else { DATA_POLICY };
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::X_FRAME_OPTIONS)
        .or_insert(HeaderValue::from_static("DENY"));
    headers
        .entry(header::REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    headers
        .entry(RESOURCE)
        .or_insert(HeaderValue::from_static("same-site"));
    if page {
        headers
            .entry(OPENER)
            .or_insert(HeaderValue::from_static("same-origin"));
        headers
            .entry(PERMISSIONS)
            .or_insert(HeaderValue::from_static(
                "camera=(), geolocation=(), microphone=()",
            ));
    }
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(content_type: &'static str, secure: bool) -> Response<Body> {
        let response = Response::builder().header(header::CONTENT_TYPE, content_type);
        let mut response = response.body(Body::empty()).unwrap();
        finish(&mut response, secure);
        response
    }

    #[test]
    fn every_answer_is_guarded_and_pages_run_no_inline_script() {
        for kind in ["application/json", "text/html; charset=utf-8"] {
            let response = finished(kind, false);
            let headers = response.headers();
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(
                policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"),
                "{policy}"
            );
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(headers.contains_key(header::REFERRER_POLICY));
            assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        }
        assert!(
            finished("text/html", true)
                .headers()
                .contains_key(header::STRICT_TRANSPORT_SECURITY)
        );
    }

    #[test]
    fn what_the_service_says_itself_stays() {
        let response = Response::builder().header(header::CONTENT_SECURITY_POLICY, "sandbox");
        let mut response = response
            .header(header::CACHE_CONTROL, "no-store")
            .body(Body::empty())
            .unwrap();
        finish(&mut response, true);
        assert_eq!(
            response.headers()[header::CONTENT_SECURITY_POLICY],
            "sandbox"
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }
}
