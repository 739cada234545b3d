//! `/api/auth/*`: sign-in by password for programs, and what people do about their accounts.

mod account;
mod models;
mod session;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Auth;

#[derive(OpenApi)]
#[openapi(tags((name = "auth", description = "Signing in and out, activation, passwords")))]
struct Document;

pub(super) fn router() -> OpenApiRouter<Auth> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(session::login))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(session::me))
        .routes(routes!(session::config))
        .routes(routes!(account::register))
        .routes(routes!(account::activate))
        .routes(routes!(account::forgot))
        .routes(routes!(account::reset))
}
