//! Issuing signed links.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use riwaq_aggregates::Version;
use riwaq_blobs::{Disposition, Link, LinkMethod, Presign};
use riwaq_identity::Actor;
use riwaq_kit::{ApiJson, ApiPath, ApiQuery, ApiResult, Problem, new_id};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access_journal::{Event, Subject};
use crate::app::App;
use crate::config::LinkMode;
use crate::domain::disposition;
use crate::domain::file::{Content, File};
use crate::domain::media::Status;

/// Where links are answered.
pub(super) const LINKS: &str = "/api/files/links/";

/// How the content is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asked {
    /// Saved as a file.
    #[default]
    Attachment,
    /// Shown in place, where its type is safe for that.
    Inline,
}

/// Parameters of a link.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkQuery {
    /// How the content is to be shown.
    #[serde(default)]
    #[param(inline)]
    disposition: Asked,
}

/// A link to the content of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkView {
    /// Absolute; works without a token, for GET and HEAD.
    #[schema(value_type = String, format = "uri")]
    url: Url,
    /// When it ceases to work.
    expires_at: DateTime<Utc>,
}

/// A link to the content of a file, which works without a token for a few minutes. Issuing it and every use of it are
/// written in the access journal.
#[utoipa::path(
    get, path = "/api/files/{id}/link", tag = "files",
    params(("id" = Uuid, Path, description = "The file"), LinkQuery),
    responses(
        (status = 200, description = "The link", body = LinkView),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The file is quarantined", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn issue_link(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<LinkQuery>,
) -> ApiResult<Response> {
    let link = issue(&app, &actor, id, query).await?;
    Ok(no_store(ApiJson(link).into_response()))
}

/// The content of a file, by way of a link.
#[utoipa::path(
    get, path = "/api/files/{id}/content", tag = "files",
    params(("id" = Uuid, Path, description = "The file"), LinkQuery),
    responses(
        (status = 302, description = "Go to the link", headers(("Location" = String, description = "The link"))),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The file is quarantined", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn redirect_to_content(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<LinkQuery>,
) -> ApiResult<Response> {
    let link = issue(&app, &actor, id, query).await?;
    let location = HeaderValue::try_from(link.url.as_str()).map_err(Problem::internal)?;
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(LOCATION, location);
    Ok(no_store(response))
}

/// A link is for who asked, and lives for minutes.
fn no_store(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn issue(app: &App, actor: &Actor, id: Uuid, query: LinkQuery) -> ApiResult<LinkView> {
    let (file, _) = app.readable(actor, id).await?;
    let content = available(&file)?;
    let link_id = new_id(app.clock.as_ref());
    let subject = Subject {
        file_id: id,
        content_version: content.version,
        user_id: actor.id(),
        link_id,
    };
    let lives = std::time::Duration::from_secs(app.config.link_seconds);
    let expires_at = app.now() + TimeDelta::from_std(lives).unwrap_or(TimeDelta::MAX);
    let link = link(&file, content, subject, query, expires_at);
    // The journal first: a link that is out is in it.
    app.accesses.record(subject, Event::Issued).await?;
    let url = match app.config.link_mode {
        LinkMode::Own => None,
        LinkMode::Presigned => {
            let request = Presign {
                expires_after: lives,
                content_disposition: disposition::header(link.disposition, &link.file_name),
                media_type: link.media_type.clone(),
            };
            app.blobs.presign(&link.blob, &request).await?
        }
    };
    let url = match url {
        Some(url) => url,
        None => own_url(app, &link)?,
    };
    Ok(LinkView {
        url,
        expires_at: link.expires_at,
    })
}

/// The content, if it may be handed out.
pub(crate) fn available(file: &Version<File>) -> ApiResult<&Content> {
    let content = file
        .state
        .current()
        .ok_or_else(|| Problem::not_found("file"))?;
    if content.verdict.status == Status::Quarantined {
        return Err(Problem::conflict(
            "the file is quarantined: its content is not what its name or type says",
        ));
    }
    Ok(content)
}

fn link(
    file: &Version<File>,
    content: &Content,
    subject: Subject,
    query: LinkQuery,
    expires_at: DateTime<Utc>,
) -> Link {
    let asked = match query.disposition {
        Asked::Attachment => Disposition::Attachment,
        Asked::Inline => Disposition::Inline,
    };
    let media_type = served_type(content);
    Link {
        method: LinkMethod::Get,
        blob: content.blob,
        disposition: disposition::decide(Some(asked), &media_type),
        file_name: file.state.name.clone(),
        media_type,
        // Links tell whole seconds: it must not be promised for longer than it works.
        expires_at: DateTime::from_timestamp(expires_at.timestamp(), 0).unwrap_or(expires_at),
        issued_to: subject.user_id.to_string(),
        reference: reference(subject),
    }
}

/// Text without a charset is read as Windows-1252 by browsers.
fn served_type(content: &Content) -> String {
    let media_type = &content.verdict.media_type;
    if content.sniffed.utf8 && media_type.starts_with("text/") {
        return format!("{media_type}; charset=utf-8");
    }
    media_type.clone()
}

fn reference(subject: Subject) -> String {
    format!(
        "{}/{}/{}",
        subject.file_id, subject.content_version, subject.link_id
    )
}

/// What a link that was verified is about; none for one that this service did not issue.
pub(super) fn subject(link: &Link) -> Option<Subject> {
    let mut parts = link.reference.split('/');
    Some(Subject {
        file_id: parts.next()?.parse().ok()?,
        content_version: parts.next()?.parse().ok()?,
        link_id: parts.next()?.parse().ok()?,
        user_id: link.issued_to.parse().ok()?,
    })
}

fn own_url(app: &App, link: &Link) -> ApiResult<Url> {
    let token = app.links.sign(link)?;
    let base = app.public_url.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}{LINKS}{token}")).map_err(Problem::internal)
}
