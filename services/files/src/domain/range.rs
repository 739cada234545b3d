//! The `Range` header (RFC 9110, section 14).

use riwaq_blobs::ByteRange;

/// The range that is asked for. A header that is not understood, not of bytes, or of several ranges is ignored, as
/// section 14.2 allows: the whole content is the answer.
pub(crate) fn parse(header: &str) -> Option<ByteRange> {
    let (unit, ranges) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", "") => None,
        ("", suffix) => Some(ByteRange::Suffix(number(suffix)?)),
        (first, "") => Some(ByteRange::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Span(first, last))
        }
    }
}

/// Digits only; a number beyond all sizes counts as the largest.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_read() {
        assert_eq!(parse("bytes=0-499"), Some(ByteRange::Span(0, 499)));
        assert_eq!(parse("bytes=500-"), Some(ByteRange::From(500)));
        assert_eq!(parse("Bytes = 500 - 600"), Some(ByteRange::Span(500, 600)));
        assert_eq!(parse("bytes=-5"), Some(ByteRange::Suffix(5)));
        let huge = "99999999999999999999999999";
        assert_eq!(
            parse(&format!("bytes={huge}-")),
            Some(ByteRange::From(u64::MAX))
        );
    }

    #[test]
    fn everything_else_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=0x1-",
            "lines=1-2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=1.5-2",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}
