//! Headers that do not pass: those of one hop, and those that only we may set.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use riwaq_kit::{Code, Problem};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers by which our services talk to one another.
const INTERNAL_PREFIX: &str = "x-riwaq-";

/// Headers of which two would be read differently by different readers.
const SINGLE: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::AUTHORIZATION,
];

/// Refuses heads that could be read in two ways (request smuggling).
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    for name in SINGLE {
        let mut values = headers.get_all(name).iter();
        if values.next().is_some() && values.next().is_some() {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("the header `{name}` is given twice"),
            ));
        }
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
    {
        return Err(Problem::invalid_request(
            "`Transfer-Encoding` and `Content-Length` exclude one another",
        ));
    }
    Ok(())
}

/// Takes away what must not reach a service, and says where the request came from.
pub(crate) fn prepare_request(headers: &mut HeaderMap, client: IpAddr, upgrade: bool) {
    remove_hop_by_hop(headers, upgrade);
    remove_all(headers, |name| {
        let name = name.as_str();
        name.starts_with(INTERNAL_PREFIX)
            || name.starts_with("x-forwarded-")
            || matches!(name, "forwarded" | "x-real-ip")
    });
    // An address is always a valid header value.
    if let Ok(value) = HeaderValue::try_from(client.to_string()) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Takes away what an answer must not carry to the outside.
pub(crate) fn prepare_response(headers: &mut HeaderMap, upgrade: bool) {
    remove_hop_by_hop(headers, upgrade);
    remove_all(headers, |name| {
        name.as_str().starts_with(INTERNAL_PREFIX) || name == header::SERVER
    });
}

/// RFC 9110, section 7.6.1.
fn remove_hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    if let Some(connection) = headers.get(header::CONNECTION) {
        let named = named_by(connection);
        for name in named {
            headers.remove(name);
        }
    }
    remove_all(headers, |name| {
        let hop = *name == header::CONNECTION || *name == header::UPGRADE;
        (hop && !upgrade)
            || *name == header::TRANSFER_ENCODING
            || *name == header::TE
            || *name == header::TRAILER
            // We have answered it ourselves.
            || *name == header::EXPECT
            || *name == header::PROXY_AUTHENTICATE
            || *name == header::PROXY_AUTHORIZATION
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
    });
}

/// What `Connection` names, save what belongs to the request from end to end, whatever it says.
fn named_by(connection: &HeaderValue) -> Vec<HeaderName> {
    let names = connection.to_str().unwrap_or_default().split(',');
    let names =
        names.filter_map(|name| HeaderName::try_from(name.trim().to_ascii_lowercase()).ok());
    names
        .filter(|name| {
            !SINGLE.contains(name) && *name != header::UPGRADE && *name != header::COOKIE
        })
        .collect()
}

/// Most requests have nothing to remove: then nothing is allocated.
fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn internal_and_hop_by_hop_headers_do_not_pass() {
        let mut headers = map(&[
            ("x-riwaq-actor-token", "forged"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=192.0.2.1"),
            ("connection", "keep-alive, X-Secret, Authorization, host"),
            ("x-secret", "1"),
            ("authorization", "Bearer t"),
            ("host", "riwaq"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        prepare_request(&mut headers, "198.51.100.7".parse().unwrap(), false);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "accept: */*",
                "authorization: Bearer t",
                "host: riwaq",
                "x-forwarded-for: 198.51.100.7"
            ]
        );
    }

    #[test]
    fn an_upgrade_keeps_its_headers_where_it_is_allowed() {
        let mut headers = map(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        prepare_request(&mut headers, "198.51.100.7".parse().unwrap(), true);
        assert!(headers.contains_key("upgrade") && headers.contains_key("connection"));
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_are_refused() {
        for name in ["host", "content-length", "content-type", "authorization"] {
            assert!(check(&map(&[(name, "a"), (name, "b")])).is_err(), "{name}");
            assert!(check(&map(&[(name, "a")])).is_ok(), "{name}");
        }
        assert!(
            check(&map(&[
                ("transfer-encoding", "chunked"),
                ("content-length", "3")
            ]))
            .is_err()
        );
    }
}
