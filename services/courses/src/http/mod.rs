//! The public REST API of courses.

mod answer;
mod courses;
mod cursor;
mod dto;
mod enrolments;
mod input;
mod sections;
mod teachers;
mod versions;

use std::sync::Arc;

use axum::Router;
use riwaq_identity::{Actor, Identity};
use riwaq_kit::Problem;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::domain::Viewer;

pub(crate) use dto::summary_json;

/// What a handler is given.
type Shared = axum::extract::State<Arc<App>>;

/// Shapes that no route names by itself.
#[derive(OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shapes;

/// The routes, with identity in front of them, and their document.
pub(crate) fn router(app: Arc<App>, identity: &Identity) -> (Router, Document) {
    let (router, document) = routes().with_state(app).split_for_parts();
    (router.layer(identity.layer()), document)
}

/// The document alone.
pub(crate) fn openapi() -> Document {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Shapes::openapi())
        .routes(routes!(courses::list, courses::create))
        .routes(routes!(
            courses::read,
            courses::replace,
            courses::patch,
            courses::delete
        ))
        .routes(routes!(teachers::add, teachers::remove))
        .routes(routes!(sections::create))
        .routes(routes!(sections::order))
        .routes(routes!(sections::read, sections::patch, sections::delete))
        .routes(routes!(enrolments::list, enrolments::create))
        .routes(routes!(enrolments::read, enrolments::delete))
        .routes(routes!(versions::list))
        .routes(routes!(versions::read))
}

fn viewer(actor: &Actor) -> Viewer {
    Viewer {
        id: actor.id(),
        permissions: actor.permissions(),
    }
}
