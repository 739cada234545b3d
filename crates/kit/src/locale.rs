//! The languages of everything that people read, and which one somebody reads.

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a browser keeps the language that was chosen: one cookie for the pages of every service, since they are one
/// site to whoever reads them.
const COOKIE: &str = "riwaq_lang";
/// The most ranges of an `Accept-Language` that are looked at.
const MOST_RANGES: usize = 50;

/// The language that somebody reads.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// French.
    #[default]
    Fr,
    /// Arabic, written from right to left.
    Ar,
    /// English.
    En,
}

impl Locale {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fr, Self::Ar, Self::En];

    /// As a language tag (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::Ar => "ar",
            Self::En => "en",
        }
    }

    /// Its own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fr => "Français",
            Self::Ar => "العربية",
            Self::En => "English",
        }
    }

    /// `ltr` or `rtl`.
    #[must_use]
    pub const fn direction(self) -> &'static str {
        match self {
            Self::Ar => "rtl",
            Self::Fr | Self::En => "ltr",
        }
    }

    /// The language of a tag such as `fr` or `ar-MA`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|locale| primary.eq_ignore_ascii_case(locale.tag()))
    }

    /// The language to answer a browser in: the first of ours among wishes in order (`lang`, `ui_locales`; each
    /// perhaps of several tags), what was chosen before ([`Locale::remember`]), `Accept-Language`, `otherwise`.
    pub fn negotiate<'a>(
        wishes: impl IntoIterator<Item = Option<&'a str>>,
        headers: &HeaderMap,
        otherwise: Self,
    ) -> Self {
        let wished = wishes
            .into_iter()
            .flatten()
            .flat_map(str::split_ascii_whitespace)
            .find_map(Self::from_tag);
        wished
            .or_else(|| remembered(headers))
            .or_else(|| accepted(headers))
            .unwrap_or(otherwise)
    }

    /// The `Set-Cookie` by which a browser goes on in this language.
    #[must_use]
    pub fn remember(self) -> HeaderValue {
        // For a year.
        HeaderValue::from_static(match self {
            Self::Fr => "riwaq_lang=fr; Path=/; SameSite=Lax; Max-Age=31536000",
            Self::Ar => "riwaq_lang=ar; Path=/; SameSite=Lax; Max-Age=31536000",
            Self::En => "riwaq_lang=en; Path=/; SameSite=Lax; Max-Age=31536000",
        })
    }
}

fn remembered(headers: &HeaderMap) -> Option<Locale> {
    texts(headers, &header::COOKIE)
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .and_then(|(_, tag)| Locale::from_tag(tag))
}

/// RFC 9110, 12.5.4.
fn accepted(headers: &HeaderMap) -> Option<Locale> {
    let mut best: Option<(f32, Locale)> = None;
    let ranges = texts(headers, &header::ACCEPT_LANGUAGE).flat_map(|line| line.split(','));
    for range in ranges.take(MOST_RANGES) {
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

fn texts<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let all = headers.get_all(name).into_iter();
    all.filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: Option<&'static str>, accept: Option<&'static str>) -> HeaderMap {
        let of = |(name, value): (_, Option<_>)| Some((name, HeaderValue::from_static(value?)));
        [(header::COOKIE, cookie), (header::ACCEPT_LANGUAGE, accept)]
            .into_iter()
            .filter_map(of)
            .collect()
    }

    #[test]
    fn wishes_come_before_what_was_chosen_and_that_before_what_the_browser_accepts() {
        let choose = |wishes: [Option<&'static str>; 2], cookie, accept| {
            Locale::negotiate(wishes, &headers(cookie, accept), Locale::Fr)
        };
        let chosen = Some("a=b; riwaq_lang=ar");
        assert_eq!(choose([None, Some("en")], chosen, None), Locale::En);
        assert_eq!(
            choose([Some("de en-GB"), Some("ar")], None, None),
            Locale::En
        );
        assert_eq!(choose([None, Some("de")], chosen, Some("en")), Locale::Ar);
        let unknown = Some("riwaq_lang=de");
        assert_eq!(choose([None, None], unknown, Some("en")), Locale::En);
        assert_eq!(choose([None, None], None, None), Locale::Fr);
    }

    #[test]
    fn of_what_a_browser_accepts_the_best_of_ours_counts() {
        for (accept, expected) in [
            ("ar-MA,fr;q=0.8", Locale::Ar),
            ("de, en;q=0.5, fr;q=0.4", Locale::En),
            ("de, en;q=0.5, ar-MA;q=0.8", Locale::Ar),
            ("de;q=1, en;q=0", Locale::Fr),
            ("en;q=NaN, ar;q=0.1", Locale::Ar),
            (";;;,,q=", Locale::Fr),
            ("de", Locale::Fr),
            ("", Locale::Fr),
        ] {
            let headers = headers(None, Some(accept));
            let found = Locale::negotiate([Some("\0'")], &headers, Locale::Fr);
            assert_eq!(found, expected, "{accept}");
        }
    }

    #[test]
    fn what_is_remembered_is_found_again() {
        for locale in Locale::ALL {
            let cookie = locale.remember();
            let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(pair).unwrap());
            assert_eq!(Locale::negotiate([None], &headers, Locale::Fr), locale);
        }
    }
}
