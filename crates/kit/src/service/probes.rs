//! `/livez`, `/readyz`, `/health` and `/metrics`.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::{HeaderMap, StatusCode, header};

use super::health::Health;
use crate::config::Secret;
use crate::problem::Problem;
use crate::telemetry::MetricsHandle;

#[derive(Clone)]
struct Probes {
    health: Health,
    metrics: MetricsHandle,
    token: Option<Secret>,
}

/// The routes. Without a token `/metrics` is open to anyone who can reach `guarded == false` listeners, and
/// to this machine only on `guarded` ones.
pub(super) fn router(
    health: Health,
    metrics: MetricsHandle,
    token: Option<Secret>,
    guarded: bool,
) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/health", get(report))
        .route("/metrics", get(scrape))
        .layer(Extension(Guarded(guarded)))
        .with_state(Probes {
            health,
            metrics,
            token,
        })
}

/// `/metrics` for whoever reaches the service within the process.
pub(super) fn metrics_only(metrics: MetricsHandle) -> Router {
    Router::new().route("/metrics", get(async move || rendered(&metrics)))
}

fn rendered(metrics: &MetricsHandle) -> Response {
    let kind = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    ([kind], metrics.render()).into_response()
}

#[derive(Clone, Copy)]
struct Guarded(bool);

async fn ready(State(probes): State<Probes>) -> Response {
    if probes.health.is_ready().await {
        "ready\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(probes.health.report().await),
        )
            .into_response()
    }
}

async fn report(State(probes): State<Probes>) -> Response {
    let report = probes.health.report().await;
    let status = if report.status == "ready" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn scrape(
    State(probes): State<Probes>,
    Extension(Guarded(guarded)): Extension<Guarded>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let by_token = probes
        .token
        .as_ref()
        .zip(bearer)
        .is_some_and(|(token, given)| token.matches(given));
    // A proxy on this machine speaks for somebody else.
    let forwarded =
        headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for");
    let local = !forwarded && peer.is_some_and(|Extension(ConnectInfo(peer))| is_local(peer));
    let open = !guarded && probes.token.is_none();
    if !(by_token || local || open) {
        return Err(Problem::unauthenticated("metrics are for operators"));
    }
    let kind = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    Ok(([kind], probes.metrics.render()).into_response())
}

/// Whether it is this machine: a listener at `::` sees IPv4 as mapped addresses (RFC 4291, section 2.5.5.2).
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn this_machine_is_known_by_each_of_its_addresses() {
        for local in [
            "127.0.0.1:9",
            "127.1.2.3:9",
            "[::1]:9",
            "[::ffff:127.0.0.1]:9",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for other in ["192.0.2.1:9", "[2001:db8::1]:9", "[::ffff:192.0.2.1]:9"] {
            assert!(!is_local(other.parse().unwrap()), "{other}");
        }
    }
}
