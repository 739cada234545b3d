//! The gateway on a real port.

use std::net::SocketAddr;
use std::sync::Arc;

use riwaq_clock::SharedClock;
use riwaq_kit::{MetricsHandle, Process, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::world::World;

struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

#[expect(clippy::disallowed_methods, reason = "a server for one test")]
async fn start(world: &World) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let clock = Arc::clone(&world.clock) as SharedClock;
    let process = Process::new(clock, ServerConfig::default(), MetricsHandle::install());
    tokio::spawn(process.serve(world.service(), listener, async move {
        let _ = stopped.await;
    }));
    Running {
        address,
        _stop: stop,
    }
}

impl Running {
    /// Sends bytes as they are and reads until the other side closes.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_its_request_id() {
    let running = start(&World::new()).await;
    for path in [
        "/",
        "/api/courses",
        "/api/nothing",
        "/livez",
        "/api/%zz",
        "/metrics",
    ] {
        let answer = running
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        for header in [
            "content-security-policy: ",
            "x-content-type-options: nosniff",
            "referrer-policy: ",
            "strict-transport-security: max-age=",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(header), "{path}: {header}\n{head}");
        }
        assert!(!head.contains("unsafe-inline"), "{path}");
        if path.starts_with("/api") {
            assert!(head.contains("x-request-id: "), "{path}");
        }
    }
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_are_not_passed_on() {
    let running = start(&World::new()).await;
    let smuggled = "GET /api/admin/users HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, head) in [
        (
            "two lengths",
            format!(
                "Content-Length: 5\r\nContent-Length: {}\r\n",
                smuggled.len()
            ),
        ),
        ("two hosts", "Host: y\r\nContent-Length: 5\r\n".to_owned()),
        ("a length with a sign", "Content-Length: +5\r\n".to_owned()),
        (
            "space before the colon",
            "Content-Length : 5\r\n".to_owned(),
        ),
        (
            "an unknown encoding",
            "Transfer-Encoding: xchunked\r\n".to_owned(),
        ),
        (
            "an encoding twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        ),
    ] {
        let request = format!(
            "POST /api/courses HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\nhello{smuggled}"
        );
        let answer = running.raw(&request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.is_empty(),
            "{what}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            usize::from(!answer.is_empty()),
            "{what}: {answer}"
        );
    }
    // Both framings at once: the length does not count, and the rest is not another request.
    let both = "POST /api/courses HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 40\r\n\
                Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/admin/users HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = running.raw(both).await;
    assert!(!answer.contains("/api/admin/users"), "{answer}");
    assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
}

#[tokio::test]
async fn a_drain_answers_what_it_took() {
    let world = World::new();
    let running = start(&world).await;
    let answer = running
        .raw("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
