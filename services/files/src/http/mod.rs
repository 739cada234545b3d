//! The REST routes.

mod accesses;
mod conditions;
mod content;
pub(crate) mod etag;
mod files;
mod links;
mod upload;
mod view;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use riwaq_identity::Identity;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// All routes with their document. Links work without identity: the link itself is the right.
pub(crate) fn routes(app: App, identity: &Identity) -> (Router, OpenApi) {
    let known = known().layer(identity.layer());
    let (router, openapi) = known.merge(open()).split_for_parts();
    (router.with_state(app), openapi)
}

/// The document alone.
pub(crate) fn openapi() -> OpenApi {
    known().merge(open()).into_openapi()
}

/// What is for who is signed in.
fn known() -> OpenApiRouter<App> {
    // The receiver counts by itself: the limit of other bodies is far below a file.
    let uploads = OpenApiRouter::new()
        .routes(routes!(upload::create_file, files::list_files))
        .routes(routes!(upload::create_version))
        .layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(
            files::get_file,
            files::patch_file,
            files::delete_file
        ))
        .routes(routes!(links::issue_link))
        .routes(routes!(links::redirect_to_content))
        .routes(routes!(accesses::list_accesses))
        .merge(uploads)
}

/// What a signed link opens.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(content::read_content))
        .routes(routes!(content::head_content))
}
