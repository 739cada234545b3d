//! Links by which the server itself serves: under its public name, as long as they live, as what they say.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and lives by the server's own time"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use riwaq_blobs::{BlobKey, Blobs, BlobsError, Presign};
use riwaq_blobs_s3::Config;
use riwaq_clock::{ManualClock, SharedClock, SystemClock};
use support::{Bucket, Server, open, servers};
use url::Url;

/// The other name of loopback: the server answers to both, and a link is good for one.
fn other_name(endpoint: &str) -> String {
    if endpoint.contains("localhost") {
        endpoint.replace("localhost", "127.0.0.1")
    } else {
        endpoint.replace("127.0.0.1", "localhost")
    }
}

fn browser(server: &Server) -> reqwest::Client {
    // Another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder();
    if let Some(path) = &server.config.ca_file {
        let pem = std::fs::read(path).expect("the authority");
        builder = builder
            .add_root_certificate(reqwest::Certificate::from_pem(&pem).expect("a certificate"));
    }
    builder.build().expect("a client")
}

fn wanted(seconds: u64) -> Presign {
    Presign {
        expires_after: Duration::from_secs(seconds),
        content_disposition: "attachment; filename=\"lecture.pdf\"; filename*=UTF-8''%D9%85%D8%AD%D8%A7%D8%B6%D8%B1%D8%A9.pdf".into(),
        media_type: "application/pdf".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_works_under_the_public_name_and_no_other() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let public = other_name(&server.config.endpoint);
        let config = Config {
            public_endpoint: public.clone(),
            ..bucket.config.clone()
        };
        let clock: SharedClock = SystemClock::shared();
        let blobs = open(config, &clock).await;
        let info = support::stored(&blobs, b"the whole lecture").await;
        let link = blobs
            .presign(&info.key, &wanted(300))
            .await
            .expect("signed")
            .expect("a link");
        assert!(link.as_str().starts_with(&public), "{link}");
        let browser = browser(&server);
        let answer = browser.get(link.clone()).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{}", server.name);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "application/pdf");
        assert_eq!(header("content-disposition"), wanted(1).content_disposition);
        assert_eq!(header("cache-control"), "private, no-store");
        assert_eq!(answer.bytes().await.expect("read"), "the whole lecture");
        // A range, as players ask for.
        let part = browser
            .get(link.clone())
            .header("range", "bytes=4-8")
            .send()
            .await
            .expect("an answer");
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes().await.expect("read"), "whole");
        for altered in altered(&link, &server.config.endpoint) {
            let answer = browser
                .get(altered.clone())
                .send()
                .await
                .expect("an answer");
            assert_eq!(
                answer.status(),
                StatusCode::FORBIDDEN,
                "{}: {altered}",
                server.name
            );
        }
        let put = browser
            .put(link.clone())
            .body("other content")
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            put.status(),
            StatusCode::FORBIDDEN,
            "a link to read does not write"
        );
        bucket.remove().await;
    }
}

/// The link with the internal name, with a longer life, with another disposition, and without its signature.
fn altered(link: &Url, internal: &str) -> Vec<Url> {
    let internal = Url::parse(internal).expect("a URL");
    let mut swapped = link.clone();
    swapped.set_host(internal.host_str()).expect("a host");
    let replaced = |from: &str, to: &str| {
        let text = link.as_str().replace(from, to);
        assert_ne!(text, link.as_str());
        Url::parse(&text).expect("a URL")
    };
    let mut unsigned = link.clone();
    unsigned.set_query(None);
    vec![
        swapped,
        replaced("X-Amz-Expires=300", "X-Amz-Expires=3000"),
        replaced("attachment", "inline"),
        replaced("application%2Fpdf", "text%2Fhtml"),
        unsigned,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_link_is_refused() {
    for server in servers() {
        let bucket = Bucket::new(&server);
        let manual = ManualClock::at(Utc::now() - TimeDelta::seconds(600));
        let clock: SharedClock = Arc::<ManualClock>::clone(&manual);
        let blobs = open(bucket.config.clone(), &clock).await;
        let info = support::stored(&blobs, b"content").await;
        // Signed ten minutes ago: one for five minutes, one for twenty.
        for (seconds, status) in [(300, StatusCode::FORBIDDEN), (1_200, StatusCode::OK)] {
            let link = blobs
                .presign(&info.key, &wanted(seconds))
                .await
                .expect("signed")
                .expect("a link");
            let answer = browser(&server).get(link).send().await.expect("an answer");
            assert_eq!(answer.status(), status, "{}: {seconds} s", server.name);
        }
        bucket.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_linked_to_says_so() {
    let Some(server) = support::minio() else {
        return;
    };
    let bucket = Bucket::new(&server);
    let clock: SharedClock = SystemClock::shared();
    let blobs = open(bucket.config.clone(), &clock).await;
    let unknown = blobs.presign(&BlobKey::random(), &wanted(300)).await;
    assert!(
        matches!(unknown, Err(BlobsError::BlobNotFound)),
        "{unknown:?}"
    );
    // Nothing is kept of it: the program serves it itself.
    let empty = support::stored(&blobs, b"").await;
    assert_eq!(
        blobs
            .presign(&empty.key, &wanted(300))
            .await
            .expect("answered"),
        None
    );
    let info = support::stored(&blobs, b"content").await;
    for seconds in [0, 7 * 24 * 3_600 + 1] {
        let refused = blobs.presign(&info.key, &wanted(seconds)).await;
        assert!(
            matches!(
                refused,
                Err(BlobsError::InvalidInput {
                    field: "expires_after",
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    bucket.remove().await;
}
