//! `/api/users`: profiles.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use riwaq_identity::Actor;
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{ApiJson, ApiPath, ApiResult, ETag, IfMatch, Problem};
use uuid::Uuid;

use super::models::{OwnProfile, PatchMe, PublicProfile};
use crate::app::App;

/// One's own profile.
#[utoipa::path(
    get, path = "/api/users/me", tag = "users", operation_id = "get_own_profile",
    responses((status = 200, description = "The profile", body = OwnProfile, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn get_me(State(app): State<Arc<App>>, actor: Actor) -> ApiResult<Response> {
    let user = app.users.present(actor.id()).await?;
    let etag = ETag::of_version(user.version.unsigned_abs());
    Ok((etag, ApiJson(OwnProfile::new(&actor, user))).into_response())
}

/// Changes one's own names and language.
#[utoipa::path(
    patch, path = "/api/users/me", tag = "users", operation_id = "change_own_profile",
    params(("If-Match" = Option<String>, Header, description = "The version that is meant")),
    request_body(content(
        (PatchMe = "application/json"),
        (PatchMe = "application/merge-patch+json"),
    )),
    responses((status = 200, description = "The profile as it is now", body = OwnProfile, headers(("ETag" = String))), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn patch_me(
    State(app): State<Arc<App>>,
    actor: Actor,
    if_match: IfMatch,
    ApiJson(patch): ApiJson<PatchMe>,
) -> ApiResult<Response> {
    let shared = Arc::clone(&app);
    let id = actor.id();
    let change = async move {
        shared
            .users
            .change_own(id, &if_match, |profile| {
                let mut errors = FieldErrors::new();
                let changed = patch.apply(profile).check(&mut errors);
                errors.finish()?;
                Ok(changed)
            })
            .await
    };
    let user = app.tasks.run(change).await?;
    let etag = ETag::of_version(user.version.unsigned_abs());
    Ok((etag, ApiJson(OwnProfile::new(&actor, user))).into_response())
}

/// What everybody who is signed in may know of a person.
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "users", operation_id = "get_profile",
    params(("id" = Uuid, Path, description = "The user id")),
    responses((status = 200, description = "The public profile", body = PublicProfile), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn get_profile(
    State(app): State<Arc<App>>,
    _: Actor,
    ApiPath(id): ApiPath<Uuid>,
) -> ApiResult<ApiJson<PublicProfile>> {
    let user = app.users.present(id).await?;
    Ok(ApiJson(PublicProfile::new(id, user.state.profile)))
}
