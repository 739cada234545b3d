//! Listing, reading, changing and deleting files.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use riwaq_aggregates::CursorScope;
use riwaq_identity::Actor;
use riwaq_kit::{
    ApiJson, ApiList, ApiPath, ApiResult, FieldErrors, IfMatch, IfNoneMatch, NoFilter, PageParams,
    Problem,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::etag;
use super::view::{FilePage, FileView};
use crate::app::App;
use crate::domain::file::{Edit, File};
use crate::domain::name;
use crate::receive::{MAX_TITLE_CHARS, check_title};
use crate::records::FileByCourse;

/// The files of a course, in the order in which they were uploaded.
#[utoipa::path(
    get, path = "/api/courses/{id}/files", tag = "files",
    params(("id" = Uuid, Path, description = "The course"), PageParams),
    responses(
        (status = 200, description = "A page of files", body = FilePage),
        (status = 404, description = "No such course, or not for the caller", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn list_files(
    State(app): State<App>,
    actor: Actor,
    ApiPath(course_id): ApiPath<Uuid>,
    list: ApiList<NoFilter>,
) -> ApiResult<ApiJson<FilePage>> {
    app.rights.of(&actor, course_id, "course").await?;
    let (list_name, user) = (format!("courses/{course_id}/files"), actor.id().to_string());
    let scope = CursorScope {
        list: &list_name,
        query: "",
        user: &user,
    };
    let mut scan = app
        .store
        .scan::<FileByCourse>((course_id,))
        .limit(list.page.limit + 1);
    if let Some(cursor) = &list.page.cursor {
        scan = scan.after(app.cursors.open::<(DateTime<Utc>, Uuid)>(scope, cursor)?);
    }
    let mut rows = scan.page().await?.rows;
    let more = rows.len() > list.page.limit;
    rows.truncate(list.page.limit);
    let last = rows
        .last()
        .filter(|_| more)
        .map(|row| (row.created_at, row.file_id));
    let next_cursor = last
        .map(|position| app.cursors.seal(scope, &position))
        .transpose()?;
    let extractions = app.extractions.of_page(&rows).await?;
    let items = rows
        .into_iter()
        .zip(extractions)
        .map(|(row, extraction)| FileView::of_row(row, extraction));
    Ok(ApiJson(FilePage {
        items: items.collect(),
        next_cursor,
    }))
}

/// One file.
#[utoipa::path(
    get, path = "/api/files/{id}", tag = "files",
    params(
        ("id" = Uuid, Path, description = "The file"),
        ("If-None-Match" = Option<String>, Header, description = "Answer only when it is not one of these"),
    ),
    responses(
        (status = 200, description = "The file", body = FileView, headers(("ETag" = String, description = "For If-Match"))),
        (status = 304, description = "It is the one that the caller has"),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn get_file(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_none_match: IfNoneMatch,
) -> ApiResult<Response> {
    let (file, _) = app.readable(&actor, id).await?;
    let extraction = app.extraction(&file).await?;
    let tag = etag::of(file.version, &extraction);
    if if_none_match.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, ()).into_response());
    }
    Ok((tag, ApiJson(FileView::of_version(&file, extraction)?)).into_response())
}

/// What may be changed of a file; what is not given stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchFile {
    /// The name under which it is saved.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 255)]
    name: Option<Option<String>>,
    /// What is shown above it; null or an empty text takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    title: Option<Option<String>>,
    /// The section of the course that it belongs to; null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Uuid>)]
    section_id: Option<Option<Uuid>>,
}

/// Tells a field that is null from one that is not there (RFC 7396).
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl PatchFile {
    fn check(self) -> ApiResult<Edit> {
        let mut errors = FieldErrors::new();
        let name = self
            .name
            .and_then(|name| match name.as_deref().map(name::clean) {
                Some(Ok(name)) => Some(name),
                Some(Err(message)) => {
                    errors.add("name", message);
                    None
                }
                None => {
                    errors.add("name", "must not be null");
                    None
                }
            });
        let title = self
            .title
            .map(|title| title.and_then(|text| check_title(&text, &mut errors)));
        errors.finish()?;
        debug_assert!(
            title
                .iter()
                .flatten()
                .all(|title| title.chars().count() <= MAX_TITLE_CHARS)
        );
        Ok(Edit {
            name,
            title,
            section_id: self.section_id,
        })
    }
}

/// Changes name, title or section of a file (teachers of the course).
#[utoipa::path(
    patch, path = "/api/files/{id}", tag = "files",
    params(
        ("id" = Uuid, Path, description = "The file"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still this version"),
    ),
    request_body(
        content(
            (PatchFile = "application/json"),
            (PatchFile = "application/merge-patch+json"),
        )
    ),
    responses(
        (status = 200, description = "The file as it is now", body = FileView, headers(("ETag" = String, description = "For If-Match"))),
        (status = 403, description = "The caller does not teach the course", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed in the meantime", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A value does not fit", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn patch_file(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(patch): ApiJson<PatchFile>,
) -> ApiResult<Response> {
    let file = app.writable(&actor, id).await?;
    etag::check(&if_match, file.version)?;
    let edit = patch.check()?;
    if let Some(Some(section_id)) = edit.section_id {
        app.rights
            .check_section(file.state.course_id, section_id)
            .await?;
    }
    let (task, by) = (app.clone(), actor.id());
    let edited = app
        .tasks
        .run(async move { task.edit(id, by, &edit, &if_match).await })
        .await?;
    shown(&app, &edited).await
}

/// The file after a change.
async fn shown(app: &App, file: &riwaq_aggregates::Version<File>) -> ApiResult<Response> {
    let extraction = app.extraction(file).await?;
    let tag = etag::of(file.version, &extraction);
    Ok((tag, ApiJson(FileView::of_version(file, extraction)?)).into_response())
}

/// Deletes a file (teachers of the course).
#[utoipa::path(
    delete, path = "/api/files/{id}", tag = "files",
    params(
        ("id" = Uuid, Path, description = "The file"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still this version"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 403, description = "The caller does not teach the course", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed in the meantime", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn delete_file(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    app.writable(&actor, id).await?;
    let (task, by) = (app.clone(), actor.id());
    app.tasks
        .run(async move { task.delete(id, by, &if_match).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
