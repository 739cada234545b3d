//! `/api/courses/{id}/versions`: the history of a course, for those who teach it.

use axum::extract::State;
use http::StatusCode;
use riwaq_identity::Actor;
use riwaq_kit::{ApiList, ApiPath, ApiResult, PageParams, Problem};
use uuid::Uuid;

use super::answer::Answer;
use super::cursor::Cursors;
use super::dto::{CourseVersion, CourseVersionDetail, List};
use super::{Shared, viewer};

/// Versions of a course, newest first.
#[utoipa::path(
    get, path = "/api/courses/{id}/versions", tag = "courses", operation_id = "list_course_versions",
    params(("id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page", body = List<CourseVersion>), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn list(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    ApiList { page, .. }: ApiList,
) -> ApiResult<Answer> {
    let cursors = Cursors::new(
        &app.cursors,
        format!("courses/{id}/versions"),
        "",
        actor.id(),
    );
    let before = cursors.open::<i64>(page.cursor.as_deref())?;
    let mut versions = app
        .course_history(&viewer(&actor), id, before, page.limit + 1)
        .await?;
    let next = (versions.len() > page.limit).then(|| versions[page.limit - 1].version);
    versions.truncate(page.limit);
    let items = versions.iter().map(CourseVersion::new).collect();
    Answer::json(
        StatusCode::OK,
        &List {
            items,
            next_cursor: cursors.seal(next.as_ref())?,
        },
    )
}

/// One version of a course, with its content. It never changes.
#[utoipa::path(
    get, path = "/api/courses/{id}/versions/{version}", tag = "courses", operation_id = "read_course_version",
    params(("id" = Uuid, Path), ("version" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The version", body = CourseVersionDetail, headers(("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    State(app): Shared,
    actor: Actor,
    ApiPath((id, version)): ApiPath<(Uuid, i64)>,
) -> ApiResult<Answer> {
    let found = app.course_version(&viewer(&actor), id, version).await?;
    Ok(Answer::json(StatusCode::OK, &CourseVersionDetail::new(&found))?.version(found.version))
}
