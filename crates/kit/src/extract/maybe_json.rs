//! A body that may be left out.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header;
use serde::de::DeserializeOwned;

use super::ApiJson;
use crate::code::Code;
use crate::problem::Problem;

/// A JSON body as [`ApiJson`] takes it, or none at all for the default.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

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
