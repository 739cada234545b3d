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

/// What needs no token, and what takes an old one: it must not keep anybody from signing in or out.
pub(super) fn open() -> OpenApiRouter<Auth> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(session::login))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(account::register))
        .routes(routes!(account::activate))
        .routes(routes!(account::forgot))
        .routes(routes!(account::reset))
}

/// What is for who is signed in.
pub(super) fn verified() -> OpenApiRouter<Auth> {
    OpenApiRouter::new().routes(routes!(session::me))
}
