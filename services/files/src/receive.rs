//! Receiving an upload: a `multipart/form-data` body (RFC 7578) whose file goes straight into the blob store.

mod body;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use riwaq_blobs::{BlobsError, Expected, NewUpload, Upload};
use riwaq_kit::{ApiResult, Code, FieldErrors, Problem};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::app::App;
use crate::domain::file::Received;
use crate::domain::sniffed::HEAD_BYTES;
use crate::domain::{media, name};
use crate::inspect::inspect;
use body::{Body, Fault};

/// The longest title, in characters.
pub(crate) const MAX_TITLE_CHARS: usize = 200;
/// The longest field besides the file, in bytes.
const MAX_FIELD_BYTES: usize = 2_048;
/// The longest media type that is taken down, in bytes.
const MAX_TYPE_BYTES: usize = 200;
/// What a body may have besides the file, in bytes.
pub(crate) const FORM_BYTES: u64 = 64 * 1024;

/// A whole upload.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) received: Received,
    pub(crate) title: Option<String>,
    pub(crate) section_id: Option<Uuid>,
}

/// Which fields an upload may have besides `file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    /// None: new content of a file.
    FileOnly,
    /// `title` and `section_id`: a new file.
    All,
}

/// Receives an upload. Whatever is wrong with it, nothing of it stays.
pub(crate) async fn receive(app: &App, request: Request, fields: Fields) -> ApiResult<Form> {
    check_head(app, &request)?;
    let (parts, body) = request.into_parts();
    let limit = app.config.max_file_bytes.saturating_add(FORM_BYTES);
    let (body, fault) = Body::new(
        body,
        limit,
        app.config.upload_idle_seconds,
        app.clock.clone(),
    );
    let request = Request::from_parts(parts, body.into_body());
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart =
        multipart.map_err(|_| Problem::invalid_request("the body's boundary is missing"))?;
    let mut partial = Partial {
        fields,
        ..Partial::default()
    };
    let read = partial.read(app, &mut multipart, &fault).await;
    match read.and_then(|()| partial.check()) {
        Ok(checked) => partial.complete(app, checked).await,
        Err(problem) => {
            partial.abandon(app).await;
            Err(problem)
        }
    }
}

fn check_head(app: &App, request: &Request) -> ApiResult<()> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let essence = text(CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence != "multipart/form-data" {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the file as multipart/form-data",
        ));
    }
    let announced: Option<u64> = text(CONTENT_LENGTH).parse().ok();
    if announced.is_some_and(|bytes| bytes > app.config.max_file_bytes.saturating_add(FORM_BYTES)) {
        return Err(too_large(app));
    }
    Ok(())
}

fn too_large(app: &App) -> Problem {
    Problem::new(
        Code::TooLarge,
        format!(
            "a file may have at most {} bytes",
            app.config.max_file_bytes
        ),
    )
}

/// The file on its way: staged, not yet a blob.
#[derive(Debug)]
struct Staged {
    upload: Upload,
    name: String,
    declared: Option<String>,
    head: Vec<u8>,
}

/// What has come so far.
#[derive(Debug)]
struct Partial {
    fields: Fields,
    staged: Option<Staged>,
    title: Option<String>,
    section_id: Option<String>,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            fields: Fields::All,
            staged: None,
            title: None,
            section_id: None,
        }
    }
}

/// Values that fit.
#[derive(Debug)]
struct Checked {
    name: String,
    title: Option<String>,
    section_id: Option<Uuid>,
}

impl Partial {
    async fn read(&mut self, app: &App, multipart: &mut Multipart, fault: &Fault) -> ApiResult<()> {
        loop {
            let next = multipart.next_field().await;
            fault.progress();
            let Some(field) = next.map_err(|error| broken(app, fault, &error))? else {
                return Ok(());
            };
            let name = field.name().unwrap_or_default().to_owned();
            match (name.as_str(), self.fields) {
                ("file", _) if self.staged.is_some() => {
                    return Err(Problem::field("file", "is given twice"));
                }
                ("file", _) => self.stage(app, field, fault).await?,
                ("title", Fields::All) => set(app, &mut self.title, "title", field, fault).await?,
                ("section_id", Fields::All) => {
                    set(app, &mut self.section_id, "section_id", field, fault).await?
                }
                _ => return Err(Problem::field(shown(&name), "is not a field of this form")),
            }
        }
    }

    /// Takes the file in as it comes; nothing is held but the few kilobytes of its start.
    async fn stage(&mut self, app: &App, field: Field<'_>, fault: &Fault) -> ApiResult<()> {
        let name = field.file_name().map(str::to_owned);
        let name = name.ok_or_else(|| Problem::field("file", "must have a file name"))?;
        // Before the bytes: a name that is refused should not cost an upload.
        name::clean(&name).map_err(|message| Problem::field("file", message))?;
        let declared = field
            .content_type()
            .map(|text| text.chars().take(MAX_TYPE_BYTES).collect());
        let new = NewUpload {
            max_bytes: app.config.max_file_bytes,
            expires_after: std::time::Duration::from_secs(app.config.upload_expires_seconds),
        };
        let upload = app.blobs.begin(new).await?;
        let (id, fence) = (upload.id, upload.fence);
        let staged = self.staged.insert(Staged {
            upload,
            name,
            declared,
            head: Vec::new(),
        });
        let head = &mut staged.head;
        let content = field.map(|piece| {
            fault.progress();
            let piece = piece.map_err(|error| BlobsError::Body(Box::new(error)))?;
            let wanted = HEAD_BYTES.saturating_sub(head.len()).min(piece.len());
            head.extend_from_slice(&piece[..wanted]);
            Ok::<Bytes, BlobsError>(piece)
        });
        let end = app.blobs.append(&id, fence, 0, content.boxed()).await;
        let end = end.map_err(|error| not_stored(app, fault, error))?;
        metrics::counter!("riwaq_files_uploaded_bytes_total").increment(end);
        Ok(())
    }

    fn check(&self) -> ApiResult<Checked> {
        let mut errors = FieldErrors::new();
        let name = match &self.staged {
            Some(staged) => name::clean(&staged.name)
                .map_err(|message| errors.add("file", message))
                .ok(),
            None => {
                errors.add("file", "is missing");
                None
            }
        };
        let title = self
            .title
            .as_deref()
            .and_then(|text| check_title(text, &mut errors));
        let section_id = self
            .section_id
            .as_deref()
            .filter(|text| !text.is_empty())
            .and_then(|text| {
                text.parse()
                    .map_err(|_| errors.add("section_id", "must be a UUID"))
                    .ok()
            });
        errors.finish()?;
        let name = name.ok_or_else(|| Problem::field("file", "is missing"))?;
        Ok(Checked {
            name,
            title,
            section_id,
        })
    }

    async fn complete(&mut self, app: &App, checked: Checked) -> ApiResult<Form> {
        let staged = self
            .staged
            .take()
            .ok_or_else(|| Problem::field("file", "is missing"))?;
        let blob = app
            .blobs
            .complete(&staged.upload.id, staged.upload.fence, Expected::default())
            .await?;
        let sniffed = match inspect(&app.blobs, &blob, &staged.head).await {
            Ok(sniffed) => sniffed,
            Err(error) => {
                app.let_go(blob.key).await;
                return Err(error.into());
            }
        };
        let received = Received {
            name: checked.name,
            declared: staged.declared,
            blob,
            sniffed,
        };
        Ok(Form {
            received,
            title: checked.title,
            section_id: checked.section_id,
        })
    }

    async fn abandon(&mut self, app: &App) {
        let Some(staged) = self.staged.take() else {
            return;
        };
        if let Err(error) = app.blobs.abort(&staged.upload.id).await {
            tracing::warn!(%error, "an upload that was given up is left to expire");
        }
    }
}

/// Reads a short field of text.
async fn set(
    app: &App,
    value: &mut Option<String>,
    name: &'static str,
    mut field: Field<'_>,
    fault: &Fault,
) -> ApiResult<()> {
    if value.is_some() {
        return Err(Problem::field(name, "is given twice"));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = field
        .try_next()
        .await
        .map_err(|error| broken(app, fault, &error))?
    {
        fault.progress();
        if bytes.len() + piece.len() > MAX_FIELD_BYTES {
            return Err(Problem::field(
                name,
                format!("must have at most {MAX_FIELD_BYTES} bytes"),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::field(name, "must be UTF-8"))?;
    *value = Some(text);
    Ok(())
}

/// A title that fits; an empty one is none.
pub(crate) fn check_title(text: &str, errors: &mut FieldErrors) -> Option<String> {
    let title: String = text.trim().nfc().collect();
    if title.is_empty() {
        return None;
    }
    errors.line("title", &title, 1, MAX_TITLE_CHARS);
    Some(title)
}

/// A field's name as it may be shown back.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Why the body could not be read.
fn broken(app: &App, fault: &Fault, error: &MultipartError) -> Problem {
    match fault.problem() {
        Some(problem) => problem,
        None if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE => too_large(app),
        // Whatever the parser finds is wrong with what was sent.
        None => Problem::invalid_request(format!(
            "the multipart body cannot be read: {}",
            error.body_text()
        )),
    }
}

fn not_stored(app: &App, fault: &Fault, error: BlobsError) -> Problem {
    match error {
        BlobsError::Body(source) => match source.downcast_ref::<MultipartError>() {
            Some(error) => broken(app, fault, error),
            None => Problem::invalid_request("the body ended before it was complete"),
        },
        BlobsError::TooLarge { .. } => too_large(app),
        error => error.into(),
    }
}

/// The essence of a declared type, for hashing what makes a request the same one.
pub(crate) fn declared(received: &Received) -> &str {
    received.declared.as_deref().unwrap_or(media::ANYTHING)
}
