//! What a request for content makes depend on what, and what that comes to (RFC 9110).

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use riwaq_blobs::{BlobInfo, ByteRange, Sha256};
use riwaq_kit::{ETag, IfMatch, IfNoneMatch};

use crate::domain::range;

/// What must be known of content to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) sha256: Sha256,
}

impl From<&BlobInfo> for Known {
    fn from(info: &BlobInfo) -> Self {
        Self {
            size: info.size,
            sha256: info.sha256,
        }
    }
}

impl Known {
    /// The digest tells contents apart, whoever serves them.
    pub(super) fn tag(&self) -> ETag {
        ETag::opaque(&self.sha256.to_string())
    }
}

/// What the request makes depend on what.
pub(super) struct Conditions<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) if_match: IfMatch,
    pub(super) if_none_match: IfNoneMatch,
}

/// What the answer will be.
#[derive(Debug)]
pub(super) enum Plan {
    Whole,
    Part(ByteRange),
    NotModified,
    NotThisOne,
    Outside,
}

impl Plan {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::NotThisOne => StatusCode::PRECONDITION_FAILED,
            Self::Outside => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }

    /// The bytes that the answer to a GET has.
    pub(super) const fn range(&self) -> Option<ByteRange> {
        match self {
            Self::Whole => Some(ByteRange::Full),
            Self::Part(range) => Some(*range),
            Self::NotModified | Self::NotThisOne | Self::Outside => None,
        }
    }
}

impl Conditions<'_> {
    /// In the order of RFC 9110, section 13.2.2.
    pub(super) fn plan(&self, known: &Known) -> Plan {
        let tag = known.tag();
        if self.if_match.check(&tag).is_err() {
            return Plan::NotThisOne;
        }
        if self.if_none_match.matches(&tag) {
            return Plan::NotModified;
        }
        match self.range(&tag) {
            None => Plan::Whole,
            Some(range) if range.resolve(known.size).is_ok() => Plan::Part(range),
            Some(_) => Plan::Outside,
        }
    }

    /// The range, where it applies: to GET, once, and only to the content that the client has a part of.
    fn range(&self, tag: &ETag) -> Option<ByteRange> {
        if self.method != Method::GET {
            return None;
        }
        let mut ranges = self.headers.get_all(RANGE).iter();
        let range = ranges.next()?.to_str().ok()?;
        if ranges.next().is_some() {
            return None;
        }
        if let Some(if_range) = self.headers.get(IF_RANGE) {
            // A weak tag or a date is not strong enough.
            let same = if_range.as_bytes() == tag.to_string().as_bytes();
            return same.then(|| range::parse(range)).flatten();
        }
        range::parse(range)
    }
}
