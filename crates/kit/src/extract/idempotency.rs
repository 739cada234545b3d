//! The `Idempotency-Key` header.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::problem::Problem;

/// The key under which a client repeats a request without repeating its effect.
///
/// Taken as an `Option`: clients need not send one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The header's name.
    pub const HEADER: &'static str = "idempotency-key";
    /// How long a key may be, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// The key as the client sent it, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(parts: &Parts) -> Result<Option<Self>, Problem> {
        let mut values = parts.headers.get_all(Self::HEADER).iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let refuse = |why| Err(Problem::invalid_request(format!("`Idempotency-Key` {why}")));
        if values.next().is_some() {
            return refuse("is given twice");
        }
        let Ok(text) = first.to_str() else {
            return refuse("must be printable ASCII");
        };
        // The draft standard writes it as a quoted string; many clients send it bare.
        let quoted = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let key = quoted.unwrap_or(text);
        if key.is_empty() || key.len() > Self::MAX_LENGTH {
            return refuse("must have 1 to 255 characters");
        }
        Ok(Some(Self(key.to_owned())))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::read(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(parts)?
            .ok_or_else(|| Problem::invalid_request("`Idempotency-Key` is required here"))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, Problem> {
        let (mut parts, ()) = Request::new(()).into_parts();
        for value in values {
            parts.headers.append(
                IdempotencyKey::HEADER,
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        IdempotencyKey::read(&parts)
    }

    #[test]
    fn a_key_is_read_bare_or_quoted() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b"abc"]).unwrap().unwrap().as_str(), "abc");
        assert_eq!(read(&[b"\"abc\""]).unwrap().unwrap().as_str(), "abc");
    }

    #[test]
    fn an_impossible_key_is_refused() {
        let long = vec![b'a'; 256];
        for bad in [
            &[&b""[..]][..],
            &[b"\"\""],
            &[long.as_slice()],
            &[b"\xff"],
            &[b"a", b"b"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
