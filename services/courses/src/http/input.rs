//! What handlers have in common about requests.

use riwaq_aggregates::{Recorded, request_hash};
use riwaq_kit::{IdempotencyKey, Problem};
use serde::Serialize;
use uuid::Uuid;

use super::answer::Answer;
use crate::app::App;

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
        .run(user, key, hash, Problem::is_refusal, made)
        .await
        .map(Answer::from)
}
