//! Swagger UI, from files that are compiled in.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, header};
use riwaq_kit::{Code, Problem};
use utoipa_swagger_ui::{Config, serve};

/// Its scripts are files of ours; it sets styles as it goes.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) type Docs = Arc<Config<'static>>;

pub(crate) fn docs() -> Docs {
    Arc::new(
        Config::from("/api/openapi.json")
            .deep_linking(true)
            .try_it_out_enabled(true)
            .validator_url("none"),
    )
}

/// Without the slash its own addresses would not fit.
pub(crate) async fn enter() -> Redirect {
    Redirect::permanent("/api/docs/")
}

pub(crate) async fn index(State(docs): State<Docs>) -> Result<Response, Problem> {
    file(&docs, "index.html")
}

pub(crate) async fn asset(
    State(docs): State<Docs>,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    file(&docs, &path)
}

fn file(docs: &Docs, path: &str) -> Result<Response, Problem> {
    let file =
        serve(path, Arc::clone(docs)).map_err(|error| Problem::internal(error.to_string()))?;
    let file = file.ok_or_else(|| Problem::new(Code::NotFound, "no such address"))?;
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::try_from(file.content_type).map_err(Problem::internal)?;
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=3600"),
    );
    Ok(response)
}
