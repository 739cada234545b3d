//! `/api/courses` and `/api/courses/{id}`.
#![allow(
    unused_qualifications,
    reason = "written by utoipa's attribute for several sets of parameters"
)]

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use riwaq_identity::Actor;
use riwaq_kit::{
    ApiJson, ApiList, ApiPath, ApiResult, IdempotencyKey, IfMatch, IfNoneMatch, PageParams, Problem,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::{Answer, not_modified};
use super::cursor::Cursors;
use super::dto::{Course, CoursePatch, CourseReplacement, CourseSummary, List, NewCourse};
use super::input::once;
use super::{Shared, viewer};
use crate::domain::CourseEdit;
use crate::lists::Scope;

/// Which courses are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// `mine`: taught by me or with me enrolled. `catalogue`: open to everybody. Otherwise all that I may see.
    #[param(inline)]
    scope: Option<ListScope>,
}

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListScope {
    Mine,
    Catalogue,
}

/// Courses, newest first.
#[utoipa::path(
    get, path = "/api/courses", tag = "courses", operation_id = "list_courses",
    params(Filter, PageParams),
    responses((status = 200, description = "A page", body = List<CourseSummary>), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn list(
    State(app): Shared,
    actor: Actor,
    ApiList { page, filter }: ApiList<Filter>,
) -> ApiResult<Answer> {
    let (scope, query) = match filter.scope {
        None => (Scope::Visible, ""),
        Some(ListScope::Mine) => (Scope::Mine, "mine"),
        Some(ListScope::Catalogue) => (Scope::Catalogue, "catalogue"),
    };
    let cursors = Cursors::new(&app.cursors, "courses", query, actor.id());
    let after = cursors.open::<Uuid>(page.cursor.as_deref())?;
    let found = app
        .lists
        .page(&viewer(&actor), scope, after, page.limit)
        .await?;
    let next = cursors.seal(found.next.as_ref())?;
    Ok(Answer::text(
        StatusCode::OK,
        page_of(&found.summaries, next.as_deref()),
    ))
}

/// [`List`], from items that are JSON already. A cursor has only characters that stand for themselves.
fn page_of(items: &[String], next_cursor: Option<&str>) -> String {
    let length = items.iter().map(|item| item.len() + 1).sum::<usize>();
    let mut page = String::with_capacity(length + 64 + next_cursor.map_or(0, str::len));
    page.push_str("{\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            page.push(',');
        }
        page.push_str(item);
    }
    page.push_str("],\"next_cursor\":");
    match next_cursor {
        Some(cursor) => {
            page.push('"');
            page.push_str(cursor);
            page.push('"');
        }
        None => page.push_str("null"),
    }
    page.push('}');
    page
}

/// Makes a course, as a draft.
#[utoipa::path(
    post, path = "/api/courses", tag = "courses", operation_id = "create_course",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeating the request with it has no further effect, for a day")),
    request_body = NewCourse,
    responses(
        (status = 201, description = "Made", body = Course, headers(("Location" = String), ("ETag" = String))),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn create(
    State(app): Shared,
    actor: Actor,
    key: Option<IdempotencyKey>,
    ApiJson(body): ApiJson<NewCourse>,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let fields = body.fields();
            CourseEdit::replacing(fields.clone(), None).check(&app.config)?;
            let request = ("/api/courses", &body);
            once(&app, actor.id(), key.as_ref(), request, |id| {
                let (app, actor) = (Arc::clone(&app), actor.clone());
                async move {
                    let made = app.create_course(&actor, id, fields).await?;
                    let answer = Answer::json(StatusCode::CREATED, &Course::new(&made))?;
                    Ok(answer
                        .version(made.version)
                        .location(format!("/api/courses/{id}")))
                }
            })
            .await
        })
        .await
}

/// One course, with its sections.
#[utoipa::path(
    get, path = "/api/courses/{id}", tag = "courses", operation_id = "read_course",
    params(("id" = Uuid, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The course", body = Course, headers(("ETag" = String))),
        (status = 304, description = "It is as the caller has it"),
        Problem,
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_none_match: IfNoneMatch,
) -> ApiResult<Response> {
    let newest = app.read_course(&viewer(&actor), id).await?;
    if if_none_match.matches(&riwaq_kit::ETag::of_version(newest.version.cast_unsigned())) {
        return Ok(not_modified(newest.version));
    }
    let answer = Answer::json(StatusCode::OK, &Course::new(&newest))?;
    Ok(answer.version(newest.version).into_response())
}

/// Replaces what people have written about a course.
#[utoipa::path(
    put, path = "/api/courses/{id}", tag = "courses", operation_id = "replace_course",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body = CourseReplacement,
    responses((status = 200, description = "Changed", body = Course, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn replace(
    state: Shared,
    actor: Actor,
    id: ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<CourseReplacement>,
) -> ApiResult<Answer> {
    edit(state, actor, id, if_match, body.into_edit()).await
}

/// Changes a course: also publishes and archives it, by its status.
#[utoipa::path(
    patch, path = "/api/courses/{id}", tag = "courses", operation_id = "edit_course",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content((CoursePatch = "application/json"), (CoursePatch = "application/merge-patch+json"))),
    responses((status = 200, description = "Changed", body = Course, headers(("ETag" = String))), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn patch(
    state: Shared,
    actor: Actor,
    id: ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(body): ApiJson<CoursePatch>,
) -> ApiResult<Answer> {
    edit(state, actor, id, if_match, body.into_edit()).await
}

async fn edit(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    edit: CourseEdit,
) -> ApiResult<Answer> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            let newest = app
                .edit_course(&viewer(&actor), id, &if_match, &edit)
                .await?;
            Ok(Answer::json(StatusCode::OK, &Course::new(&newest))?.version(newest.version))
        })
        .await
}

/// Deletes a course. Its history stays.
#[utoipa::path(
    delete, path = "/api/courses/{id}", tag = "courses", operation_id = "delete_course",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Deleted"), Problem),
    security(("bearer" = [])),
)]
pub(crate) async fn delete(
    State(app): Shared,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    let tasks = app.tasks.clone();
    tasks
        .run(async move {
            app.delete_course(&viewer(&actor), id, &if_match).await?;
            Ok(StatusCode::NO_CONTENT)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_written_items_is_the_json_that_serde_would_write() {
        for (items, next) in [
            (vec![], None),
            (vec![1, 2], Some("abc-_".to_owned())),
            (vec![3], None),
        ] {
            let written: Vec<String> = items.iter().map(i32::to_string).collect();
            let page = page_of(&written, next.as_deref());
            let list = List {
                items,
                next_cursor: next,
            };
            assert_eq!(page, serde_json::to_string(&list).unwrap());
        }
    }
}
