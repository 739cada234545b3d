//! What handlers have in common about requests.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header;
use riwaq_aggregates::{Recorded, request_hash};
use riwaq_kit::{ApiJson, Code, IdempotencyKey, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::answer::Answer;
use crate::app::App;

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

/// Makes something once for each idempotency key; `make` gets the new thing's id.
pub(crate) async fn once<B, F, Fut>(
    app: &App,
    user: Uuid,
    key: Option<&IdempotencyKey>,
    (path, body): (&str, &B),
    make: F,
) -> Result<Answer, Problem>
where
    B: Serialize,
    F: FnOnce(Uuid) -> Fut,
    Fut: Future<Output = Result<Answer, Problem>>,
{
    // What was understood of the body, so that its spaces and the order of its fields do not matter.
    let body = serde_json::to_vec(body).map_err(Problem::internal)?;
    let hash = request_hash(&[b"POST", path.as_bytes(), &body]);
    let key = key.map(IdempotencyKey::as_str);
    let made =
        async |id| -> Result<Recorded, Problem> { make(id).await.map(Answer::into_recorded) };
    app.idempotency
        .run(user, key, hash, is_refusal, made)
        .await
        .map(Answer::from)
}

/// A problem of the request itself: nothing was done.
fn is_refusal(problem: &Problem) -> bool {
    problem.status().is_client_error() && problem.code() != Code::RequestTimeout
}
