//! HTTPS with a certificate from files, on a real listener.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use chrono::DateTime;
use riwaq_clock::{ManualClock, SystemClock};
use riwaq_kit::service::{AcmeConfig, TlsConfig, inspect_certificate};
use riwaq_test_kit::ReservedPort;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use support::{
    Authority, first, folder, hello, hello_again, metric, shake, shown, start, until, write,
};

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let (_kept, folder) = folder();
    let authority = Authority::new();
    let tls = write(&folder, &authority.issue("localhost", 2100));
    let running = start(tls, SystemClock::shared()).await;
    let roots = authority.roots();
    for version in [&TLS12, &TLS13] {
        let stream = shake(running.address, &roots, &[version], b"http/1.1").await;
        let stream = stream.expect("shakes hands");
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.protocol_version(), Some(version.version));
        let answer = hello(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("salam"),
            "{answer}"
        );
    }
    let stream = shake(running.address, &roots, &[&TLS13], b"h2")
        .await
        .expect("shakes hands");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    drop(stream);

    // A handshake (22) that begins with the server's hello (2): nothing else is wrong with this message.
    let answer = first_message(running.address, 3).await;
    assert_eq!((answer[0], answer[5]), (22, 2), "TLS 1.2");
    for minor in [1, 2] {
        let answer = first_message(running.address, minor).await;
        // Alert (21), fatal (2), protocol_version (70): RFC 5246, section 7.2.
        let alert = (answer[0], answer[5], answer[6]);
        assert_eq!(alert, (21, 2, 70), "TLS 1.{}", minor - 1);
    }
    // Without TLS there is no answer in clear text.
    let mut plain = TcpStream::connect(running.address).await.expect("connects");
    plain
        .write_all(b"GET /hello HTTP/1.1\r\n\r\n")
        .await
        .expect("is sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    running.stop().await;
}

/// Sends the first message of TLS 1.0 (minor 1), 1.1 (minor 2) or 1.2 (minor 3); how the answer begins.
async fn first_message(address: std::net::SocketAddr, minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    // 22 bytes of extensions: the group x25519, uncompressed points, and ECDSA on P-256 with SHA-256.
    body.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 29, 0, 11, 0, 2, 1, 0]);
    body.extend([0, 13, 0, 4, 0, 2, 4, 3]);
    let mut message = vec![1, 0, 0, u8::try_from(body.len()).expect("short")];
    message.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).expect("short")];
    record.extend(message);
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(&record).await.expect("is sent");
    let mut answer = vec![0; 7];
    stream.read_exact(&mut answer).await.expect("an alert");
    answer
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (_kept, folder) = folder();
    let authority = Authority::new();
    let old = authority.issue("localhost", 2100);
    let tls = write(&folder, &old);
    let now = SystemClock::shared().now();
    let clock = ManualClock::at(now);
    let running = start(tls, clock.clone()).await;
    let roots = authority.roots();
    let address = running.address;
    let shows = async |chain: &str| {
        let stream = shake(address, &roots, &[&TLS13], b"http/1.1").await;
        shown(&stream.expect("shakes hands")) == first(chain)
    };
    let refused = "riwaq_tls_reloads_total{outcome=\"refused\"}";
    let is_looked_at = async |times: f64| {
        until("the files are read again", || {
            clock.advance(Duration::from_secs(11));
            async move { metric(refused) >= Some(times) }
        })
        .await;
    };
    assert!(shows(&old.0).await);
    // Every certificate of these tests ends in that year.
    let left = metric("riwaq_tls_certificate_expires_seconds").expect("is known");
    let end = DateTime::from_timestamp(4_102_444_800, 0).expect("the first day of 2100");
    let years = (end - now).num_days() as f64 / 365.25;
    assert!((left / 31_557_600.0 - years).abs() < 2.0, "{left} {years}");
    let mut open = shake(address, &roots, &[&TLS13], b"http/1.1")
        .await
        .expect("shakes hands");
    assert!(hello_again(&mut open).await);

    let new = authority.issue("localhost", 2101);
    // Half of it: a certificate without its key.
    std::fs::write(folder.join("cert.pem"), &new.0).expect("is written");
    is_looked_at(1.0).await;
    assert!(shows(&old.0).await, "a key of another");
    std::fs::write(folder.join("cert.pem"), "rubbish").expect("is written");
    is_looked_at(2.0).await;
    assert!(shows(&old.0).await, "rubbish");
    std::fs::remove_file(folder.join("key.pem")).expect("is removed");
    is_looked_at(3.0).await;
    assert!(shows(&old.0).await, "no key");
    write(&folder, &authority.issue("localhost", 2001));
    is_looked_at(4.0).await;
    assert!(shows(&old.0).await, "an expired one");

    write(&folder, &new);
    until("the new certificate is shown", || {
        clock.advance(Duration::from_secs(11));
        shows(&new.0)
    })
    .await;
    assert_eq!(shown(&open), first(&old.0));
    assert!(
        hello_again(&mut open).await,
        "a connection of before goes on"
    );
    drop(open);
    running.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start_and_to_who_looks() {
    let (_kept, folder) = folder();
    let authority = Authority::new();
    let good = write(&folder, &authority.issue("localhost", 2100));
    let facts = inspect_certificate(&good).await.expect("is good");
    let facts = facts.expect("is there");
    assert_eq!(facts.names, ["localhost"]);
    assert_eq!(facts.until.timestamp(), 4_102_444_800);
    let (_other_kept, other) = support::folder();
    let of_another = write(&other, &authority.issue("localhost", 2100));
    let empty = folder.join("empty.pem");
    std::fs::write(&empty, "\n").expect("is written");
    let with = |change: &dyn Fn(&mut TlsConfig)| {
        let mut tls = good.clone();
        change(&mut tls);
        tls
    };
    for (tls, words) in [
        (
            with(&|tls| tls.certificate_file = "/nonexistent/cert.pem".into()),
            ["certificate_file: /nonexistent/cert.pem", "No such file"],
        ),
        (
            with(&|tls| tls.certificate_file = empty.clone()),
            ["certificate_file: ", "empty.pem: it is empty"],
        ),
        (
            with(&|tls| tls.certificate_file = good.key_file.clone()),
            ["certificate_file: ", "there is none in it"],
        ),
        (
            with(&|tls| tls.key_file = empty.clone()),
            ["key_file: ", "empty.pem: it is empty"],
        ),
        (
            with(&|tls| tls.key_file = good.certificate_file.clone()),
            ["key_file: ", "there is none in it"],
        ),
        (
            with(&|tls| tls.key_file = of_another.key_file.clone()),
            ["key_file: ", "does not belong to the certificate in"],
        ),
        (TlsConfig::default(), ["certificate_file: ", "is not set"]),
    ] {
        let looked = inspect_certificate(&tls).await.expect_err("is refused");
        let running = start(tls, SystemClock::shared()).await;
        let started = running.ended().await.expect_err("is refused");
        for error in [looked.to_string(), started.to_string()] {
            let named = error.starts_with(&format!("server.tls.{}", words[0]));
            assert!(named && error.contains(words[1]), "{error}");
        }
    }
    let never = with(&|tls| tls.reload_seconds = 0);
    let running = start(never, SystemClock::shared()).await;
    let error = running.ended().await.expect_err("is refused").to_string();
    assert!(error.contains("server.tls.reload_seconds"), "{error}");
}

/// A port of the test's own.
fn port() -> ReservedPort {
    ReservedPort::new().expect("a port")
}

/// Asks a port in clear text; the whole answer.
async fn plain(port: u16, path: &str) -> String {
    let connecting = TcpStream::connect(("127.0.0.1", port)).await;
    let mut stream = connecting.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("is read");
    answer
}

#[tokio::test]
async fn the_second_port_sends_everybody_to_the_first() {
    let (_kept, folder) = folder();
    let authority = Authority::new();
    let second = port();
    let port = second.port();
    let tls = TlsConfig {
        redirect_port: Some(port),
        ..write(&folder, &authority.issue("localhost", 2100))
    };
    let running = start(tls, SystemClock::shared()).await;
    let https = running.address.port();
    until("the second port is open", || async {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await;
    let answer = plain(port, "/hello?x=1").await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    let location = format!("location: https://localhost:{https}/hello?x=1\r\n");
    assert!(answer.contains(&location), "{answer}");
    assert!(!answer.contains("salam"), "{answer}");
    let stream = shake(running.address, &authority.roots(), &[&TLS13], b"http/1.1").await;
    assert!(
        hello(stream.expect("shakes hands"))
            .await
            .ends_with("salam")
    );
    running.stop().await;
}

#[tokio::test]
async fn a_protocol_of_acme_is_not_spoken_without_acme() {
    let (_kept, folder) = folder();
    let authority = Authority::new();
    let tls = write(&folder, &authority.issue("localhost", 2100));
    let running = start(tls, SystemClock::shared()).await;
    let stream = shake(
        running.address,
        &authority.roots(),
        &[&TLS13],
        b"acme-tls/1",
    )
    .await;
    assert!(stream.is_err());
    running.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_away_does_not_stop_the_listener() {
    let (_kept, folder) = folder();
    let (away, second) = (port(), port());
    let acme = AcmeConfig {
        domains: vec!["localhost".into()],
        accept_terms: true,
        directory_url: format!("https://localhost:{}/dir", away.port()),
        folder: folder.join("acme"),
        ..AcmeConfig::default()
    };
    let tls = TlsConfig {
        acme: Some(acme.clone()),
        ..TlsConfig::default()
    };
    let facts = inspect_certificate(&tls).await.expect("may be asked");
    assert_eq!(facts, None, "there is none yet");
    let running = start(
        TlsConfig {
            redirect_port: Some(second.port()),
            ..tls.clone()
        },
        SystemClock::shared(),
    )
    .await;
    until("an order failed", || async {
        metric("riwaq_tls_acme_orders_total{outcome=\"failed\"}") >= Some(1.0)
    })
    .await;
    let roots = Authority::new().roots();
    let shaken = shake(running.address, &roots, &[&TLS13], b"http/1.1").await;
    assert!(shaken.is_err(), "there is no certificate");
    let answer = plain(second.port(), "/hello").await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    running.stop().await;

    let refused = TlsConfig {
        acme: Some(AcmeConfig {
            accept_terms: false,
            ..acme
        }),
        ..tls.clone()
    };
    let both = TlsConfig {
        certificate_file: "cert.pem".into(),
        ..tls
    };
    for (tls, word) in [(refused, "accept_terms"), (both, "not both")] {
        let running = start(tls, SystemClock::shared()).await;
        let error = running.ended().await.expect_err("is refused").to_string();
        assert!(error.contains(word), "{error}");
    }
}
