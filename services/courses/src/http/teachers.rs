//! `/api/courses/{id}/teachers/{user_id}`.

use axum::extract::State;
use http::StatusCode;
use riwaq_identity::Actor;
use riwaq_kit::{ApiPath, ApiResult, IfMatch, Problem};
use uuid::Uuid;

use super::answer::Answer;
use super::dto::Course;
use super::{Shared, viewer};

/// Lets somebody teach the course, too.
#[utoipa::path(
    put, path = "/api/courses/{id}/teachers/{user_id}", tag = "courses", operation_id = "add_teacher",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The person teaches the course", body = Course, headers(("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn add(
    State(app): Shared,
    actor: Actor,
    ApiPath((id, user_id)): ApiPath<(Uuid, Uuid)>,
    if_match: IfMatch,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let newest = app
                .add_teacher(&viewer(&actor), id, user_id, &if_match)
                .await?;
            Ok(Answer::json(StatusCode::OK, &Course::new(&newest))?.version(newest.version))
        })
        .await
}

/// Ends somebody's teaching. The owner stays (409).
#[utoipa::path(
    delete, path = "/api/courses/{id}/teachers/{user_id}", tag = "courses", operation_id = "remove_teacher",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "The person no longer teaches the course"), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn remove(
    State(app): Shared,
    actor: Actor,
    ApiPath((id, user_id)): ApiPath<(Uuid, Uuid)>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            app.remove_teacher(&viewer(&actor), id, user_id, &if_match)
                .await?;
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}
