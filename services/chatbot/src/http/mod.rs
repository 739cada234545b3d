//! The public REST API of the assistant.

mod conversations;
mod dto;
mod input;
mod messages;
mod stream;

use std::sync::Arc;

use axum::Router;
use riwaq_identity::Identity;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use input::check_question;

/// What a handler is given.
type Shared = axum::extract::State<Arc<App>>;

/// The routes, with identity in front of them, and their document.
pub(crate) fn router(app: Arc<App>, identity: &Identity) -> (Router, OpenApi) {
    let (router, document) = routes().with_state(app).split_for_parts();
    (router.layer(identity.layer()), document)
}

/// The document alone.
pub(crate) fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(
            conversations::read,
            conversations::patch,
            conversations::delete
        ))
        .routes(routes!(messages::post))
}
