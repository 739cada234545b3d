//! What a handler leaves unread, over a real connection.

use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

/// More than the kernel takes in for somebody who does not read.
const LARGE: usize = 12 << 20;

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test joins the server itself"
)]
async fn whoever_still_writes_gets_the_answer_that_was_given_early() {
    let (answers, mut answered) = mpsc::unbounded_channel();
    let refuse = move || {
        let answers = answers.clone();
        async move {
            answers.send(()).unwrap();
            Problem::forbidden("not you")
        }
    };
    let router = Router::new().route("/x", post(refuse));
    let service = Service::new("unread", TaskGroup::new()).rest(router, OpenApi::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let clock = SystemClock::shared();
    let process = Process::new(clock, ServerConfig::default(), MetricsHandle::install());
    let ended = tokio::spawn(process.serve(service, listener, async move {
        let _ = stopped.await;
    }));

    let mut stream = TcpStream::connect(address).await.unwrap();
    // Twice over one connection: it stays usable.
    for _ in 0..2 {
        let head = format!("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        answered.recv().await.unwrap();
        stream.write_all(&vec![b'0'; LARGE]).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = stream.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    }
    drop(stream);
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
}
