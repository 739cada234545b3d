use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use http::HeaderValue;
use riwaq_clock::SystemClock;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use utoipa::openapi::OpenApi;

use super::*;
use crate::service::{Process, ServerConfig, Service};
use crate::tasks::TaskGroup;
use crate::telemetry::MetricsHandle;

const SIZE: usize = 5_000_000;

fn content() -> Vec<u8> {
    (0..SIZE as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect()
}

#[derive(Deserialize)]
struct Asked {
    start: u64,
    end: u64,
    #[serde(default)]
    encoded: bool,
}

/// Answers with a range of the file; its own body is of other bytes, so that it is seen which of the two was sent.
fn answer(file: &Arc<File>, asked: &Asked) -> Response<Body> {
    let length = asked.end - asked.start;
    let mut response = Response::new(Body::from(vec![b'#'; usize::try_from(length).unwrap()]));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    if asked.encoded {
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    }
    response
        .extensions_mut()
        .insert(FileContent::new(Arc::clone(file), asked.start..asked.end));
    response
}

/// A server with the file at `/file` and something else at `/word`.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's own server, ended with the test"
)]
async fn start() -> (SocketAddr, oneshot::Sender<()>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let file = Arc::new(file);
    let router = Router::new().route("/word", get(async || "word")).route(
        "/file",
        get(async move |Query(asked): Query<Asked>| answer(&file, &asked)),
    );
    let service = Service::new("test", TaskGroup::new()).rest(router, OpenApi::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let process = Process::new(
        SystemClock::shared(),
        ServerConfig::default(),
        MetricsHandle::install(),
    );
    tokio::spawn(process.serve(service, listener, async move {
        let _ = stopped.await;
    }));
    (address, stop)
}

/// Reads one answer: its head in lower case, and as many bytes as it announces.
async fn read(stream: &mut TcpStream, pause: bool) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    for part in body.chunks_mut(300_000) {
        if pause {
            // A slow reader: the socket is full again and again.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream.read_exact(part).await.unwrap();
    }
    (head, body)
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_other_answers_take_turns_on_a_connection() {
    let (address, _stop) = start().await;
    let whole = content();
    let mut stream = TcpStream::connect(address).await.unwrap();
    for (start, end) in [
        (0, SIZE),
        (1, 2),
        (0, 1 << 20),
        (1_048_575, 1_048_577),
        (4_999_999, SIZE),
        (77, 3_000_001),
    ] {
        ask(&mut stream, &format!("/file?start={start}&end={end}")).await;
        let (head, body) = read(&mut stream, false).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(body == whole[start..end], "{start}..{end}");
        ask(&mut stream, "/word").await;
        assert_eq!(read(&mut stream, false).await.1, b"word");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_ahead_are_answered_in_order() {
    let (address, _stop) = start().await;
    let whole = content();
    let mut stream = TcpStream::connect(address).await.unwrap();
    for n in 0..8_usize {
        ask(
            &mut stream,
            &format!("/file?start={}&end={}", n * 1_000, n * 1_000 + 200_000),
        )
        .await;
        ask(&mut stream, "/word").await;
    }
    for n in 0..8_usize {
        assert!(
            read(&mut stream, false).await.1 == whole[n * 1_000..n * 1_000 + 200_000],
            "answer {n}"
        );
        assert_eq!(read(&mut stream, false).await.1, b"word");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_get_every_byte_and_do_not_disturb_each_other() {
    let (address, _stop) = start().await;
    let whole = content();
    let readers = (0..12_usize).map(async |n| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        ask(&mut stream, &format!("/file?start={n}&end={}", SIZE - n)).await;
        if n % 4 == 3 {
            // This one goes away in the middle.
            let mut some = [0; 1_000];
            stream.read_exact(&mut some).await.unwrap();
            return true;
        }
        read(&mut stream, n % 2 == 0).await.1 == whole[n..SIZE - n]
    });
    let right = futures::future::join_all(readers).await;
    assert!(right.iter().all(|right| *right), "{right:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_the_file_as_it_is_keeps_its_body() {
    let (address, _stop) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream, "/file?start=0&end=100&encoded=true").await;
    assert_eq!(read(&mut stream, false).await.1, [b'#'; 100]);
    ask(&mut stream, "/file?start=5&end=5").await;
    assert_eq!(read(&mut stream, false).await.1, b"");
    stream
        .write_all(b"HEAD /file?start=0&end=100 HTTP/1.1\r\nHost: test\r\n\r\n")
        .await
        .unwrap();
    ask(&mut stream, "/word").await;
    let mut answers = vec![0; 4_096];
    let mut length = 0;
    while !answers[..length].ends_with(b"word") {
        length += stream.read(&mut answers[length..]).await.unwrap();
    }
    let text = String::from_utf8_lossy(&answers[..length]);
    assert!(
        !text.contains('#') && text.contains("content-length: 100"),
        "{text}"
    );
}

#[tokio::test]
async fn over_http_2_the_body_itself_is_sent() {
    use hyper_util::client::legacy::Client;
    let (address, _stop) = start().await;
    let client = Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = http::Request::get(format!("http://{address}/file?start=0&end=1000"))
        .body(Body::empty())
        .unwrap();
    let answer = client.request(request).await.unwrap().map(Body::new);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .unwrap();
    assert_eq!(body, vec![b'#'; 1_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_became_shorter_ends_the_connection() {
    let (address, _stop) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream, &format!("/file?start=0&end={}", SIZE + 10)).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    assert!(
        all.len() > SIZE && !all.ends_with(b"#") && !all.ends_with(&[0; 11]),
        "{} bytes",
        all.len()
    );
}

#[tokio::test]
async fn what_the_kernel_does_not_send_is_copied() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let mut rest = FileContent::new(Arc::new(file), 10..100_010);
    while rest.len() > 0 {
        server.writable().await.unwrap();
        let length = usize::try_from(rest.len()).unwrap();
        match server.try_io(Interest::WRITABLE, || copy(&server, &rest, length)) {
            Ok(sent) => rest.range.start += sent as u64,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    let mut received = vec![0; 100_000];
    client.read_exact(&mut received).await.unwrap();
    assert!(received == content()[10..100_010]);
}

#[test]
fn only_blanks_are_taken_for_blanks() {
    assert!(is_blank(&BLANK[..1]) && is_blank(&BLANK[PIECE_BYTES - 1..]));
    assert!(!is_blank(&[0; 8]) && !is_blank(b""));
}
