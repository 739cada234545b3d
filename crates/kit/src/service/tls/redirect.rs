//! The listener without TLS: sends everybody to the one with it, and does nothing else.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderValue, StatusCode, header};

/// Answers every request with the same address on `port` with TLS.
pub(in crate::service) fn redirect(port: u16) -> Router {
    Router::new().fallback(move |request: Request| async move { answer(&request, port) })
}

fn answer(request: &Request, port: u16) -> Response {
    let Some(address) = address(request, port) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // 308 keeps method and body, which are sent again; nothing of them is read here.
    (
        StatusCode::PERMANENT_REDIRECT,
        [
            (header::LOCATION, address),
            (header::CONNECTION, HeaderValue::from_static("close")),
        ],
    )
        .into_response()
}

fn address(request: &Request, port: u16) -> Option<HeaderValue> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let host: Authority = host.parse().ok()?;
    if host.as_str().contains('@') || host.host().is_empty() {
        return None;
    }
    let path = request.uri().path_and_query()?.as_str();
    let host = host.host();
    let address = match port {
        443 => format!("https://{host}{path}"),
        other => format!("https://{host}:{other}{path}"),
    };
    HeaderValue::try_from(address).ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn to(host: &str, path: &str, port: u16) -> Option<String> {
        let request = Request::get(path).header(header::HOST, host);
        let request = request.body(Body::empty()).unwrap();
        address(&request, port).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_same_address_with_tls() {
        let expected = Some("https://ent.school.example/api/x?y=1".to_owned());
        assert_eq!(to("ent.school.example", "/api/x?y=1", 443), expected);
        assert_eq!(to("ent.school.example:80", "/api/x?y=1", 443), expected);
        assert_eq!(
            to("[::1]:8080", "/", 8443),
            Some("https://[::1]:8443/".into())
        );
    }

    #[test]
    fn nonsense_is_sent_nowhere() {
        for host in ["", "a b", "user@evil.example", "x/y", ":80"] {
            assert_eq!(to(host, "/", 443), None, "{host}");
        }
    }
}
