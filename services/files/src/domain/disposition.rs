//! How content is offered to a browser: `Content-Disposition` (RFC 6266, RFC 8187).

use riwaq_blobs::Disposition;

/// Media types that a browser may show in place: they run nothing, and nothing is told of them but what they show.
const SAFE_INLINE: &[&str] = &[
    "application/pdf",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/webm",
];

/// Inline only where it was asked for and the type is safe.
pub(crate) fn decide(asked: Option<Disposition>, media_type: &str) -> Disposition {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    match asked {
        Some(Disposition::Inline) if SAFE_INLINE.contains(&essence) => Disposition::Inline,
        _ => Disposition::Attachment,
    }
}

/// The value of the header: an ASCII name for old clients, and the real one.
pub(crate) fn header(disposition: Disposition, name: &str) -> String {
    let fallback: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let plain = format!("{disposition}; filename=\"{fallback}\"");
    if fallback == name {
        return plain;
    }
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{plain}; filename*=UTF-8''{encoded}")
}

/// Without quotes, escapes, or percent signs, which some clients decode.
fn is_plain(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%' | '/' | ';')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_safe_types_are_inline_and_only_when_asked() {
        let inline = Some(Disposition::Inline);
        assert_eq!(decide(inline, "image/png"), Disposition::Inline);
        assert_eq!(
            decide(inline, "text/plain; charset=utf-8"),
            Disposition::Inline
        );
        for unsafe_type in [
            "text/html",
            "image/svg+xml",
            "application/xml",
            "text/html;x=image/png",
        ] {
            assert_eq!(
                decide(inline, unsafe_type),
                Disposition::Attachment,
                "{unsafe_type}"
            );
        }
        assert_eq!(decide(None, "image/png"), Disposition::Attachment);
        assert_eq!(
            decide(Some(Disposition::Attachment), "image/png"),
            Disposition::Attachment
        );
    }

    #[test]
    fn names_in_any_script_survive() {
        let attachment = Disposition::Attachment;
        assert_eq!(
            header(attachment, "cours 1.pdf"),
            "attachment; filename=\"cours 1.pdf\""
        );
        assert_eq!(
            header(attachment, "été.pdf"),
            "attachment; filename=\"_t_.pdf\"; filename*=UTF-8''%C3%A9t%C3%A9.pdf"
        );
        assert_eq!(
            header(Disposition::Inline, "a\"b\\.txt"),
            "inline; filename=\"a_b_.txt\"; filename*=UTF-8''a%22b%5C.txt"
        );
    }

    proptest! {
        #[test]
        fn any_name_is_one_header_value(name in any::<String>()) {
            let value = header(Disposition::Attachment, &name);
            prop_assert!(HeaderValue::from_str(&value).is_ok(), "{value:?}");
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
