//! What representations the client takes (RFC 9110, section 12.5.1).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

/// The `Accept` header.
#[derive(Debug, Clone, Default)]
pub struct Accept(Vec<Range>);

#[derive(Debug, Clone)]
struct Range {
    media: String,
    /// Thousandths.
    quality: u16,
}

impl Accept {
    /// Reads the header; without one, or with nothing readable in it, everything is taken.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let values = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        Self(
            values
                .flat_map(|value| value.split(','))
                .filter_map(range)
                .collect(),
        )
    }

    /// The one of `offered` that the client likes best; at equal liking the first. `None`: it takes none.
    #[must_use]
    pub fn best<'a>(&self, offered: &[&'a str]) -> Option<&'a str> {
        if self.0.is_empty() {
            return offered.first().copied();
        }
        let mut best: Option<(&str, u16)> = None;
        for media in offered {
            let quality = self.quality(media);
            if quality > best.map_or(0, |(_, quality)| quality) {
                best = Some((media, quality));
            }
        }
        best.map(|(media, _)| media)
    }

    /// The most specific range that covers a media type decides.
    fn quality(&self, media: &str) -> u16 {
        let main = media.split('/').next().unwrap_or_default();
        let specific = |range: &&Range| range.media == media;
        let by_type = |range: &&Range| range.media.strip_suffix("/*") == Some(main);
        let any = |range: &&Range| range.media == "*/*";
        let find = |wanted: &dyn Fn(&&Range) -> bool| self.0.iter().find(|range| wanted(range));
        find(&specific)
            .or_else(|| find(&by_type))
            .or_else(|| find(&any))
            .map_or(0, |range| range.quality)
    }
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts
        .next()
        .filter(|media| media.contains('/'))?
        .to_ascii_lowercase();
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, value)| value.trim().parse::<f32>().ok())
        .unwrap_or(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1000"
    )]
    let quality = (quality.clamp(0.0, 1.0) * 1000.0).round() as u16;
    Some(Range { media, quality })
}

/// Whether the client prefers a stream of server-sent events over one JSON answer; without an `Accept`
/// header it gets the stream.
#[must_use]
pub fn accepts_event_stream(headers: &HeaderMap) -> bool {
    Accept::from_headers(headers).best(&["text/event-stream", "application/json"])
        == Some("text/event-stream")
}

impl<S: Send + Sync> FromRequestParts<S> for Accept {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn best(accept: &'static str) -> Option<&'static str> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Accept::from_headers(&headers).best(&["text/event-stream", "application/json"])
    }

    #[test]
    fn the_best_liked_representation_is_chosen() {
        assert_eq!(best("application/json"), Some("application/json"));
        assert_eq!(
            best("text/event-stream;q=0.5, application/json"),
            Some("application/json")
        );
        assert_eq!(best("*/*"), Some("text/event-stream"));
        assert_eq!(best("text/*;q=0, */*;q=0.1"), Some("application/json"));
        assert_eq!(best("image/png"), None);
        assert_eq!(best("nonsense"), Some("text/event-stream"));
        assert_eq!(
            best("text/event-stream;q=NaN, application/json;q=0.2"),
            Some("application/json")
        );
    }

    #[test]
    fn without_the_header_everything_is_taken() {
        assert!(accepts_event_stream(&HeaderMap::new()));
    }
}
