//! Entity tags (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2).

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::Problem;

/// A strong entity tag. As part of a response it sets the `ETag` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of version `version` of a thing.
    #[must_use]
    pub fn of_version(version: u64) -> Self {
        Self(format!("v{version}"))
    }

    /// A tag with this opaque text; characters that a tag may not have are left out.
    #[must_use]
    pub fn opaque(text: &str) -> Self {
        Self(
            text.bytes()
                .filter(|byte| is_etagc(*byte) && byte.is_ascii())
                .map(char::from)
                .collect(),
        )
    }

    /// The version that the tag was made from, if it was made by [`ETag::of_version`].
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let digits = self.0.strip_prefix('v')?;
        digits
            .parse()
            .ok()
            .filter(|version: &u64| version.to_string() == digits)
    }

    /// The text between the quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the `ETag` header.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        // Built from tag characters only.
        HeaderValue::try_from(self.to_string()).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl IntoResponseParts for ETag {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        response
            .headers_mut()
            .insert(header::ETAG, self.header_value());
        Ok(response)
    }
}

const fn is_etagc(byte: u8) -> bool {
    byte == 0x21 || (byte >= 0x23 && byte <= 0x7e) || byte >= 0x80
}

/// One member of a list of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    weak: bool,
    tag: ETag,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Absent,
    Any,
    These(Vec<Listed>),
}

/// `If-Match`: the change is meant for this version only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Tags);

impl IfMatch {
    /// Without the header the last write wins.
    pub const ABSENT: Self = Self(Tags::Absent);

    /// Whether the header was given: then a change must be conditional on the version checked.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.0 != Tags::Absent
    }

    /// Refuses a change to a thing whose present tag is `present`, by strong comparison.
    ///
    /// # Errors
    /// 412 `stale`.
    pub fn check(&self, present: &ETag) -> Result<(), Problem> {
        let fits = match &self.0 {
            Tags::Absent | Tags::Any => true,
            Tags::These(tags) => tags
                .iter()
                .any(|listed| !listed.weak && listed.tag == *present),
        };
        if fits { Ok(()) } else { Err(Problem::stale()) }
    }

    /// [`IfMatch::check`] against [`ETag::of_version`].
    ///
    /// # Errors
    /// 412 `stale`.
    pub fn check_version(&self, version: u64) -> Result<(), Problem> {
        self.check(&ETag::of_version(version))
    }
}

/// `If-None-Match`: answer only when it is not one of these (304 otherwise).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(Tags);

impl IfNoneMatch {
    /// Whether the client has `present` already, by weak comparison.
    #[must_use]
    pub fn matches(&self, present: &ETag) -> bool {
        match &self.0 {
            Tags::Absent => false,
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|listed| listed.tag == *present),
        }
    }
}

fn read(headers: &HeaderMap, name: HeaderName) -> Result<Tags, Problem> {
    let mut tags = Vec::new();
    let mut any = false;
    for value in headers.get_all(&name) {
        let text = value.to_str().ok().map(str::trim);
        if text == Some("*") {
            any = true;
        } else {
            parse_list(value.as_bytes(), &mut tags).ok_or_else(|| {
                Problem::invalid_request(format!("`{name}` is not a list of entity tags"))
            })?;
        }
    }
    match (any, tags.is_empty()) {
        (true, true) => Ok(Tags::Any),
        (true, false) => Err(Problem::invalid_request(format!(
            "`{name}` is either `*` or a list"
        ))),
        (false, true) if headers.contains_key(&name) => {
            Err(Problem::invalid_request(format!("`{name}` is empty")))
        }
        (false, true) => Ok(Tags::Absent),
        (false, false) => Ok(Tags::These(tags)),
    }
}

/// Tags may hold commas, so that the list is read from left to right.
fn parse_list(mut rest: &[u8], tags: &mut Vec<Listed>) -> Option<()> {
    loop {
        rest = rest.trim_ascii_start();
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
        }
        if rest.is_empty() {
            return Some(());
        }
        let weak = rest.starts_with(b"W/");
        rest = rest
            .strip_prefix(b"W/")
            .unwrap_or(rest)
            .strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (tag, after) = rest.split_at(end);
        if !tag.iter().all(|byte| is_etagc(*byte)) {
            return None;
        }
        tags.push(Listed {
            weak,
            tag: ETag(String::from_utf8_lossy(tag).into_owned()),
        });
        rest = after[1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.headers, header::IF_MATCH).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.headers, header::IF_NONE_MATCH).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn if_match(values: &[&str]) -> Result<IfMatch, Problem> {
        read(&headers(values), header::IF_MATCH).map(IfMatch)
    }

    #[test]
    fn the_present_version_passes_and_another_is_stale() {
        for good in [
            &[][..],
            &["*"],
            &["\"v3\""],
            &["\"v1\", \"v3\""],
            &["\"v1\"", "\"v3\""],
            &[" ,\"v3\","],
        ] {
            assert!(if_match(good).unwrap().check_version(3).is_ok(), "{good:?}");
        }
        for stale in [
            &["\"v2\""][..],
            &["W/\"v3\""],
            &["\"v1\", \"v2\""],
            &["\"V3\""],
        ] {
            assert_eq!(
                if_match(stale)
                    .unwrap()
                    .check_version(3)
                    .unwrap_err()
                    .code(),
                Code::Stale,
                "{stale:?}"
            );
        }
        assert!(!if_match(&[]).unwrap().is_given());
        assert!(if_match(&["*"]).unwrap().is_given());
    }

    #[test]
    fn a_malformed_header_is_a_bad_request() {
        for bad in [
            "v3",
            "\"v3",
            "\"v3\" \"v4\"",
            "w/\"v3\"",
            "",
            "\"a b\"",
            "*, \"v3\"",
        ] {
            assert_eq!(
                if_match(&[bad]).unwrap_err().code(),
                Code::InvalidRequest,
                "{bad}"
            );
        }
        assert_eq!(
            if_match(&["*", "\"v3\""]).unwrap_err().code(),
            Code::InvalidRequest
        );
    }

    #[test]
    fn none_match_compares_weakly() {
        let tags = IfNoneMatch(read(&headers(&["W/\"v3\""]), header::IF_MATCH).unwrap());
        assert!(tags.matches(&ETag::of_version(3)));
        assert!(!tags.matches(&ETag::of_version(4)));
    }

    #[test]
    fn a_version_is_read_back_only_from_its_own_form() {
        assert_eq!(ETag::of_version(12).version(), Some(12));
        assert_eq!(ETag::opaque("v012").version(), None);
        assert_eq!(ETag::opaque("a\"b\u{e9}\n").as_str(), "ab");
    }
}
