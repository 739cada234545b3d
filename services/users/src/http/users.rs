//! `/api/admin/users`: administration of people.

#![allow(unused_qualifications, reason = "the macro of utoipa writes them")]

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use riwaq_aggregates::{CursorScope, request_hash};
use riwaq_directory::{DirectoryError, Password};
use riwaq_identity::{Actor, Permission};
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{
    ApiJson, ApiList, ApiPath, ApiResult, IdempotencyKey, IfMatch, PageParams, Problem,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answers::{created, nothing_done, replay};
use super::models::{ActivationAnswer, ActivationInput, AdminUser, AdminUserPage, UserInput};
use crate::app::App;
use crate::domain::{Profile, ProfileDraft, Status};
use crate::flows::{AccountWish, ManagedUser};

const PATH: &str = "/api/admin/users";
const MAX_ROLES: usize = 32;

/// Finds one person.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserFilter {
    /// Only the person with this e-mail address.
    #[param(max_length = 254)]
    email: Option<String>,
    /// Only the person with this user name.
    #[param(max_length = 64)]
    username: Option<String>,
}

/// Every user, by name.
#[utoipa::path(
    get, path = "/api/admin/users", tag = "administration", operation_id = "list_users",
    params(PageParams, UserFilter),
    responses((status = 200, description = "A page of users", body = AdminUserPage), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn list_users(
    State(app): State<Arc<App>>,
    actor: Actor,
    list: ApiList<UserFilter>,
) -> ApiResult<ApiJson<AdminUserPage>> {
    actor.require(Permission::UsersRead)?;
    let user = actor.id().to_string();
    let UserFilter { email, username } = &list.filter;
    if email.is_some() || username.is_some() {
        if list.page.cursor.is_some() {
            return Err(Problem::bad_cursor());
        }
        let found = app
            .users
            .find(email.as_deref(), username.as_deref())
            .await?;
        return Ok(ApiJson(page(found, None)));
    }
    let scope = CursorScope {
        list: "admin/users",
        query: "",
        user: &user,
    };
    let position = list
        .page
        .cursor
        .map(|cursor| app.cursors.open(scope, &cursor))
        .transpose()?;
    let (users, next) = app.users.page(position.as_ref(), list.page.limit).await?;
    let next = next
        .map(|next| app.cursors.seal(scope, &next))
        .transpose()?;
    Ok(ApiJson(page(users, next)))
}

fn page(users: Vec<ManagedUser>, next_cursor: Option<String>) -> AdminUserPage {
    AdminUserPage {
        items: users.into_iter().map(AdminUser::from).collect(),
        next_cursor,
    }
}

/// Makes a user.
#[utoipa::path(
    post, path = "/api/admin/users", tag = "administration", operation_id = "create_user",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats a request without repeating its effect")),
    request_body = UserInput,
    responses(
        (status = 201, description = "Made", body = AdminUser, headers(("Location" = String), ("ETag" = String))),
        Problem,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn create_user(
    State(app): State<Arc<App>>,
    actor: Actor,
    key: Option<IdempotencyKey>,
    ApiJson(input): ApiJson<UserInput>,
) -> ApiResult<Response> {
    actor.require(Permission::UsersManage)?;
    let body = serde_json::to_vec(&input).map_err(Problem::internal)?;
    let hash = request_hash(&[b"POST", PATH.as_bytes(), &body]);
    let default_status = if input.password.is_some() {
        Status::Active
    } else {
        Status::Pending
    };
    let (profile, wish) = check(input, Some(default_status))?;
    let shared = Arc::clone(&app);
    let work = async move {
        let effect = async |id| {
            let user = shared.users.create(&actor, id, profile, wish).await?;
            let etag = user.etag();
            created(&format!("{PATH}/{id}"), &etag, &AdminUser::from(user))
        };
        let key = key.as_ref().map(IdempotencyKey::as_str);
        shared
            .idempotency
            .run(actor.id(), key, hash, nothing_done, effect)
            .await
    };
    replay(app.tasks.run(work).await?)
}

/// One user.
#[utoipa::path(
    get, path = "/api/admin/users/{id}", tag = "administration", operation_id = "get_user",
    params(("id" = Uuid, Path, description = "The user id")),
    responses((status = 200, description = "The user", body = AdminUser, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn get_user(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
) -> ApiResult<Response> {
    actor.require(Permission::UsersRead)?;
    let user = app.users.managed(id).await?;
    Ok((user.etag(), ApiJson(AdminUser::from(user))).into_response())
}

/// Replaces a user: profile, roles, status, and the password where one is given.
#[utoipa::path(
    put, path = "/api/admin/users/{id}", tag = "administration", operation_id = "replace_user",
    params(
        ("id" = Uuid, Path, description = "The user id"),
        ("If-Match" = Option<String>, Header, description = "The version that is meant"),
    ),
    request_body = UserInput,
    responses((status = 200, description = "The user as it is now", body = AdminUser, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn replace_user(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(input): ApiJson<UserInput>,
) -> ApiResult<Response> {
    actor.require(Permission::UsersManage)?;
    // Who does not exist is not found, whatever the body says.
    app.users.present(id).await?;
    let (profile, wish) = check(input, None)?;
    let shared = Arc::clone(&app);
    let work = async move {
        shared
            .users
            .replace(&actor, id, &if_match, profile, wish)
            .await
    };
    let user = app.tasks.run(work).await?;
    Ok((user.etag(), ApiJson(AdminUser::from(user))).into_response())
}

/// Deletes a user.
#[utoipa::path(
    delete, path = "/api/admin/users/{id}", tag = "administration", operation_id = "delete_user",
    params(
        ("id" = Uuid, Path, description = "The user id"),
        ("If-Match" = Option<String>, Header, description = "The version that is meant"),
    ),
    responses((status = 204, description = "Deleted"), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn delete_user(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
) -> ApiResult<StatusCode> {
    actor.require(Permission::UsersManage)?;
    let shared = Arc::clone(&app);
    app.tasks
        .run(async move { shared.users.delete(&actor, id, &if_match).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins the activation of a pending account anew.
#[utoipa::path(
    post, path = "/api/admin/users/{id}/activation", tag = "administration", operation_id = "start_activation",
    params(("id" = Uuid, Path, description = "The user id")),
    request_body = ActivationInput,
    responses((status = 200, description = "Begun", body = ActivationAnswer), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn start_activation(
    State(app): State<Arc<App>>,
    actor: Actor,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(input): ApiJson<ActivationInput>,
) -> ApiResult<ApiJson<ActivationAnswer>> {
    actor.require(Permission::UsersManage)?;
    let shared = Arc::clone(&app);
    let work = async move {
        shared
            .users
            .start_activation(&actor, id, input.send_mail)
            .await
    };
    let activation = app.tasks.run(work).await?;
    Ok(ApiJson(ActivationAnswer {
        code: activation.code,
        expires_at: activation.expires_at,
    }))
}

fn check(input: UserInput, default_status: Option<Status>) -> ApiResult<(Profile, AccountWish)> {
    let mut errors = FieldErrors::new();
    let draft = ProfileDraft {
        email: input.email,
        username: input.username,
        first_name: input.first_name,
        last_name: input.last_name,
        first_name_ar: input.first_name_ar,
        last_name_ar: input.last_name_ar,
        student_number: input.student_number,
        locale: input.locale,
    };
    let profile = draft.check(&mut errors);
    errors.check(
        input.roles.len() <= MAX_ROLES,
        "roles",
        "must be at most 32",
    );
    if let Some(password) = &input.password {
        match Password::new(password) {
            Err(DirectoryError::Invalid { message, .. }) => errors.add("password", message),
            Err(other) => errors.add("password", other.to_string()),
            Ok(_) => {}
        }
    }
    let status = input.status.or(default_status);
    errors.check(status.is_some(), "status", "is missing");
    errors.finish()?;
    let roles: BTreeSet<String> = input.roles.into_iter().collect();
    let wish = AccountWish {
        roles,
        status: status.unwrap_or(Status::Pending),
        password: input.password,
        send_activation: input.send_activation.unwrap_or(true),
    };
    Ok((profile, wish))
}
