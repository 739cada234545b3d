use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};

use async_trait::async_trait;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{any, get};
use riwaq_api::SystemResolver;
use riwaq_clock::SystemClock;
use riwaq_kit::{MetricsHandle, Process, ServerConfig, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;

struct Replica {
    url: Url,
    hits: Arc<AtomicU32>,
    is_ready: Arc<AtomicBool>,
    _stop: oneshot::Sender<()>,
}

#[expect(clippy::disallowed_methods, reason = "a server for one test")]
async fn replica() -> Replica {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let hits = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&hits);
    let echo = async move |request: Request<Body>| {
        counter.fetch_add(1, Ordering::SeqCst);
        let host = request
            .headers()
            .get("host")
            .map(|host| host.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .unwrap();
        format!("{} {}", host.unwrap_or_default(), body.len())
    };
    let talk = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                socket
                    .send(Message::Text(format!("echo {text}").into()))
                    .await
                    .unwrap();
            }
        })
    };
    let router = Router::new().route("/x", any(echo)).route("/ws", get(talk));
    let is_ready = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&is_ready);
    let service = Service::new("courses", TaskGroup::new())
        .rest(router, utoipa::openapi::OpenApi::default())
        .check("test", move || {
            let is_ready = asked.load(Ordering::SeqCst);
            async move { is_ready.then_some(()).ok_or("not yet".into()) }
        });
    let (stop, stopped) = oneshot::channel::<()>();
    let process = Process::new(
        SystemClock::shared(),
        ServerConfig::default(),
        MetricsHandle::install(),
    );
    tokio::spawn(process.serve(service, listener, async move {
        let _ = stopped.await;
    }));
    Replica {
        url,
        hits,
        is_ready,
        _stop: stop,
    }
}

/// An address at which nobody listens.
async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    Url::parse(&format!("http://{address}")).unwrap()
}

/// An address at which nobody listens any more once it has said that it is ready.
#[expect(clippy::disallowed_methods, reason = "a server for one test")]
async fn dying() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 1024]).await;
        let ready = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(ready).await.unwrap();
    });
    Url::parse(&format!("http://{address}")).unwrap()
}

fn over(urls: &[Url]) -> HttpService {
    with_names(urls, Arc::new(SystemResolver)).unwrap()
}

fn with_names(urls: &[Url], resolver: Arc<dyn Resolver>) -> Result<HttpService, UpstreamError> {
    remote(
        "courses",
        urls,
        resolver,
        SystemClock::shared(),
        TaskGroup::new(),
    )
}

fn get_x() -> Request<Body> {
    Request::get("/x").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn requests_are_spread_over_the_replicas() {
    let replicas = [replica().await, replica().await];
    let service = over(&[replicas[0].url.clone(), replicas[1].url.clone()]);
    for _ in 0..20 {
        assert_eq!(
            service.call(get_x()).await.unwrap().status(),
            StatusCode::OK
        );
    }
    for replica in &replicas {
        assert_eq!(replica.hits.load(Ordering::SeqCst), 10);
    }
}

#[tokio::test]
async fn a_dead_replica_costs_no_request_without_a_body() {
    let alive = replica().await;
    let service = over(&[nobody().await, alive.url.clone()]);
    for _ in 0..20 {
        assert_eq!(
            service.call(get_x()).await.unwrap().status(),
            StatusCode::OK
        );
    }
    assert_eq!(alive.hits.load(Ordering::SeqCst), 20);
    let post = Request::post("/x").body(Body::from("hello")).unwrap();
    let answer = service.call(post).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
    assert!(body.ends_with(b" 5"), "the dead one is left alone");
}

#[tokio::test]
async fn a_dead_replica_costs_no_request_with_a_body_either() {
    let alive = replica().await;
    for _ in 0..4 {
        // Each has seen the other alive.
        let service = over(&[dying().await, alive.url.clone()]);
        for _ in 0..2 {
            let post = Request::post("/x").body(Body::from("hello")).unwrap();
            let answer = service.call(post).await.unwrap();
            let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
            assert!(body.ends_with(b" 5"), "the body came with it");
        }
    }
    assert_eq!(alive.hits.load(Ordering::SeqCst), 8);
}

/// Asks until the last of `replicas` has got none of 20 requests, or some.
async fn until_it_gets(requests: bool, service: &HttpService, last: &Replica) {
    let began = std::time::Instant::now();
    loop {
        let before = last.hits.load(Ordering::SeqCst);
        for _ in 0..20 {
            let answer = service.call(get_x()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
        if (last.hits.load(Ordering::SeqCst) > before) == requests {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it never does");
    }
}

#[tokio::test]
async fn a_replica_that_is_not_ready_gets_no_request_until_it_is() {
    let replicas = [replica().await, replica().await];
    let service = over(&[replicas[0].url.clone(), replicas[1].url.clone()]);
    replicas[1].is_ready.store(false, Ordering::SeqCst);
    until_it_gets(false, &service, &replicas[1]).await;
    let before = replicas[1].hits.load(Ordering::SeqCst);
    for _ in 0..100 {
        service.call(get_x()).await.unwrap();
    }
    assert_eq!(replicas[1].hits.load(Ordering::SeqCst), before);
    replicas[1].is_ready.store(true, Ordering::SeqCst);
    until_it_gets(true, &service, &replicas[1]).await;
}

#[tokio::test]
async fn nor_does_it_get_the_first_request_of_a_gateway_that_starts() {
    for which in 0..2 {
        let replicas = [replica().await, replica().await];
        replicas[which].is_ready.store(false, Ordering::SeqCst);
        let service = over(&[replicas[0].url.clone(), replicas[1].url.clone()]);
        for _ in 0..10 {
            service.call(get_x()).await.unwrap();
        }
        assert_eq!(replicas[which].hits.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn where_none_is_ready_they_are_asked_all_the_same() {
    let replicas = [replica().await, replica().await];
    for replica in &replicas {
        replica.is_ready.store(false, Ordering::SeqCst);
    }
    let service = over(&[replicas[0].url.clone(), replicas[1].url.clone()]);
    for _ in 0..40 {
        // Their own refusals say more than ours could.
        let answer = service.call(get_x()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A name that stands for whatever the test says.
#[derive(Debug, Default)]
struct Book(Mutex<Vec<SocketAddr>>);

#[async_trait]
impl Resolver for Book {
    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        assert_eq!((host, port), ("courses.test", 8080));
        Ok(self.0.lock().unwrap().clone())
    }
}

impl Book {
    fn write(&self, replicas: &[&Replica]) {
        let addresses = replicas
            .iter()
            .map(|replica| replica.url.socket_addrs(|| None).unwrap()[0]);
        *self.0.lock().unwrap() = addresses.collect();
    }
}

#[tokio::test]
async fn every_address_of_a_name_gets_requests_also_one_that_comes_later_and_none_that_is_gone() {
    let replicas = [replica().await, replica().await, replica().await];
    let book = Arc::new(Book::default());
    let name = Url::parse("http://courses.test:8080").unwrap();
    let service = with_names(&[name], book.clone()).unwrap();
    let error = service.call(get_x()).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(UpstreamError::Name { .. })),
        "{error}"
    );
    book.write(&[&replicas[0], &replicas[1]]);
    for _ in 0..20 {
        service.call(get_x()).await.unwrap();
    }
    for replica in &replicas[..2] {
        assert_eq!(replica.hits.load(Ordering::SeqCst), 10);
    }
    replicas[2].is_ready.store(false, Ordering::SeqCst);
    book.write(&[&replicas[1], &replicas[2]]);
    until_it_gets(false, &service, &replicas[0]).await;
    assert_eq!(
        replicas[2].hits.load(Ordering::SeqCst),
        0,
        "it has not said that it is ready"
    );
    replicas[2].is_ready.store(true, Ordering::SeqCst);
    until_it_gets(true, &service, &replicas[2]).await;
}

#[tokio::test]
async fn one_address_that_was_away_is_used_again() {
    let replica = replica().await;
    let book = Arc::new(Book::default());
    let name = Url::parse("http://courses.test:8080").unwrap();
    let service = with_names(&[name], book.clone()).unwrap();
    let away = nobody().await.socket_addrs(|| None).unwrap();
    *book.0.lock().unwrap() = away;
    service.call(get_x()).await.unwrap_err();
    book.write(&[&replica]);
    let began = std::time::Instant::now();
    while service.call(get_x()).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never is");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let service = over(&[nobody().await]);
    let error = service.call(get_x()).await.unwrap_err();
    assert!(
        matches!(
            error.downcast_ref(),
            Some(UpstreamError::Connect {
                role: "courses",
                ..
            })
        ),
        "{error}"
    );
}

/// Takes connections, reads a request, and breaks off.
#[expect(clippy::disallowed_methods, reason = "a server for one test")]
async fn breaking() -> (Url, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap_or(0);
            if !head[..read].starts_with(b"GET /readyz") {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (Url::parse(&format!("http://{address}")).unwrap(), taken)
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_not_sent_twice() {
    let (url, taken) = breaking().await;
    let service = over(&[url.clone(), url]);
    let post = Request::post("/x").body(Body::empty()).unwrap();
    let error = service.call(post).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(UpstreamError::Broken { .. })),
        "{error}"
    );
    assert_eq!(taken.load(Ordering::SeqCst), 1);
    let error = service.call(get_x()).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(UpstreamError::Broken { .. })),
        "{error}"
    );
    assert_eq!(
        taken.load(Ordering::SeqCst),
        2,
        "nor a read whose route does not say that it may"
    );
    let mut read = get_x();
    read.extensions_mut().insert(MayRepeat);
    let error = service.call(read).await.unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(UpstreamError::Broken { .. })),
        "{error}"
    );
    assert_eq!(
        taken.load(Ordering::SeqCst),
        5,
        "one that may is tried twice more"
    );
}

#[tokio::test]
async fn an_upgraded_connection_is_joined_end_to_end() {
    let replica = replica().await;
    let service = over(std::slice::from_ref(&replica.url));
    let front = Router::new().route(
        "/ws",
        any(async move |request: Request<Body>| service.call(request).await.unwrap()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let front =
        Service::new("front", TaskGroup::new()).rest(front, utoipa::openapi::OpenApi::default());
    let process = Process::new(
        SystemClock::shared(),
        ServerConfig::default(),
        MetricsHandle::install(),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = process.serve(front, listener, async move {
        let _ = stopped.await;
    });
    let received = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&received);
    let talk = async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // One masked text frame, "hi", with a mask of zeros (RFC 6455, section 5.2).
        stream
            .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
            .await
            .unwrap();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&sink.lock().unwrap()).contains("echo hi") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(
                read > 0,
                "closed early: {}",
                String::from_utf8_lossy(&sink.lock().unwrap())
            );
            sink.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
        stop.send(()).unwrap();
    };
    let (drained, ()) = futures::join!(serving, talk);
    drained.unwrap();
    assert!(String::from_utf8_lossy(&received.lock().unwrap()).starts_with("HTTP/1.1 101"));
}

#[tokio::test]
async fn addresses_that_are_not_http_are_refused() {
    for bad in ["https://x", "unix:/run/x"] {
        let url = Url::parse(bad).unwrap();
        assert!(
            with_names(&[url], Arc::new(SystemResolver)).is_err(),
            "{bad}"
        );
    }
    assert!(with_names(&[], Arc::new(SystemResolver)).is_err());
}
