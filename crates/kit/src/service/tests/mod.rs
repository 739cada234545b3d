//! Services within a process; [`process`], [`unread`]: on a real port.

mod process;
mod unread;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{Request, Response, StatusCode, header};
use riwaq_clock::SystemClock;
use tokio::sync::mpsc;

use super::*;
use crate::context;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::telemetry::MetricsHandle;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn http(router: Router, config: &ServerConfig) -> HttpService {
    let service = Service::new("test", TaskGroup::new()).rest(router, OpenApi::default());
    service.http(config, &SystemClock::shared())
}

async fn ask(
    service: &HttpService,
    request: http::request::Builder,
) -> (http::response::Parts, serde_json::Value) {
    let response = service
        .call(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    read(response.map(Body::new)).await
}

async fn read(response: Response<Body>) -> (http::response::Parts, serde_json::Value) {
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    (head, body)
}

#[tokio::test]
async fn every_error_is_a_problem_with_the_trace_of_the_request() {
    let router = Router::new()
        .route("/panic", get(async || -> String { panic!("boom") }))
        .route(
            "/library",
            get(async || (StatusCode::PAYLOAD_TOO_LARGE, "length limit exceeded")),
        )
        .route("/teapot", get(async || StatusCode::IM_A_TEAPOT))
        .route(
            "/mine",
            get(async || Problem::conflict("no").into_response()),
        );
    let service = http(router, &ServerConfig::default());
    for (path, status, code) in [
        ("/panic", 500, "internal"),
        ("/library", 413, "too_large"),
        ("/teapot", 418, "invalid_request"),
        ("/mine", 409, "conflict"),
        ("/nowhere", 404, "not_found"),
    ] {
        let (head, body) = ask(&service, Request::get(path).header("traceparent", TRACE)).await;
        assert_eq!(head.status, status, "{path}");
        assert_eq!(head.headers[header::CONTENT_TYPE], PROBLEM_JSON, "{path}");
        assert_eq!(body["code"], code, "{path}");
        assert_eq!(body["status"], status, "{path}");
        assert_eq!(
            body["trace_id"], "0af7651916cd43dd8448eb211c80319c",
            "{path}"
        );
        assert!(!body.to_string().contains("boom"));
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_those_that_exist() {
    let service = http(
        Router::new().route("/x", get(async || "").post(async || "")),
        &ServerConfig::default(),
    );
    let (head, body) = ask(&service, Request::delete("/x")).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(body["code"], "method_not_allowed");
    let allow = head.headers[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn html_and_json_errors_are_left_alone() {
    let router = Router::new()
        .route(
            "/page",
            get(async || (StatusCode::BAD_REQUEST, axum::response::Html("<p>no</p>"))),
        )
        .route(
            "/oauth",
            get(async || (StatusCode::BAD_REQUEST, axum::Json("invalid_grant"))),
        );
    let service = http(router, &ServerConfig::default());
    assert_eq!(ask(&service, Request::get("/page")).await.1, "<p>no</p>");
    assert_eq!(
        ask(&service, Request::get("/oauth")).await.1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn handlers_see_the_callers_trace_and_continue_it() {
    let router = Router::new().route(
        "/x",
        get(async || context::traceparent().unwrap_or_default()),
    );
    let service = http(router, &ServerConfig::default());
    let (_, seen) = ask(&service, Request::get("/x").header("traceparent", TRACE)).await;
    let seen = seen.as_str().unwrap();
    assert_eq!(seen[..36], TRACE[..36]);
    assert_ne!(seen[36..52], TRACE[36..52], "a step of its own");
    let (_, fresh) = ask(&service, Request::get("/x")).await;
    assert!(context::TraceContext::parse(fresh.as_str().unwrap()).is_some());
}

#[tokio::test]
async fn requests_beyond_the_limit_are_answered_503() {
    let (entered, mut inside) = mpsc::channel::<()>(1);
    let (leave, door) = tokio::sync::watch::channel(false);
    let handler = async move || {
        entered.send(()).await.unwrap();
        door.clone().wait_for(|open| *open).await.unwrap();
        "done"
    };
    let config = ServerConfig {
        max_requests: 1,
        ..ServerConfig::default()
    };
    let service = http(Router::new().route("/x", get(handler)), &config);
    let first = service.call(Request::get("/x").body(Body::empty()).unwrap());
    tokio::pin!(first);
    tokio::select! {
        _ = &mut first => panic!("answered too early"),
        _ = inside.recv() => {}
    }
    let (head, body) = ask(&service, Request::get("/x")).await;
    assert_eq!(
        (head.status.as_u16(), &body["code"]),
        (503, &"unavailable".into())
    );
    assert!(head.headers.contains_key(header::RETRY_AFTER));
    leave.send(true).unwrap();
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_service_that_routes_by_itself_labels_its_answers() {
    let handler = async || {
        let mut response = "x".into_response();
        response.extensions_mut().insert(RouteLabel("/own/{id}"));
        response
    };
    let service = http(
        Router::new().route("/{*rest}", get(handler)),
        &ServerConfig::default(),
    );
    ask(&service, Request::get("/own/7")).await;
    let metrics = MetricsHandle::install().render();
    let line = r#"riwaq_http_requests_total{service="test",method="GET",route="/own/{id}",status="200"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}
