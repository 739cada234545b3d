//! What cannot work is said at the start, clearly and without secrets.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and the server that it plays ends with it"
)]

mod support;

use std::time::{Duration, Instant};

use riwaq_blobs::{Blobs, BlobsError, NewUpload};
use riwaq_blobs_s3::{Config, OpenError, S3Blobs};
use riwaq_clock::SystemClock;
use riwaq_test_kit::ReservedPort;
use support::{Bucket, servers};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

async fn refused(config: Config) -> OpenError {
    let began = Instant::now();
    let opened = S3Blobs::open(config, SystemClock::shared()).await;
    let error = opened.expect_err("it cannot be opened");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "it took {took:?}: {error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_or_secret_is_refused_at_once() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        for config in [
            Config {
                secret_key: "the-wrong-secret".into(),
                ..bucket.config.clone()
            },
            Config {
                access_key: "nobody".into(),
                ..bucket.config.clone()
            },
        ] {
            let error = refused(config.clone()).await;
            let text = error.to_string();
            assert!(matches!(error, OpenError::Denied { .. }), "{text}");
            assert!(
                text.contains(&config.endpoint) && text.contains("refuses the access key"),
                "{text}"
            );
            assert!(!text.contains(&config.secret_key), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_refused_at_once() {
    let Some(server) = support::versitygw() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.pem");
    let other =
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("written");
    let config = Config {
        ca_file: Some(path.clone()),
        ..server.config.clone()
    };
    let error = refused(config.clone()).await;
    assert!(matches!(error, OpenError::Certificate { .. }), "{error}");
    for not_one in [
        &b"no certificate at all"[..],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&path, not_one).expect("written");
        let error = refused(config.clone()).await;
        assert!(
            matches!(
                error,
                OpenError::Config {
                    field: "ca_file",
                    ..
                }
            ),
            "{error}"
        );
    }
    drop(folder);
    let error = refused(config).await;
    assert!(
        matches!(
            error,
            OpenError::Config {
                field: "ca_file",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_bucket_is_made_only_where_it_may_be() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let config = Config {
            create_bucket: false,
            ..bucket.config.clone()
        };
        let error = refused(config.clone()).await;
        assert!(
            matches!(&error, OpenError::NoBucket(name) if *name == config.bucket),
            "{error}"
        );
        let clock = SystemClock::shared();
        // Several replicas that start at once.
        let open = || S3Blobs::open(bucket.config.clone(), clock.clone());
        let (one, two, three) = futures::join!(open(), open(), open());
        for opened in [one, two, three] {
            opened.expect("opened").ping().await.expect("works");
        }
        S3Blobs::open(config, clock).await.expect("it is there now");
        bucket.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_answers_is_said_after_the_configured_time() {
    let port = ReservedPort::new().expect("a port");
    let config = Config {
        endpoint: format!("http://{}", port.address()),
        access_key: "key".into(),
        secret_key: "very-secret".into(),
        startup_timeout_seconds: 1,
        ..Config::default()
    };
    let error = refused(config).await;
    assert!(matches!(error, OpenError::Unavailable { .. }), "{error}");
    assert!(!format!("{error:?}").contains("very-secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ignores_conditions_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = Config {
        endpoint: format!("http://{}", listener.local_addr().expect("an address")),
        access_key: "key".into(),
        secret_key: "secret".into(),
        startup_timeout_seconds: 1,
        ..Config::default()
    };
    let opening = refused(config);
    let serving = async {
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            tokio::task::spawn(agree(connection));
        }
    };
    let error = tokio::select! {
        error = opening => error,
        () = serving => unreachable!(),
    };
    assert!(
        matches!(&error, OpenError::Unsuitable { reason, .. } if reason.contains("If-")),
        "{error}"
    );
}

/// A server that finds everything good.
async fn agree(connection: TcpStream) {
    let mut connection = BufReader::new(connection);
    loop {
        let (mut length, mut line, mut listing) = (0, String::new(), false);
        loop {
            line.clear();
            match connection.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let lower = line.to_ascii_lowercase();
            listing |= lower.starts_with("get ");
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await.expect("a body");
        let text = if listing {
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        } else {
            ""
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\netag: \"0123\"\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        if connection.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_that_the_server_cannot_do_is_said_at_the_start() {
    let Some(server) = support::minio() else {
        return;
    };
    let bucket = Bucket::new(&server);
    let clock = SystemClock::shared();
    let blobs = S3Blobs::open(bucket.config.clone(), clock.clone())
        .await
        .expect("opened");
    let new = NewUpload {
        max_bytes: 1,
        expires_after: Duration::ZERO,
    };
    let refusal = blobs.begin(new).await;
    assert!(
        matches!(refusal, Err(BlobsError::InvalidInput { .. })),
        "{refusal:?}"
    );
    // This MinIO has no key store.
    let error = refused(Config {
        server_side_encryption: "AES256".into(),
        ..bucket.config.clone()
    })
    .await;
    assert!(matches!(error, OpenError::Unsuitable { .. }), "{error}");
    bucket.remove().await;
}
