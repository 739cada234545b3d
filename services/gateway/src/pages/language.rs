//! Which of our languages somebody reads.

use http::{HeaderMap, header};

/// The languages of the pages, the first where nothing else is wished.
pub(crate) const CODES: &[&str] = &["fr", "ar", "en"];

/// The language to answer in: the one that was chosen, or the best that the browser accepts.
pub(crate) fn choose(chosen: Option<&str>, headers: &HeaderMap) -> &'static str {
    let accepted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok());
    chosen
        .and_then(known)
        .unwrap_or_else(|| preferred(accepted.unwrap_or_default()))
}

fn known(code: &str) -> Option<&'static str> {
    CODES.iter().copied().find(|known| *known == code)
}

/// The best of ours by `Accept-Language` (RFC 9110, section 12.5.4); French where that says nothing of use.
fn preferred(accepted: &str) -> &'static str {
    let mut best = ("fr", 0.0_f32);
    for range in accepted.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.trim().strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        if let Some(code) = known(tag.split('-').next().unwrap_or_default())
            && quality > best.1
        {
            best = (code, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_follows_the_browser() {
        assert_eq!(preferred("ar-MA,fr;q=0.8"), "ar");
        assert_eq!(preferred("de, en;q=0.5, fr;q=0.4"), "en");
        assert_eq!(preferred("de"), "fr");
        assert_eq!(preferred(""), "fr");
        assert_eq!(preferred("en;q=NaN, ar;q=0.1"), "ar");
    }
}
