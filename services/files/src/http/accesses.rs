//! Reading the access journal.

use axum::extract::State;
use chrono::{DateTime, Utc};
use riwaq_aggregates::CursorScope;
use riwaq_identity::Actor;
use riwaq_kit::{ApiJson, ApiList, ApiPath, ApiResult, NoFilter, PageParams, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access_journal::Position;
use crate::app::App;
use crate::records::AccessRow;

/// An entry of the access journal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessView {
    /// Its id.
    id: Uuid,
    /// When it happened.
    at: DateTime<Utc>,
    /// The id of the person to whom the link was issued.
    user_id: Uuid,
    /// `issued` or `used`.
    #[schema(pattern = "^(issued|used)$")]
    kind: String,
    /// The link: the same for its issuing and all its uses.
    link_id: Uuid,
    /// Which upload of the file it led to.
    content_version: i64,
    /// GET or HEAD, of a use.
    method: Option<String>,
    /// The range that was asked for, if any.
    range: Option<String>,
    /// The status of the answer, of a use.
    status: Option<i64>,
}

/// A page of the access journal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessPage {
    /// Newest first.
    items: Vec<AccessView>,
    /// Where to go on; null at the end.
    next_cursor: Option<String>,
}

impl From<AccessRow> for AccessView {
    fn from(row: AccessRow) -> Self {
        Self {
            id: row.access_id,
            at: row.at,
            user_id: row.user_id,
            kind: row.kind,
            link_id: row.link_id,
            content_version: row.content_version,
            method: row.method,
            range: row.range,
            status: row.status,
        }
    }
}

/// Who got links to a file and used them (teachers of its course).
#[utoipa::path(
    get, path = "/api/files/{id}/accesses", tag = "files",
    params(("id" = Uuid, Path, description = "The file"), PageParams),
    responses(
        (status = 200, description = "A page of entries", body = AccessPage),
        (status = 403, description = "The caller does not teach the course", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such file, or not for the caller", body = Problem, content_type = "application/problem+json"),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(super) async fn list_accesses(
    State(app): State<App>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    list: ApiList<NoFilter>,
) -> ApiResult<ApiJson<AccessPage>> {
    app.writable(&actor, id).await?;
    let (list_name, user) = (format!("files/{id}/accesses"), actor.id().to_string());
    let scope = CursorScope {
        list: &list_name,
        query: "",
        user: &user,
    };
    let after = list.page.cursor.as_deref();
    let after: Option<Position> = after
        .map(|cursor| app.cursors.open(scope, cursor))
        .transpose()?;
    let (rows, next) = app.accesses.list(id, after, list.page.limit).await?;
    let next_cursor = next
        .map(|position| app.cursors.seal(scope, &position))
        .transpose()?;
    Ok(ApiJson(AccessPage {
        items: rows.into_iter().map(AccessView::from).collect(),
        next_cursor,
    }))
}
