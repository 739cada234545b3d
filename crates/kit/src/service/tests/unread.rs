//! What a handler leaves unread, over a real connection.

use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::start;
use super::*;

/// More than the kernel takes in for somebody who does not read.
const LARGE: usize = 12 << 20;

#[tokio::test]
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
    let running = start(service, ServerConfig::default(), false).await;

    let mut stream = TcpStream::connect(running.address).await.unwrap();
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
    running.stop().await;
}
