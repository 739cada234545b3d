//! Using signed links: the bytes, whole or in part (RFC 9110).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use riwaq_blobs::{
    BlobsError, ByteRange, ByteStream, Content, ContentBody, FileStream, Link, LinkMethod,
    READ_BYTES,
};
use riwaq_kit::service::FileContent;
use riwaq_kit::{ApiPath, ApiResult, Code, IfMatch, IfNoneMatch, Problem};

use super::conditions::{Conditions, Known, Plan};
use super::links::subject;
use crate::access_journal::Event;
use crate::app::App;
use crate::domain::disposition;
use crate::domain::file::File;

/// Nothing that is served here may run, load or frame anything.
const CSP: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The content that a link leads to.
#[utoipa::path(
    get, path = "/api/files/links/{token}", tag = "files",
    params(
        ("token" = String, Path, description = "As the link has it"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header, description = "The range only if the content is still this one"),
        ("If-Match" = Option<String>, Header, description = "Only if it is one of these"),
        ("If-None-Match" = Option<String>, Header, description = "Only if it is not one of these"),
    ),
    responses(
        (status = 200, description = "All of it", body = [u8], content_type = "*/*"),
        (status = 206, description = "The range", body = [u8], content_type = "*/*"),
        (status = 304, description = "It is the one that the caller has"),
        (status = 403, description = "The link has expired or was altered", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The file was deleted", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "It is not the one that was asked for", body = Problem, content_type = "application/problem+json"),
        (status = 416, description = "The range lies outside of the content", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(())
)]
pub(super) async fn read_content(
    State(app): State<App>,
    ApiPath(token): ApiPath<String>,
    method: Method,
    headers: HeaderMap,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
) -> ApiResult<Response> {
    let link = app.links.verify(&token, LinkMethod::Get, app.clock.now())?;
    let about = subject(&link).ok_or_else(|| Problem::forbidden("the link was not issued here"))?;
    // A file that was deleted since is gone at once.
    let file = app.existing(about.file_id).await?;
    let known = known(&app, &file.state, &link).await?;
    let conditions = Conditions {
        method: &method,
        headers: &headers,
        if_match,
        if_none_match,
    };
    let plan = conditions.plan(&known);
    let used = Event::Used {
        method: method.to_string(),
        range: headers
            .get(RANGE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        status: plan.status().as_u16(),
    };
    // The store is asked while the journal is written, and its answer waits here: before the first byte goes out, what was
    // handed out is in the journal.
    let (recorded, opened) = futures::join!(
        app.accesses.record(about, used),
        open(&app, &link, &known, &plan, method == Method::HEAD)
    );
    let entry = recorded?;
    match opened {
        Ok(content) => respond(&link, &known, &plan, content),
        Err(problem) => {
            app.accesses.correct(entry, problem.status().as_u16()).await;
            Err(problem)
        }
    }
}

/// What the link leads to, without its bytes.
#[utoipa::path(
    head, path = "/api/files/links/{token}", tag = "files",
    params(("token" = String, Path, description = "As the link has it")),
    responses(
        (status = 200, description = "Its size, type and tag"),
        (status = 304, description = "It is the one that the caller has"),
        (status = 403, description = "The link has expired or was altered"),
        (status = 404, description = "The file was deleted"),
        (status = 412, description = "It is not the one that was asked for"),
    ),
    security(())
)]
pub(super) async fn head_content(
    state: State<App>,
    token: ApiPath<String>,
    headers: HeaderMap,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
) -> ApiResult<Response> {
    read_content(state, token, Method::HEAD, headers, if_match, if_none_match).await
}

/// What a link leads to, from the file's own record: that says of its contents what never changes, so the blob store need not be
/// asked as well. Of one that the file keeps no more only the store knows.
async fn known(app: &App, file: &File, link: &Link) -> ApiResult<Known> {
    let mut kept = file.contents.iter();
    if let Some(content) = kept.find(|content| content.blob == link.blob) {
        return Ok(Known {
            size: content.size,
            sha256: content.sha256,
        });
    }
    Ok(Known::from(&app.blobs.stat(&link.blob).await?))
}

/// The bytes that the answer has; none where it has none.
async fn open(
    app: &App,
    link: &Link,
    known: &Known,
    plan: &Plan,
    head_only: bool,
) -> ApiResult<Option<Content>> {
    let Some(range) = plan.range().filter(|_| !head_only) else {
        return Ok(None);
    };
    let content = app.blobs.open(&link.blob, range).await?;
    if Known::from(&content.info) != *known {
        return Err(Problem::internal(format!(
            "the blob {} is not what its file says",
            link.blob
        )));
    }
    metrics::counter!("riwaq_files_downloaded_bytes_total").increment(content.len());
    Ok(Some(content))
}

fn respond(
    link: &Link,
    known: &Known,
    plan: &Plan,
    content: Option<Content>,
) -> ApiResult<Response> {
    let range = match plan {
        Plan::NotThisOne => return Err(Problem::stale()),
        Plan::Outside => return Ok(outside(known)),
        Plan::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            put(response.headers_mut(), ETAG, &known.tag().to_string())?;
            response.headers_mut().insert(CACHE_CONTROL, private());
            return Ok(response);
        }
        Plan::Whole => ByteRange::Full,
        Plan::Part(range) => *range,
    };
    let resolved = range.resolve(known.size)?;
    let (body, file) = content.map_or_else(|| (Body::empty(), None), body);
    let mut response = Response::new(body);
    if let Some(file) = file {
        response.extensions_mut().insert(file);
    }
    *response.status_mut() = plan.status();
    let headers = response.headers_mut();
    describe(headers, link, known)?;
    headers.insert(
        CONTENT_LENGTH,
        HeaderValue::from(resolved.end - resolved.start),
    );
    if matches!(plan, Plan::Part(_)) {
        let text = format!(
            "bytes {}-{}/{}",
            resolved.start,
            resolved.end - 1,
            known.size
        );
        put(headers, CONTENT_RANGE, &text)?;
    }
    Ok(response)
}

/// The bytes as a stream; and, where they lie in a file, a word to the listener that may send it without them.
fn body(content: Content) -> (Body, Option<FileContent>) {
    let (range, left) = (content.range.clone(), content.len());
    match content.body {
        ContentBody::Stream(stream) => (Body::new(Sized { stream, left }), None),
        ContentBody::File(file) => {
            let file = Arc::new(file);
            let stream = FileStream::new(Arc::clone(&file), range.clone(), READ_BYTES).boxed();
            (
                Body::new(Sized { stream, left }),
                Some(FileContent::new(file, range)),
            )
        }
    }
}

/// 416 with the size, so that the client can ask again.
fn outside(known: &Known) -> Response {
    let problem = Problem::new(
        Code::RangeNotSatisfiable,
        format!("the content has {} bytes", known.size),
    );
    let mut response = problem.into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", known.size)) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

fn describe(headers: &mut HeaderMap, link: &Link, known: &Known) -> ApiResult<()> {
    put(headers, CONTENT_TYPE, &link.media_type)?;
    put(
        headers,
        CONTENT_DISPOSITION,
        &disposition::header(link.disposition, &link.file_name),
    )?;
    put(headers, ETAG, &known.tag().to_string())?;
    let fixed = [
        (ACCEPT_RANGES, "bytes"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, CSP),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, private());
    Ok(())
}

/// For one person; and as it is: a compressed answer would have neither length nor ranges.
fn private() -> HeaderValue {
    HeaderValue::from_static("private, no-cache, no-transform")
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) -> ApiResult<()> {
    let value = HeaderValue::try_from(value).map_err(Problem::internal)?;
    headers.insert(name, value);
    Ok(())
}

/// A stream whose length is known.
struct Sized {
    stream: ByteStream<'static>,
    left: u64,
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = BlobsError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BlobsError>>> {
        self.stream.as_mut().poll_next(cx).map(|piece| {
            let piece = piece?;
            Some(piece.map(|bytes| {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Frame::data(bytes)
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
