//! The REST interface: profiles, administration of users and roles, the audit journal and statistics.

mod activity;
mod answers;
mod models;
mod profiles;
mod roles;
mod users;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Riwaq users", description = "Profiles, roles, administration and the audit journal."),
    components(schemas(riwaq_kit::problem::ProblemBody<'static>, riwaq_kit::FieldError, riwaq_kit::Code)),
    modifiers(&Bearer),
    tags(
        (name = "users", description = "Profiles"),
        (name = "administration", description = "Accounts, roles, the audit journal and statistics"),
    )
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The routes and their document.
pub(crate) fn routes(app: &Arc<App>) -> (Router, OpenApi) {
    documented().with_state(Arc::clone(app)).split_for_parts()
}

/// The document alone.
pub(crate) fn openapi() -> OpenApi {
    documented().into_openapi()
}

fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(profiles::get_me, profiles::patch_me))
        .routes(routes!(profiles::get_profile))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(
            users::get_user,
            users::replace_user,
            users::delete_user
        ))
        .routes(routes!(users::start_activation))
        .routes(routes!(roles::list_roles, roles::create_role))
        .routes(routes!(
            roles::get_role,
            roles::replace_role,
            roles::delete_role
        ))
        .routes(routes!(activity::list_audit))
        .routes(routes!(activity::get_stats))
}
