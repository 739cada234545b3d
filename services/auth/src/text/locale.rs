//! Languages, and which one somebody reads.

use serde::{Deserialize, Serialize};

/// A language that pages and mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// French.
    Fr,
    /// Arabic, written from right to left.
    Ar,
    /// English.
    En,
}

impl Locale {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Fr, Self::Ar, Self::En];

    /// As a language tag (BCP 47).
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::Ar => "ar",
            Self::En => "en",
        }
    }

    /// Its own name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fr => "Français",
            Self::Ar => "العربية",
            Self::En => "English",
        }
    }

    /// `ltr` or `rtl`.
    pub(crate) const fn direction(self) -> &'static str {
        match self {
            Self::Ar => "rtl",
            Self::Fr | Self::En => "ltr",
        }
    }

    /// The language of a tag such as `fr` or `ar-MA`.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| primary.eq_ignore_ascii_case(locale.tag()))
    }
}

/// The first that is one of ours: a list of wishes in order (`ui_locales`, `lang`, a cookie), each
/// perhaps of several tags, then `Accept-Language`, then `otherwise`.
pub(crate) fn negotiate<'a>(
    wishes: impl IntoIterator<Item = Option<&'a str>>,
    accept_language: Option<&str>,
    otherwise: Locale,
) -> Locale {
    let wished = wishes
        .into_iter()
        .flatten()
        .flat_map(str::split_ascii_whitespace)
        .find_map(Locale::from_tag);
    wished
        .or_else(|| accept_language.and_then(best_accepted))
        .unwrap_or(otherwise)
}

/// RFC 9110, 12.5.4.
fn best_accepted(header: &str) -> Option<Locale> {
    let mut best: Option<(f32, Locale)> = None;
    for range in header.split(',').take(50) {
        let mut parts = range.split(';').map(str::trim);
        let Some(locale) = parts.next().and_then(Locale::from_tag) else {
            continue;
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |q| q.parse().ok());
        let Some(quality) = quality.filter(|quality| *quality > 0.0) else {
            continue;
        };
        if best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, locale));
        }
    }
    best.map(|(_, locale)| locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_come_before_what_the_browser_accepts() {
        let choose = |wishes: [Option<&str>; 2], accept| negotiate(wishes, accept, Locale::Fr);
        assert_eq!(choose([None, Some("ar")], Some("en")), Locale::Ar);
        assert_eq!(choose([Some("de en-GB"), Some("ar")], None), Locale::En);
        assert_eq!(
            choose([Some("de"), None], Some("de, en;q=0.5, ar-MA;q=0.8")),
            Locale::Ar
        );
        assert_eq!(choose([None, None], Some("de;q=1, en;q=0")), Locale::Fr);
        assert_eq!(choose([Some("\0'"), None], Some(";;;,,q=")), Locale::Fr);
    }
}
