//! The proxy in front of a server that answers what it is sent.

use std::io::ErrorKind;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes, shorter than anybody's patience.
const SOON: Duration = Duration::from_secs(20);
/// Long enough that an answer would have come on loopback.
const SILENCE: Duration = Duration::from_millis(200);

/// Answers what it is sent, with its own letter in front of each connection.
async fn echo(letter: u8, tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = writer.write_all(&[letter]).await;
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

async fn open(proxy: &ChaosProxy) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let letter = timeout(SOON, stream.read_u8()).await.unwrap().unwrap();
    (stream, letter)
}

async fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_upstreams_take_turns() {
    let mut tasks = JoinSet::new();
    let upstreams = [echo(b'a', &mut tasks).await, echo(b'b', &mut tasks).await];
    let proxy = ChaosProxy::start(upstreams, 1).unwrap();
    let mut letters = Vec::new();
    for _ in 0..4 {
        let (mut stream, letter) = open(&proxy).await;
        assert_eq!(say(&mut stream, b"salam").await.unwrap(), b"salam");
        letters.push(letter);
    }
    assert_eq!(letters, b"abab");
    assert_eq!(proxy.accepted(), 4);
    assert_eq!(proxy.bytes(), 4 * (1 + 2 * 5));
}

#[tokio::test]
async fn an_upstream_that_refuses_is_passed_over() {
    let mut tasks = JoinSet::new();
    let gone = ReservedPort::new().unwrap();
    let upstreams = [gone.address(), echo(b'b', &mut tasks).await];
    let proxy = ChaosProxy::start(upstreams, 1).unwrap();
    for _ in 0..3 {
        assert_eq!(open(&proxy).await.1, b'b');
    }
    let all_gone = ChaosProxy::start([gone.address()], 1).unwrap();
    let mut stream = TcpStream::connect(all_gone.address()).await.unwrap();
    let reset = timeout(SOON, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_is_closed_at_one_end_is_closed_at_the_other() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([echo(b'a', &mut tasks).await], 1).unwrap();
    let (mut stream, _) = open(&proxy).await;
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    timeout(SOON, stream.read_to_end(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard, b"last words");
}

#[tokio::test]
async fn latency_is_late_keeps_order_and_is_no_throttle() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([echo(b'a', &mut tasks).await], 7).unwrap();
    let delay = Duration::from_millis(60);
    let jitter = Duration::from_millis(20);
    proxy.set(Fault::Latency { delay, jitter }).await;
    let began = Instant::now();
    let (mut stream, _) = open(&proxy).await;
    // Connecting and the letter on its way back, each at least 40 ms.
    assert!(began.elapsed() >= Duration::from_millis(80));
    let text: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let began = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let mut heard = vec![0; text.len()];
    let (sent, received) = tokio::join!(writer.write_all(&text), reader.read_exact(&mut heard));
    sent.unwrap();
    received.unwrap();
    assert!(heard == text, "order must be kept");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(80), "{took:?}");
    // 64 pieces each way, one after the other, would be 7.7 s.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_throttle_lets_so_much_pass_and_no_more() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([echo(b'a', &mut tasks).await], 1).unwrap();
    let (mut stream, _) = open(&proxy).await;
    proxy
        .set(Fault::Throttle {
            bytes_per_second: 200_000,
        })
        .await;
    let began = Instant::now();
    let text = vec![7; 60_000];
    assert!(say(&mut stream, &text).await.unwrap() == text);
    // 0.3 s, and the way back overlaps with the way there.
    assert!(began.elapsed() >= Duration::from_millis(290));
}

#[tokio::test]
async fn a_cut_resets_what_is_open_refuses_what_comes_and_heals() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([echo(b'a', &mut tasks).await], 1).unwrap();
    for _ in 0..2 {
        let (mut stream, _) = open(&proxy).await;
        proxy.set(Fault::Cut).await;
        let reset = timeout(SOON, stream.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.set(Fault::None).await;
        let (mut stream, _) = open(&proxy).await;
        assert_eq!(say(&mut stream, b"back").await.unwrap(), b"back");
    }
}

#[tokio::test]
async fn a_half_open_line_is_silent_and_is_reset_when_it_heals() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([echo(b'a', &mut tasks).await], 1).unwrap();
    let (mut old, _) = open(&proxy).await;
    proxy.set(Fault::HalfOpen).await;
    let passed = proxy.bytes();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(b"is anybody there?").await.unwrap();
        assert!(timeout(SILENCE, stream.read_u8()).await.is_err());
    }
    assert_eq!(proxy.bytes(), passed);
    proxy.set(Fault::None).await;
    for stream in [&mut old, &mut new] {
        let reset = timeout(SOON, stream.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    }
    let (mut stream, _) = open(&proxy).await;
    assert_eq!(say(&mut stream, b"yes").await.unwrap(), b"yes");
}

/// Sends the numbers from zero on, four bytes each, to whoever connects.
async fn counting(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut counters = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            counters.spawn(async move {
                let mut number = 0_u32;
                while stream.write_u32(number).await.is_ok() {
                    number += 1;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_line_swallowed_while_it_was_silent_leaves_no_gap() {
    let mut tasks = JoinSet::new();
    let proxy = ChaosProxy::start([counting(&mut tasks).await], 1).unwrap();
    for _ in 0..100 {
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let mut stream = tokio::io::BufReader::new(stream);
        // The kernel takes a connection before the proxy does: one that it has not taken yet lives through nothing.
        let first = timeout(SOON, stream.read_u32()).await.unwrap().unwrap();
        assert_eq!(first, 0);
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let mut expected = 1;
            while let Ok(number) = stream.read_u32().await {
                assert_eq!(number, expected);
                expected += 1;
            }
        });
        tokio::time::sleep(Duration::from_millis(2)).await;
        proxy.set(Fault::HalfOpen).await;
        proxy.set(Fault::None).await;
        let read = timeout(SOON, reading.join_next()).await.unwrap();
        read.unwrap().unwrap();
    }
}

#[tokio::test]
async fn upstreams_can_be_exchanged_and_it_ends_when_dropped() {
    let mut tasks = JoinSet::new();
    let (first, second) = (echo(b'a', &mut tasks).await, echo(b'b', &mut tasks).await);
    let proxy = ChaosProxy::start([first], 1).unwrap();
    assert_eq!(open(&proxy).await.1, b'a');
    proxy.set_upstreams([second]).unwrap();
    let (mut stream, letter) = open(&proxy).await;
    assert_eq!(letter, b'b');
    let address = proxy.address();
    drop(proxy);
    assert!(
        timeout(SOON, stream.read(&mut [0; 1]))
            .await
            .unwrap()
            .map_or(true, |read| read == 0)
    );
    let refused = timeout(SOON, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await.unwrap();
}
