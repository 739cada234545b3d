//! A process on a real port.

use std::net::SocketAddr;
use std::time::Duration;

use axum::routing::post;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::*;
use crate::tasks::TaskFailed;

pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<Drained, ServeError>>,
    client: Client<HttpConnector, Body>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test joins the server itself"
)]
pub(super) async fn start(service: Service, config: ServerConfig, public: bool) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let process = Process::new(SystemClock::shared(), config, MetricsHandle::install());
    let service = if public { service.public() } else { service };
    let ended = tokio::spawn(process.serve(service, listener, async move {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        ended,
        client: Client::builder(TokioExecutor::new()).build_http(),
    }
}

impl Running {
    pub(super) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    async fn get(&self, path: &str) -> (http::response::Parts, serde_json::Value) {
        self.send(Request::get(path)).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
    ) -> (http::response::Parts, serde_json::Value) {
        let mut request = request.body(Body::empty()).unwrap();
        let path = request.uri().path_and_query().unwrap().to_string();
        *request.uri_mut() = format!("http://{}{path}", self.address).parse().unwrap();
        read(self.client.request(request).await.unwrap().map(Body::new)).await
    }
}

#[tokio::test]
async fn one_port_serves_rest_grpc_health_reflection_probes_and_metrics() {
    let service = Service::new("one-port", TaskGroup::new())
        .rest(
            Router::new().route("/api/things", get(async || "[]")),
            OpenApi::default(),
        )
        .grpc(Routes::default())
        .check("records", || async { Ok(()) });
    let running = start(service, ServerConfig::default(), false).await;

    assert_eq!(running.get("/api/things").await.1, serde_json::json!([]));
    assert_eq!(running.get("/api/none").await.1["code"], "not_found");
    assert_eq!(running.get("/livez").await.0.status, StatusCode::OK);
    assert_eq!(running.get("/readyz").await.0.status, StatusCode::OK);
    let (_, health) = running.get("/health").await;
    assert_eq!(
        health["checks"][0],
        serde_json::json!({ "service": "one-port", "name": "records", "ok": true })
    );

    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut client = HealthClient::new(channel.clone());
    let status = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner()
        .status;
    assert_eq!(status, ServingStatus::Serving as i32);

    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(list),
    };
    let answers = ServerReflectionClient::new(channel.clone());
    let mut answers = { answers }
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        list.service
            .iter()
            .any(|service| service.name == "grpc.health.v1.Health")
    );

    let (_, metrics) = running.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for line in [
        r#"riwaq_http_requests_total{service="one-port",method="GET",route="/api/things",status="200"} 1"#,
        r#"riwaq_http_requests_total{service="one-port",method="GET",route="unmatched",status="404"} 1"#,
        r#"riwaq_grpc_requests_total{service="one-port",method="/grpc.health.v1.Health/Check",code="0"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    drop((client, channel, answers));
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap().unwrap().cut_off, 0);
}

#[tokio::test]
async fn what_is_not_ready_says_so() {
    let service = Service::new("broken", TaskGroup::new())
        .check("records", || async { Err("no route to db7".into()) });
    let running = start(service, ServerConfig::default(), false).await;
    let (head, body) = running.get("/readyz").await;
    assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["status"], "not_ready");
    assert!(
        !body.to_string().contains("db7"),
        "the reason is for the log"
    );
    assert_eq!(running.get("/livez").await.0.status, StatusCode::OK);
    running.stop().await;
}

#[tokio::test]
async fn a_drain_finishes_requests_and_changes_and_stops_accepting() {
    let tasks = TaskGroup::new();
    let (entered, mut inside) = mpsc::channel::<()>(1);
    let (leave, door) = tokio::sync::watch::channel(false);
    let group = tasks.clone();
    let handler = async move || {
        let mut door = door.clone();
        let entered = entered.clone();
        group
            .run(async move {
                let _ = entered.send(()).await;
                let _ = door.wait_for(|open| *open).await;
                Ok::<_, TaskFailed>("done")
            })
            .await
            .map_err(Problem::from)
    };
    let (told, background_ended) = oneshot::channel();
    let service = Service::new("drain", tasks)
        .rest(Router::new().route("/x", post(handler)), OpenApi::default())
        .background("loop", |closing| async move {
            closing.cancelled().await;
            let _ = told.send(());
        });
    let running = start(service, ServerConfig::default(), false).await;
    let request = Request::post(format!("http://{}/x", running.address))
        .body(Body::empty())
        .unwrap();
    let answer = running.client.request(request);
    tokio::pin!(answer);
    tokio::select! {
        _ = &mut answer => panic!("answered too early"),
        _ = inside.recv() => {}
    }
    running.stop.send(()).unwrap();
    background_ended.await.unwrap();
    let refused = tokio::net::TcpStream::connect(running.address).await;
    assert!(refused.is_err(), "the port is closed");
    assert!(!running.ended.is_finished());
    leave.send(true).unwrap();
    let (_, body) = read(answer.await.unwrap().map(Body::new)).await;
    assert_eq!(body, "done");
    assert_eq!(
        running.ended.await.unwrap().unwrap(),
        Drained { cut_off: 0 }
    );
}

#[tokio::test]
async fn before_it_ends_every_answer_asks_for_another_connection() {
    let service = Service::new("leaving", TaskGroup::new()).rest(
        Router::new().route("/x", get(async || "here")),
        OpenApi::default(),
    );
    let config = ServerConfig {
        drain_delay_seconds: 2,
        ..ServerConfig::default()
    };
    let running = start(service, config, false).await;
    let (head, _) = running.get("/x").await;
    assert!(!head.headers.contains_key("connection"));
    running.stop.send(()).unwrap();
    // It says that it is not ready, and answers.
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let request = || {
        let request = Request::get(format!("http://{}/x", running.address));
        running.client.request(request.body(Body::empty()).unwrap())
    };
    loop {
        let answer = request().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        if answer
            .headers()
            .get("connection")
            .is_some_and(|value| value == "close")
        {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "it never asks");
    }
    assert_eq!(
        running.ended.await.unwrap().unwrap(),
        Drained { cut_off: 0 }
    );
}

#[tokio::test]
async fn whoever_stays_too_long_is_cut_off() {
    let handler = async || std::future::pending::<String>().await;
    let service = Service::new("stuck", TaskGroup::new())
        .rest(Router::new().route("/x", get(handler)), OpenApi::default());
    let config = ServerConfig {
        drain_seconds: 1,
        ..ServerConfig::default()
    };
    let running = start(service, config, false).await;
    let request = Request::get(format!("http://{}/x", running.address))
        .body(Body::empty())
        .unwrap();
    let answer = running.client.request(request);
    tokio::pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err());
    running.stop.send(()).unwrap();
    let drained = running.ended.await.unwrap().unwrap();
    assert!(drained.cut_off > 0);
    assert!(answer.await.is_err());
}

#[tokio::test]
async fn oversized_heads_are_problems() {
    let service = Service::new("heads", TaskGroup::new());
    let config = ServerConfig {
        max_head_bytes: 10_000,
        ..ServerConfig::default()
    };
    let running = start(service, config, false).await;
    let (head, body) = running.get(&format!("/{}", "a".repeat(9000))).await;
    assert_eq!(
        (head.status.as_u16(), &body["code"]),
        (414, &"uri_too_long".into())
    );
    let (head, body) = running
        .send(Request::get("/").header("x-large", "a".repeat(10_000)))
        .await;
    assert_eq!(
        (head.status.as_u16(), &body["code"]),
        (431, &"headers_too_large".into())
    );
    running.stop().await;
}

#[tokio::test]
async fn every_answer_of_a_public_listener_is_finished_and_named() {
    let service = Service::new("finish", TaskGroup::new()).finish(|response| {
        response
            .headers_mut()
            .insert("x-finished", http::HeaderValue::from_static("yes"));
    });
    let running = start(service, ServerConfig::default(), true).await;
    for path in ["/none", "/livez", &format!("/{}", "a".repeat(9000))] {
        let (head, _) = running
            .send(Request::get(path).header("traceparent", TRACE))
            .await;
        assert_eq!(head.headers["x-finished"], "yes", "{path}");
    }
    let (head, _) = running
        .send(Request::get("/none").header("traceparent", TRACE))
        .await;
    assert_eq!(
        head.headers["x-request-id"],
        "0af7651916cd43dd8448eb211c80319c"
    );
    running.stop().await;
}

#[tokio::test]
async fn metrics_of_a_public_listener_are_for_operators() {
    let config = ServerConfig {
        metrics_token: Some(crate::Secret::new("scrape")),
        ..ServerConfig::default()
    };
    let running = start(Service::new("public", TaskGroup::new()), config, true).await;
    let status =
        async |request: http::request::Builder| running.send(request).await.0.status.as_u16();
    assert_eq!(
        status(Request::get("/metrics")).await,
        200,
        "from this machine"
    );
    let proxied = || Request::get("/metrics").header("x-forwarded-for", "192.0.2.1");
    assert_eq!(status(proxied()).await, 401);
    assert_eq!(
        status(proxied().header(header::AUTHORIZATION, "Bearer wrong")).await,
        401
    );
    assert_eq!(
        status(proxied().header(header::AUTHORIZATION, "Bearer scrape")).await,
        200
    );
    running.stop().await;
}
