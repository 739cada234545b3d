//! `/api/courses/{id}/sections`. The ETag of a section is its course's: they have one history.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use riwaq_aggregates::Version;
use riwaq_identity::Actor;
use riwaq_kit::{ApiJson, ApiPath, ApiResult, IdempotencyKey, IfMatch, Problem};
use uuid::Uuid;

use super::answer::Answer;
use super::dto::{Course, NewSection, Section, SectionOrder, SectionPatch};
use super::input::once;
use super::{Shared, viewer};
use crate::app::no_section;
use crate::domain;

/// Adds a section to a course.
#[utoipa::path(
    post, path = "/api/courses/{id}/sections", tag = "courses", operation_id = "create_section",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it has no further effect, for a day")),
    request_body = NewSection,
    responses(
        (status = 201, description = "Made", body = Section, headers(("Location" = String), ("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn create(
    State(app): Shared,
    actor: Actor,
    ApiPath(course_id): ApiPath<Uuid>,
    key: Option<IdempotencyKey>,
    ApiJson(body): ApiJson<NewSection>,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let path = format!("/api/courses/{course_id}/sections");
            once(&app, actor.id(), key.as_ref(), (&path, &body), |id| {
                let app = Arc::clone(&app);
                let new = domain::NewSection {
                    id,
                    title: body.title.clone(),
                    body: body.body.clone(),
                    position: body.position.map(|position| position as usize),
                    at: app.now(),
                };
                let viewer = viewer(&actor);
                let location = format!("{path}/{id}");
                async move {
                    let newest = app.add_section(&viewer, course_id, new).await?;
                    Ok(section_answer(StatusCode::CREATED, &newest, id)?.location(location))
                }
            })
            .await
        })
        .await
}

fn section_answer(
    status: StatusCode,
    course: &Version<domain::Course>,
    id: Uuid,
) -> Result<Answer, Problem> {
    let (position, section) = course.state.section(id).ok_or_else(no_section)?;
    Ok(Answer::json(status, &Section::new(position, section))?.version(course.version))
}

/// One section.
#[utoipa::path(
    get, path = "/api/courses/{id}/sections/{section_id}", tag = "courses", operation_id = "read_section",
    params(("id" = Uuid, Path), ("section_id" = Uuid, Path)),
    responses((status = 200, description = "The section", body = Section, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    State(app): Shared,
    actor: Actor,
    ApiPath((id, section_id)): ApiPath<(Uuid, Uuid)>,
) -> ApiResult<Answer> {
    let newest = app.read_course(&viewer(&actor), id).await?;
    section_answer(StatusCode::OK, &newest, section_id)
}

/// Changes a section, or moves it.
#[utoipa::path(
    patch, path = "/api/courses/{id}/sections/{section_id}", tag = "courses", operation_id = "edit_section",
    params(("id" = Uuid, Path), ("section_id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content((SectionPatch = "application/json"), (SectionPatch = "application/merge-patch+json"))),
    responses((status = 200, description = "Changed", body = Section, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn patch(
    State(app): Shared,
    actor: Actor,
    ApiPath((id, section_id)): ApiPath<(Uuid, Uuid)>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<SectionPatch>,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let edit = body.into_edit();
            let newest = app
                .edit_section(&viewer(&actor), (id, section_id), &if_match, &edit)
                .await?;
            section_answer(StatusCode::OK, &newest, section_id)
        })
        .await
}

/// Deletes a section. Earlier versions of the course keep it.
#[utoipa::path(
    delete, path = "/api/courses/{id}/sections/{section_id}", tag = "courses", operation_id = "delete_section",
    params(("id" = Uuid, Path), ("section_id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Deleted"), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn delete(
    State(app): Shared,
    actor: Actor,
    ApiPath(ids): ApiPath<(Uuid, Uuid)>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            app.delete_section(&viewer(&actor), ids, &if_match).await?;
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

/// Puts all sections of a course in an order.
#[utoipa::path(
    put, path = "/api/courses/{id}/sections/order", tag = "courses", operation_id = "order_sections",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body = SectionOrder,
    responses((status = 200, description = "The course", body = Course, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn order(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<SectionOrder>,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let newest = app
                .order_sections(&viewer(&actor), id, &if_match, &body.ids)
                .await?;
            Ok(Answer::json(StatusCode::OK, &Course::new(&newest))?.version(newest.version))
        })
        .await
}
