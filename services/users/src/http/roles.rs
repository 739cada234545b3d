//! `/api/admin/roles`: named sets of permissions.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use riwaq_aggregates::{CursorScope, Version, request_hash};
use riwaq_identity::access::{GIVEN_ROLES, given_role};
use riwaq_identity::{Actor, Permission};
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{
    ApiJson, ApiList, ApiPath, ApiResult, ETag, IdempotencyKey, IfMatch, PageParams, Problem,
};

use super::answers::{created, nothing_done, replay};
use super::models::{RoleAnswer, RoleChange, RoleInput, RolePage};
use crate::app::App;
use crate::domain::{Role, check_permissions, check_role_name};

const PATH: &str = "/api/admin/roles";

/// Every role: the given ones, then the school's own by name.
#[utoipa::path(
    get, path = "/api/admin/roles", tag = "administration", operation_id = "list_roles",
    params(PageParams),
    responses((status = 200, description = "A page of roles", body = RolePage), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn list_roles(
    State(app): State<Arc<App>>,
    actor: Actor,
    list: ApiList,
) -> ApiResult<ApiJson<RolePage>> {
    require_reader(&actor)?;
    let user = actor.id().to_string();
    let scope = CursorScope {
        list: "admin/roles",
        query: "",
        user: &user,
    };
    // The name of the last role of the page before; given roles come first.
    let after: Option<(bool, String)> = list
        .page
        .cursor
        .map(|cursor| app.cursors.open(scope, &cursor))
        .transpose()?;
    let own = app
        .roles
        .own()
        .await?
        .into_iter()
        .filter(|role| !role.deleted)
        .map(RoleAnswer::from);
    let mut given: Vec<_> = GIVEN_ROLES
        .iter()
        .map(|(name, _)| given_answer(name))
        .collect();
    given.sort_by(|a, b| a.name.cmp(&b.name));
    let key = |role: &RoleAnswer| (!role.given, role.name.clone());
    let rest = given
        .into_iter()
        .chain(own)
        .filter(|role| after.as_ref().is_none_or(|after| key(role) > *after));
    let mut items: Vec<RoleAnswer> = rest.take(list.page.limit + 1).collect();
    let more = items.len() > list.page.limit;
    items.truncate(list.page.limit);
    let last = items.last().filter(|_| more);
    let next_cursor = last
        .map(|role| app.cursors.seal(scope, &key(role)))
        .transpose()?;
    Ok(ApiJson(RolePage { items, next_cursor }))
}

/// Makes a role.
#[utoipa::path(
    post, path = "/api/admin/roles", tag = "administration", operation_id = "create_role",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats a request without repeating its effect")),
    request_body = RoleInput,
    responses(
        (status = 201, description = "Made", body = RoleAnswer, headers(("Location" = String), ("ETag" = String))),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn create_role(
    State(app): State<Arc<App>>,
    actor: Actor,
    key: Option<IdempotencyKey>,
    ApiJson(input): ApiJson<RoleInput>,
) -> ApiResult<Response> {
    actor.require(Permission::RolesManage)?;
    let body = serde_json::to_vec(&input).map_err(Problem::internal)?;
    let hash = request_hash(&[b"POST", PATH.as_bytes(), &body]);
    let mut errors = FieldErrors::new();
    check_role_name(&mut errors, &input.name);
    let allows = check_permissions(&mut errors, &input.permissions);
    errors.finish()?;
    let shared = Arc::clone(&app);
    let work = async move {
        let effect = async |op_id| {
            let role = shared
                .roles
                .create(&actor, op_id, &input.name, allows)
                .await?;
            let location = format!("{PATH}/{}", input.name);
            created(&location, &etag(&role), &answer(role))
        };
        let key = key.as_ref().map(IdempotencyKey::as_str);
        shared
            .idempotency
            .run(actor.id(), key, hash, nothing_done, effect)
            .await
    };
    replay(app.tasks.run(work).await?)
}

/// One role.
#[utoipa::path(
    get, path = "/api/admin/roles/{name}", tag = "administration", operation_id = "get_role",
    params(("name" = String, Path, description = "The role's name")),
    responses((status = 200, description = "The role", body = RoleAnswer, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn get_role(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
) -> ApiResult<Response> {
    require_reader(&actor)?;
    if given_role(&name).is_some() {
        return Ok((ETag::of_version(0), ApiJson(given_answer(&name))).into_response());
    }
    let role = app.roles.present(&known(name)?).await?;
    Ok((etag(&role), ApiJson(answer(role))).into_response())
}

/// Gives a role other permissions.
#[utoipa::path(
    put, path = "/api/admin/roles/{name}", tag = "administration", operation_id = "replace_role",
    params(
        ("name" = String, Path, description = "The role's name"),
        ("If-Match" = Option<String>, Header, description = "The version that is meant"),
    ),
    request_body = RoleChange,
    responses((status = 200, description = "The role as it is now", body = RoleAnswer, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn replace_role(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    if_match: IfMatch,
    ApiJson(input): ApiJson<RoleChange>,
) -> ApiResult<Response> {
    actor.require(Permission::RolesManage)?;
    let name = known(name)?;
    let mut errors = FieldErrors::new();
    let allows = check_permissions(&mut errors, &input.permissions);
    errors.finish()?;
    let shared = Arc::clone(&app);
    let work = async move { shared.roles.replace(&actor, &name, &if_match, allows).await };
    let role = app.tasks.run(work).await?;
    Ok((etag(&role), ApiJson(answer(role))).into_response())
}

/// Deletes a role that nobody has.
#[utoipa::path(
    delete, path = "/api/admin/roles/{name}", tag = "administration", operation_id = "delete_role",
    params(
        ("name" = String, Path, description = "The role's name"),
        ("If-Match" = Option<String>, Header, description = "The version that is meant"),
    ),
    responses((status = 204, description = "Deleted"), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn delete_role(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(name): ApiPath<String>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    actor.require(Permission::RolesManage)?;
    let name = known(name)?;
    let shared = Arc::clone(&app);
    app.tasks
        .run(async move { shared.roles.delete(&actor, &name, &if_match).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever gives roles to people has to know them.
fn require_reader(actor: &Actor) -> ApiResult<()> {
    if actor.may(Permission::UsersManage) {
        return Ok(());
    }
    actor.require(Permission::RolesManage)
}

/// A name that no role can have is no role's.
fn known(name: String) -> ApiResult<String> {
    let mut errors = FieldErrors::new();
    check_role_name(&mut errors, &name);
    errors.finish().map_err(|_| Problem::not_found("role"))?;
    Ok(name)
}

fn given_answer(name: &str) -> RoleAnswer {
    RoleAnswer {
        name: name.to_owned(),
        permissions: given_role(name).unwrap_or_default().names(),
        given: true,
        version: 0,
        created_at: None,
        updated_at: None,
    }
}

fn etag(role: &Version<Role>) -> ETag {
    ETag::of_version(role.version.unsigned_abs())
}

fn answer(role: Version<Role>) -> RoleAnswer {
    RoleAnswer {
        name: role.id,
        permissions: role.state.permissions.into_iter().collect(),
        given: false,
        version: role.version,
        created_at: Some(role.state.created_at),
        updated_at: Some(role.at),
    }
}
