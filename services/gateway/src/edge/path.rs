//! Addresses that try to be something else.
//!
//! Whether a path is routed, and what it means to the service behind, must not depend on who decodes it how often.
//! So what could be read in two ways is refused here.

use riwaq_kit::{Code, Problem};

/// Refuses malformed escapes, and everything that is a separator, a dot segment or NUL in disguise.
pub(crate) fn check(path: &str) -> Result<(), Problem> {
    let bytes = path.as_bytes();
    let plain = |byte: u8| !matches!(byte, b'%' | b'\\' | b'.') && byte.is_ascii_graphic();
    if bytes.iter().copied().all(plain) && !path.contains("//") {
        return Ok(());
    }
    let decoded = decode(bytes)?;
    if std::str::from_utf8(&decoded).is_err() {
        return Err(Problem::invalid_request("the address is not UTF-8"));
    }
    let odd = |byte: u8| byte < 0x20 || byte == 0x7f || byte == b'\\';
    if decoded.iter().copied().any(odd) {
        return Err(nowhere());
    }
    // A file name may hold what looks like an escape, but only once.
    let dots = |segment: &[u8]| segment == b"." || segment == b"..";
    if decoded.split(|byte| *byte == b'/').any(dots) || path.contains("//") {
        return Err(nowhere());
    }
    if decoded.iter().filter(|byte| **byte == b'/').count() != path.matches('/').count() {
        return Err(nowhere());
    }
    Ok(())
}

fn nowhere() -> Problem {
    Problem::new(Code::NotFound, "no such address")
}

fn decode(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let malformed = || Problem::invalid_request("the address holds a malformed escape");
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let value = high
            .zip(low)
            .map(|(high, low)| high * 16 + low)
            .ok_or_else(malformed)?;
        decoded.push(u8::try_from(value).map_err(|_| malformed())?);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_pass() {
        for path in [
            "/",
            "/api/courses",
            "/api/files/a%20b.pdf",
            "/api/openapi.json",
            "/x/%D8%B1%D9%88",
            "/a/..b/c.",
            "/a%252e",
        ] {
            assert!(check(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn disguises_are_not_found_and_malformed_escapes_are_bad_requests() {
        for path in [
            "/api/../admin",
            "/api/%2e%2e/admin",
            "/api/.%2E/admin",
            "/api/./x",
            "//api",
            "/api//x",
            "/api/x%2fy",
            "/api/x%5cy",
            "/api/x\\y",
            "/api/%00",
            "/api/%0d%0aSet-Cookie",
            "/api/..",
        ] {
            assert_eq!(check(path).unwrap_err().code(), Code::NotFound, "{path}");
        }
        for path in ["/api/%", "/api/%2", "/api/%zz", "/api/%+1", "/api/%ff"] {
            assert_eq!(
                check(path).unwrap_err().code(),
                Code::InvalidRequest,
                "{path}"
            );
        }
    }
}
