//! What handlers have in common about requests.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header;
use riwaq_kit::{ApiJson, Code, FieldErrors, Problem};
use serde::de::DeserializeOwned;

use crate::Config;

/// A JSON body, or none at all for the default.
#[derive(Debug)]
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<T, S> FromRequest<S> for MaybeJson<T>
where
    T: DeserializeOwned + Default,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            return ApiJson::from_request(request, state)
                .await
                .map(|ApiJson(body)| Self(body));
        }
        let body = Bytes::from_request(request, state).await;
        if body.is_ok_and(|body| body.is_empty()) {
            return Ok(Self(T::default()));
        }
        Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the body as application/json",
        ))
    }
}

/// Checks a question.
pub(crate) fn check_question(field: &str, text: &str, config: &Config) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    errors.text(field, text, 1, config.question_max_chars);
    errors.finish()
}

/// Checks a title.
pub(crate) fn check_title(title: &str, config: &Config) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    errors.line("title", title, 1, config.title_max_chars);
    errors.finish()
}

/// A problem of the request itself: nothing was done.
pub(crate) fn is_refusal(problem: &Problem) -> bool {
    problem.status().is_client_error() && problem.code() != Code::RequestTimeout
}
