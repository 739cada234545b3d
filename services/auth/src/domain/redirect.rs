//! Addresses that a browser may be sent to: compared as text, never after normalisation.
//!
//! RFC 9700, 4.1.3: exact string matching; the one exception is the port of a loopback address of a
//! native program (RFC 8252, 7.3).

use url::{Host, Url};

/// The longest address, in bytes.
pub(crate) const MAX_URI_BYTES: usize = 2000;
const LOOPBACKS: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// Whether an address that a request names is one of those registered for the client. A
/// registered loopback address without a port (`http://127.0.0.1/callback`) stands for every port.
pub(crate) fn is_registered(requested: &str, registered: &[String]) -> bool {
    requested.len() <= MAX_URI_BYTES
        && registered
            .iter()
            .any(|known| known == requested || is_same_loopback(requested, known))
}

fn is_same_loopback(requested: &str, known: &str) -> bool {
    LOOPBACKS.iter().any(|host| {
        let (Some(path), Some(rest)) = (known.strip_prefix(host), requested.strip_prefix(host))
        else {
            return false;
        };
        let Some(port_and_path) = rest.strip_prefix(':') else {
            return false;
        };
        let digits = port_and_path.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = port_and_path.split_at(digits);
        let is_port = !port.starts_with('0') && port.parse::<u16>().is_ok();
        path.starts_with('/') && is_port && rest == path
    })
}

/// Checks an address that a client is to be registered with.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_registration(uri: &str) -> Result<(), &'static str> {
    if uri.len() > MAX_URI_BYTES {
        return Err("an address has at most 2000 bytes");
    }
    if uri
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || b"\"<>\\^`{|}*".contains(&byte))
    {
        return Err("an address has no spaces, quotes, backslashes or wildcards");
    }
    let Ok(url) = Url::parse(uri) else {
        return Err("not an absolute address");
    };
    if url.fragment().is_some() || uri.contains('#') {
        return Err("a redirect address has no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a redirect address has no user name");
    }
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => return Err("an address has a host"),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err("https, or http on a loopback address"),
    }
}

/// The address with these parameters added to its query, and nothing else changed.
pub(crate) fn with_query(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        query.append_pair(name, value);
    }
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", query.finish())
}

/// The source expression that lets a form's answer redirect to the address (CSP3, 6.7.2.8).
/// `None` for hosts that the grammar cannot name: then the scheme has to do.
pub(crate) fn csp_source(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.host()? {
        Host::Ipv6(_) => Some(format!("{}:", url.scheme())),
        _ => Some(url.origin().ascii_serialization()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> Vec<String> {
        [
            "https://portal.example/callback",
            "https://portal.example/cb?x=1",
            "http://127.0.0.1/callback",
            "http://[::1]/callback",
        ]
        .map(String::from)
        .to_vec()
    }

    #[test]
    fn exact_addresses_and_loopback_ports_match() {
        for good in [
            "https://portal.example/callback",
            "https://portal.example/cb?x=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:43219/callback",
            "http://127.0.0.1:1/callback",
            "http://[::1]:65535/callback",
        ] {
            assert!(is_registered(good, &registered()), "{good}");
        }
    }

    #[test]
    fn every_known_trick_is_refused() {
        for bad in [
            "",
            "https://portal.example/callback/",
            "https://portal.example/callback?x=1",
            "https://portal.example/callback#fragment",
            "https://portal.example/Callback",
            "https://PORTAL.example/callback",
            "https://portal.example:443/callback",
            "https://portal.example/x/../callback",
            "https://portal.example/callback%2f..",
            "https://portal.example.evil.example/callback",
            "https://portal.example@evil.example/callback",
            "https://evil.example/?https://portal.example/callback",
            "https://evil.example\\@portal.example/callback",
            "http://portal.example/callback",
            "//portal.example/callback",
            "javascript:alert(1)",
            "https://portal.example/callback\r\nSet-Cookie: x=1",
            " https://portal.example/callback",
            "http://localhost:43219/callback",
            "http://localhost/callback",
            "http://127.0.0.1:43219/",
            "http://127.0.0.1:43219/callback/x",
            "http://127.0.0.1:43219/callback?x=1",
            "http://127.0.0.1:43219/callback#x",
            "http://127.0.0.1:43219@evil.example/callback",
            "http://127.0.0.1:@evil.example/callback",
            "http://127.0.0.1.evil.example/callback",
            "http://127.0.0.1:/callback",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:0080/callback",
            "http://127.0.0.1:65536/callback",
            "http://127.0.0.1:999999999999/callback",
            "http://127.0.0.1:+80/callback",
            "http://127.1:80/callback",
            "http://2130706433:80/callback",
            "http://user@127.0.0.1:80/callback",
            "https://127.0.0.1:43219/callback",
            "http://[::2]:80/callback",
        ] {
            assert!(!is_registered(bad, &registered()), "{bad:?}");
        }
    }

    #[test]
    fn a_loopback_address_with_a_port_of_its_own_matches_only_that_port() {
        let one = vec!["http://127.0.0.1:8080/callback".to_owned()];
        assert!(is_registered("http://127.0.0.1:8080/callback", &one));
        assert!(!is_registered("http://127.0.0.1:8081/callback", &one));
        assert!(!is_registered("http://127.0.0.1/callback", &one));
    }

    #[test]
    fn only_safe_addresses_can_be_registered() {
        for good in [
            "https://a.example/cb",
            "https://a.example/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://localhost:3000/cb",
        ] {
            assert_eq!(check_registration(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "a.example/cb",
            "http://a.example/cb",
            "https://a.example/cb#x",
            "https://a.example/cb#",
            "https://u:p@a.example/cb",
            "https://*.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example/ cb",
            "https://a.example\\@b.example/",
            "file:///etc/passwd",
            "riwaq:/cb",
        ] {
            assert!(check_registration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parameters_are_added_to_the_query_that_is_there() {
        assert_eq!(
            with_query("https://a/cb", &[("code", "a b&c"), ("state", "é")]),
            "https://a/cb?code=a+b%26c&state=%C3%A9"
        );
        assert_eq!(
            with_query("https://a/cb?x=1", &[("code", "y")]),
            "https://a/cb?x=1&code=y"
        );
    }
}
