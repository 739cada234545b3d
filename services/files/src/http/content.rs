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
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_RANGE, RANGE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use riwaq_blobs::{
    BlobInfo, BlobsError, ByteRange, ByteStream, Content, ContentBody, FileStream, Link,
    LinkMethod, READ_BYTES,
};
use riwaq_kit::service::FileContent;
use riwaq_kit::{ApiPath, ApiResult, Code, ETag, IfMatch, IfNoneMatch, Problem};

use super::links::subject;
use crate::access_journal::Event;
use crate::app::App;
use crate::domain::{disposition, range};

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
    app.existing(about.file_id).await?;
    let info = app.blobs.stat(&link.blob).await?;
    let conditions = Conditions {
        method: &method,
        headers: &headers,
        if_match,
        if_none_match,
    };
    let plan = conditions.plan(&info);
    let used = Event::Used {
        method: method.to_string(),
        range: headers
            .get(RANGE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        status: plan.status().as_u16(),
    };
    // Before the first byte: what was handed out is in the journal.
    app.accesses.record(about, used).await?;
    respond(&app, &link, &info, plan, method == Method::HEAD).await
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

/// What the request makes depend on what.
struct Conditions<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
}

/// What the answer will be.
enum Plan {
    Whole,
    Part(ByteRange),
    NotModified,
    NotThisOne,
    Outside,
}

impl Plan {
    fn status(&self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::NotThisOne => StatusCode::PRECONDITION_FAILED,
            Self::Outside => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }
}

impl Conditions<'_> {
    /// In the order of RFC 9110, section 13.2.2.
    fn plan(&self, info: &BlobInfo) -> Plan {
        let tag = tag(info);
        if self.if_match.check(&tag).is_err() {
            return Plan::NotThisOne;
        }
        if self.if_none_match.matches(&tag) {
            return Plan::NotModified;
        }
        match self.range(&tag) {
            None => Plan::Whole,
            Some(range) if range.resolve(info.size).is_ok() => Plan::Part(range),
            Some(_) => Plan::Outside,
        }
    }

    /// The range, where it applies: to GET, once, and only to the content that the client has a part of.
    fn range(&self, tag: &ETag) -> Option<ByteRange> {
        if self.method != Method::GET {
            return None;
        }
        let mut ranges = self.headers.get_all(RANGE).iter();
        let range = ranges.next()?.to_str().ok()?;
        if ranges.next().is_some() {
            return None;
        }
        if let Some(if_range) = self.headers.get(IF_RANGE) {
            // A weak tag or a date is not strong enough.
            let same = if_range.as_bytes() == tag.to_string().as_bytes();
            return same.then(|| range::parse(range)).flatten();
        }
        range::parse(range)
    }
}

/// The digest tells contents apart, whoever serves them.
fn tag(info: &BlobInfo) -> ETag {
    ETag::opaque(&info.sha256.to_string())
}

async fn respond(
    app: &App,
    link: &Link,
    info: &BlobInfo,
    plan: Plan,
    head_only: bool,
) -> ApiResult<Response> {
    let range = match plan {
        Plan::NotThisOne => return Err(Problem::stale()),
        Plan::Outside => return Ok(outside(info)),
        Plan::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            put(response.headers_mut(), ETAG, &tag(info).to_string())?;
            response.headers_mut().insert(CACHE_CONTROL, private());
            return Ok(response);
        }
        Plan::Whole => ByteRange::Full,
        Plan::Part(range) => range,
    };
    let resolved = range.resolve(info.size)?;
    let length = resolved.end - resolved.start;
    let (body, file) = if head_only {
        (Body::empty(), None)
    } else {
        metrics::counter!("riwaq_files_downloaded_bytes_total").increment(length);
        body(app.blobs.open(&link.blob, range).await?)
    };
    let mut response = Response::new(body);
    if let Some(file) = file {
        response.extensions_mut().insert(file);
    }
    *response.status_mut() = plan.status();
    let headers = response.headers_mut();
    describe(headers, link, info)?;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if matches!(plan, Plan::Part(_)) {
        let text = format!(
            "bytes {}-{}/{}",
            resolved.start,
            resolved.end - 1,
            info.size
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
fn outside(info: &BlobInfo) -> Response {
    let problem = Problem::new(
        Code::RangeNotSatisfiable,
        format!("the content has {} bytes", info.size),
    );
    let mut response = problem.into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", info.size)) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

fn describe(headers: &mut HeaderMap, link: &Link, info: &BlobInfo) -> ApiResult<()> {
    put(headers, CONTENT_TYPE, &link.media_type)?;
    put(
        headers,
        CONTENT_DISPOSITION,
        &disposition::header(link.disposition, &link.file_name),
    )?;
    put(headers, ETAG, &tag(info).to_string())?;
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
