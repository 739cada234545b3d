//! The metrics of every role, for operators.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use riwaq_identity::{Actor, Permission};
use riwaq_kit::{ApiPath, Code, MetricsHandle, Problem};

use crate::caller::Scraper;
use crate::gateway::Gateway;
use crate::routes::OWN_ROLE;

/// Metrics of the gateway
///
/// In Prometheus' text format, for people who may read the technical metrics.
#[utoipa::path(
    get, path = "/api/metrics/", tag = "operation", operation_id = "read_metrics",
    responses((status = 200, body = String, content_type = "text/plain"), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn whole(
    actor: Option<Actor>,
    scraper: Option<Extension<Scraper>>,
) -> Result<Response, Problem> {
    admit(actor.as_ref(), scraper.is_some())?;
    Ok(own())
}

/// Metrics of a role
#[utoipa::path(
    get, path = "/api/metrics/{role}", tag = "operation", operation_id = "read_metrics_of_role",
    params(("role" = String, Path, description = "Such as `courses`")),
    responses((status = 200, body = String, content_type = "text/plain"), Problem),
    security(("bearer" = []))
)]
pub(crate) async fn of_role(
    State(gateway): State<Gateway>,
    actor: Option<Actor>,
    scraper: Option<Extension<Scraper>>,
    ApiPath(role): ApiPath<String>,
) -> Result<Response, Problem> {
    admit(actor.as_ref(), scraper.is_some())?;
    if role == OWN_ROLE {
        return Ok(own());
    }
    let upstream = gateway.upstreams.iter().find(|(name, _)| *name == role);
    let (_, upstream) = upstream.ok_or_else(|| Problem::new(Code::NotFound, "no such role"))?;
    let mut request = Request::get("/metrics")
        .body(Body::empty())
        .map_err(Problem::internal)?;
    if let Some(token) = &gateway.metrics_token {
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(Problem::internal)?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let answer = upstream.call(request).await.map_err(Problem::unavailable)?;
    if answer.status() != StatusCode::OK {
        return Err(Problem::unavailable(format!(
            "{role} answered {}",
            answer.status()
        )));
    }
    Ok(answer)
}

fn admit(actor: Option<&Actor>, scraper: bool) -> Result<(), Problem> {
    if scraper {
        return Ok(());
    }
    let actor = actor.ok_or_else(|| Problem::unauthenticated("metrics are for operators"))?;
    actor.require(Permission::MetricsRead)
}

fn own() -> Response {
    let kind = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    ([kind], MetricsHandle::install().render()).into_response()
}

/// Whether the request is a scraper's: it brings a token that is not a person's.
pub(crate) fn is_scraper(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    gateway
        .metrics_token
        .as_ref()
        .zip(given)
        .is_some_and(|(token, given)| token.matches(given))
}
