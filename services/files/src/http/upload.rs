//! Uploading: new files, and new content of files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use riwaq_aggregates::{Recorded, Version, request_hash};
use riwaq_blobs::BlobKey;
use riwaq_identity::Actor;
use riwaq_kit::{ApiPath, ApiResult, IdempotencyKey, IfMatch, Problem};
use utoipa::ToSchema;
use uuid::Uuid;

use super::etag;
use super::view::FileView;
use crate::app::App;
use crate::domain::file::{File, Upload};
use crate::receive::{Fields, Form, declared, receive};

/// A new file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is received as a stream")]
pub(crate) struct NewFileForm {
    /// The file, with its name and media type.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
    /// What is shown above it.
    #[schema(max_length = 200)]
    title: Option<String>,
    /// The section of the course that it belongs to.
    section_id: Option<Uuid>,
}

/// New content of a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is received as a stream")]
pub(crate) struct NewVersionForm {
    /// The file, with its name and media type.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// Uploads a file to a course (its teachers). Content that is not what its name or its declared type says is quarantined.
#[utoipa::path(
    post, path = "/api/courses/{id}/files", tag = "files",
    params(
        ("id" = Uuid, Path, description = "The course"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same upload with the same key has its effect once"),
    ),
    request_body(content = NewFileForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The file", body = FileView, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "For If-Match"),
        )),
        (status = 403, description = "The caller does not teach the course", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such course, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The same upload is still running", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The file is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is no form", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A value does not fit", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn create_file(
    State(app): State<App>,
    actor: Actor,
    ApiPath(course_id): ApiPath<Uuid>,
    key: Option<IdempotencyKey>,
    request: Request,
) -> ApiResult<Response> {
    app.rights
        .of(&actor, course_id, "course")
        .await?
        .require_write()?;
    let task = app.clone();
    // As a task: a sender that goes away in the middle leaves nothing behind.
    app.tasks
        .run(async move {
            let form = receive(&task, request, Fields::All).await?;
            let blob = form.received.blob.key;
            let created = create(&task, &actor, course_id, key, form).await;
            task.answer(blob, created).await
        })
        .await
}

/// What came of an upload: the answer, and whether its blob is in use.
struct Done {
    recorded: Recorded,
    used: bool,
}

async fn create(
    app: &App,
    actor: &Actor,
    course_id: Uuid,
    key: Option<IdempotencyKey>,
    form: Form,
) -> ApiResult<Done> {
    if let Some(section_id) = form.section_id {
        app.rights.check_section(course_id, section_id).await?;
    }
    let section = form.section_id.map(|id| id.to_string()).unwrap_or_default();
    let title = form.title.clone().unwrap_or_default();
    let hash = request_hash(&[
        b"create file",
        course_id.as_bytes(),
        form.received.name.as_bytes(),
        declared(&form.received).as_bytes(),
        title.as_bytes(),
        section.as_bytes(),
        &form.received.blob.sha256.0,
    ]);
    let Form {
        received,
        title,
        section_id,
    } = form;
    once(
        app,
        actor,
        key,
        hash,
        received.blob.key,
        |upload| async move {
            app.create(course_id, section_id, title, &received, upload)
                .await
        },
    )
    .await
}

/// Uploads new content of a file (teachers of its course). The old content is kept in its history.
#[utoipa::path(
    post, path = "/api/files/{id}/versions", tag = "files",
    params(
        ("id" = Uuid, Path, description = "The file"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still this version"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same upload with the same key has its effect once"),
    ),
    request_body(content = NewVersionForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The file with its new content", body = FileView, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "For If-Match"),
        )),
        (status = 403, description = "The caller does not teach the course", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The same upload is still running", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It was changed in the meantime", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The file is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is no form", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A value does not fit", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn create_version(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    key: Option<IdempotencyKey>,
    if_match: IfMatch,
    request: Request,
) -> ApiResult<Response> {
    let file = app.writable(&actor, id).await?;
    if key.is_none() {
        // Sooner than after all the bytes. With a key, it may be a repetition of what made the new version.
        etag::check(&if_match, file.version)?;
    }
    let task = app.clone();
    app.tasks
        .run(async move {
            let form = receive(&task, request, Fields::FileOnly).await?;
            let blob = form.received.blob.key;
            let replaced = replace(&task, &actor, id, key, if_match, form).await;
            task.answer(blob, replaced).await
        })
        .await
}

async fn replace(
    app: &App,
    actor: &Actor,
    id: Uuid,
    key: Option<IdempotencyKey>,
    if_match: IfMatch,
    form: Form,
) -> ApiResult<Done> {
    let received = form.received;
    let hash = request_hash(&[
        b"replace file",
        id.as_bytes(),
        received.name.as_bytes(),
        declared(&received).as_bytes(),
        &received.blob.sha256.0,
    ]);
    once(
        app,
        actor,
        key,
        hash,
        received.blob.key,
        |upload| async move { app.replace(id, &received, upload, &if_match).await },
    )
    .await
}

/// Has an effect once for an idempotency key, and notes whether it made use of the blob.
async fn once<F, Fut>(
    app: &App,
    actor: &Actor,
    key: Option<IdempotencyKey>,
    hash: [u8; 32],
    blob: BlobKey,
    effect: F,
) -> ApiResult<Done>
where
    F: FnOnce(Upload) -> Fut + Send,
    Fut: Future<Output = ApiResult<Version<File>>> + Send,
{
    let used = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&used);
    let by = actor.id();
    let nothing_done: fn(&Problem) -> bool = |problem| problem.status().is_client_error();
    let recorded = app
        .idempotency
        .run(
            by,
            key.as_ref().map(IdempotencyKey::as_str),
            hash,
            nothing_done,
            |operation| async move {
                let file = effect(Upload {
                    by,
                    at: app.now(),
                    operation,
                })
                .await?;
                noted.store(file.state.needs(blob), Ordering::Relaxed);
                let extraction = app.extraction(&file).await?;
                let tag = etag::of(file.version, &extraction);
                let body = serde_json::to_string(&FileView::of_version(&file, extraction)?)
                    .map_err(Problem::internal)?;
                let headers = vec![
                    (LOCATION.to_string(), format!("/api/files/{}", file.id)),
                    (ETAG.to_string(), tag.to_string()),
                ];
                Ok::<_, Problem>(Recorded {
                    status: StatusCode::CREATED.as_u16(),
                    headers,
                    body,
                })
            },
        )
        .await?;
    Ok(Done {
        recorded,
        used: used.load(Ordering::Relaxed),
    })
}

impl App {
    /// The answer, given now or the first time. A blob that came to no use goes away.
    async fn answer(&self, blob: BlobKey, done: ApiResult<Done>) -> ApiResult<Response> {
        let unused = match &done {
            Ok(done) => !done.used,
            // Otherwise it is not known what was written: the sweep finds out.
            Err(problem) => problem.status().is_client_error(),
        };
        if unused {
            self.let_go(blob).await;
        }
        let recorded = done?.recorded;
        let mut response = Response::new(Body::from(recorded.body));
        *response.status_mut() =
            StatusCode::from_u16(recorded.status).map_err(Problem::internal)?;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in recorded.headers {
            let name = HeaderName::try_from(name).map_err(Problem::internal)?;
            headers.insert(
                name,
                HeaderValue::try_from(value).map_err(Problem::internal)?,
            );
        }
        Ok(response)
    }
}
