//! JSON bodies.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::serde_errors::does_not_fit;
use crate::code::Code;
use crate::problem::Problem;

/// How deeply arrays and objects may be nested in a body.
pub const MAX_DEPTH: usize = 64;

/// A JSON body of type `T` (`application/json`, `application/merge-patch+json` or another `+json`).
///
/// `T` should say `#[serde(deny_unknown_fields)]`. The size is bounded by axum's `DefaultBodyLimit`, which
/// the service sets from its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiJson<T>(pub T);

impl<T, S> FromRequest<S> for ApiJson<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "send the body as application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(body_problem)?;
        parse_json(&bytes).map(Self)
    }
}

/// Answers with JSON.
impl<T: serde::Serialize> axum::response::IntoResponse for ApiJson<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads a JSON text: malformed is 400, what does not fit `T` is 422 and names the field.
///
/// # Errors
/// The problem to answer with.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    check_depth(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    match parsed {
        Ok(value) => {
            deserializer.end().map_err(|error| malformed(&error))?;
            Ok(value)
        }
        Err(error) if may_be_about_the_value(error.inner()) => {
            // A text that is broken further on is malformed before it is anything else.
            if let Err(syntax) = serde_json::from_slice::<IgnoredAny>(bytes) {
                return Err(malformed(&syntax));
            }
            Err(does_not_fit(error.path(), &error.inner().to_string()))
        }
        Err(error) => Err(malformed(error.inner())),
    }
}

/// serde_json calls it bad syntax when a number or null stands where an enum is wanted.
fn may_be_about_the_value(error: &serde_json::Error) -> bool {
    error.classify() == Category::Data || error.to_string().starts_with("expected value")
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::invalid_request(format!(
        "the body is not valid JSON at line {} column {}",
        error.line(),
        error.column()
    ))
}

/// Counts brackets outside of strings: cheap, and before anything recursive looks at the text.
fn check_depth(bytes: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Problem::invalid_request(format!(
                "the body is nested deeper than {MAX_DEPTH} levels"
            )));
        }
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = value.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json"
        || essence
            .strip_prefix("application/")
            .is_some_and(|subtype| subtype.ends_with("+json"));
    // JSON between systems is UTF-8 (RFC 8259, section 8.1).
    json && parts.all(|parameter| match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

/// Why the body could not be read.
pub(crate) fn body_problem(rejection: BytesRejection) -> Problem {
    use axum::response::IntoResponse;
    let text = rejection.body_text();
    match rejection.into_response().status() {
        http::StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Code::TooLarge, "send less, or send it in parts")
        }
        _ => {
            tracing::debug!(cause = text, "the body could not be read");
            Problem::invalid_request("the body ended before it was complete")
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Course {
        title: String,
        #[serde(default)]
        sections: Vec<Section>,
        level: Option<Level>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Level {
        Easy,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Section {
        position: u32,
    }

    fn refused(text: &str) -> (Code, Vec<(String, String)>) {
        let problem = parse_json::<Course>(text.as_bytes()).unwrap_err();
        let errors = problem
            .errors()
            .iter()
            .map(|e| (e.field.clone(), e.message.clone()))
            .collect();
        (problem.code(), errors)
    }

    #[test]
    fn fields_that_do_not_fit_are_named_with_their_path() {
        let field = |text| {
            let (code, errors) = refused(text);
            assert_eq!(code, Code::ValidationFailed, "{text}");
            errors[0].clone()
        };
        assert_eq!(field(r#"{}"#), ("title".into(), "is required".into()));
        assert_eq!(
            field(r#"{"title":"a","x":1}"#),
            ("x".into(), "is not known here".into())
        );
        assert_eq!(
            field(r#"{"title":"a","title":"b"}"#),
            ("title".into(), "is given twice".into())
        );
        assert_eq!(field(r#"{"title":7}"#).0, "title");
        assert_eq!(
            field(r#"{"title":"a","sections":[{"position":1},{"position":-1}]}"#).0,
            "sections[1].position"
        );
        assert_eq!(
            field(r#"{"title":"a","sections":[{}]}"#).0,
            "sections[0].position"
        );
        assert_eq!(
            field(r#"{"title":"a","sections":[{"position":1,"y":2}]}"#).0,
            "sections[0].y"
        );
        assert_eq!(field(r#"{"title":"a","level":3}"#).0, "level");
        assert_eq!(field(r#"{"title":"a","level":"Hard"}"#).0, "level");
        assert_eq!(field("[]").0, ".");
        assert_eq!(field("null").0, ".");
    }

    #[test]
    fn malformed_text_is_400_even_behind_a_value_that_does_not_fit() {
        for text in [
            "",
            "{",
            r#"{"title":7, "x": "#,
            r#"{"title":"a"} x"#,
            r#"{"title":"\ud800"}"#,
            "{\"title\":\"a\u{0}\"}",
            r#"{"title":1e999}"#,
            r#"{"title":"a","level":x}"#,
            r#"{"title":"a","level":}"#,
        ] {
            assert_eq!(refused(text).0, Code::InvalidRequest, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_parsed() {
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&deep).0, Code::InvalidRequest);
        let brackets_in_text = format!(r#"{{"title":"{}\"["}}"#, "[".repeat(1000));
        assert!(parse_json::<Course>(brackets_in_text.as_bytes()).is_ok());
    }

    #[test]
    fn a_long_value_is_not_repeated_in_full() {
        let (_, errors) = refused(&format!(
            r#"{{"title":"a","sections":"{}"}}"#,
            "é".repeat(5000)
        ));
        assert!(errors[0].1.len() < 250);
    }

    async fn extract(content_type: Option<&str>, body: &str) -> Result<Course, Problem> {
        let mut request = Request::builder().method("POST");
        if let Some(value) = content_type {
            request = request.header(header::CONTENT_TYPE, value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        ApiJson::from_request(request, &())
            .await
            .map(|ApiJson(course)| course)
    }

    #[tokio::test]
    async fn only_json_media_types_are_taken() {
        let body = r#"{"title":"a"}"#;
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/merge-patch+json",
        ] {
            assert!(extract(Some(good), body).await.is_ok(), "{good}");
        }
        for bad in [
            None,
            Some("text/plain"),
            Some("application/jsonp"),
            Some("application/json; charset=latin1"),
        ] {
            assert_eq!(
                extract(bad, body).await.unwrap_err().code(),
                Code::UnsupportedMediaType,
                "{bad:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413() {
        let body = format!(r#"{{"title":"{}"}}"#, "a".repeat(3 << 20));
        assert_eq!(
            extract(Some("application/json"), &body)
                .await
                .unwrap_err()
                .code(),
            Code::TooLarge
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_and_never_panic(bytes: Vec<u8>) {
            if let Err(problem) = parse_json::<Course>(&bytes) {
                prop_assert!(problem.status().is_client_error());
            }
        }
    }
}
