//! `/api/admin/audit` and `/api/admin/stats`.

use std::sync::Arc;

use axum::extract::State;
use riwaq_aggregates::CursorScope;
use riwaq_identity::{Actor, Permission};
use riwaq_kit::{ApiJson, ApiList, ApiResult, PageParams, Problem};

use super::models::{AuditEntry, AuditPage, StatsAnswer};
use crate::app::App;
use crate::flows::AuditPosition;

/// Who did what as an administrator, newest first.
#[utoipa::path(
    get, path = "/api/admin/audit", tag = "administration", operation_id = "list_audit",
    params(PageParams),
    responses((status = 200, description = "A page of the journal", body = AuditPage), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn list_audit(
    State(app): State<Arc<App>>,
    actor: Actor,
    list: ApiList,
) -> ApiResult<ApiJson<AuditPage>> {
    actor.require(Permission::AuditRead)?;
    let user = actor.id().to_string();
    let scope = CursorScope {
        list: "admin/audit",
        query: "",
        user: &user,
    };
    let position: Option<AuditPosition> = list
        .page
        .cursor
        .map(|cursor| app.cursors.open(scope, &cursor))
        .transpose()?;
    let mut lines = app
        .audit
        .page(position.as_ref(), list.page.limit + 1)
        .await?;
    let more = lines.len() > list.page.limit;
    lines.truncate(list.page.limit);
    let last = lines.last().filter(|_| more).map(AuditPosition::from);
    let next_cursor = last
        .map(|last| app.cursors.seal(scope, &last))
        .transpose()?;
    Ok(ApiJson(AuditPage {
        items: lines.into_iter().map(AuditEntry::from).collect(),
        next_cursor,
    }))
}

/// Figures of the whole school.
#[utoipa::path(
    get, path = "/api/admin/stats", tag = "administration", operation_id = "get_stats",
    responses((status = 200, description = "The figures", body = StatsAnswer), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn get_stats(
    State(app): State<Arc<App>>,
    actor: Actor,
) -> ApiResult<ApiJson<StatsAnswer>> {
    actor.require(Permission::StatsRead)?;
    let counts = app.stats.counts().await?;
    Ok(ApiJson(StatsAnswer {
        users: counts.users,
        users_by_status: counts
            .by_status
            .into_iter()
            .map(|(status, count)| (status.to_owned(), count))
            .collect(),
        users_by_role: counts.by_role,
        own_roles: counts.own_roles,
        counted_at: counts.counted_at,
    }))
}
