//! The issuer's keys: rotation, withdrawal, outage, strangers.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use riwaq_clock::ManualClock;
use riwaq_identity::testing::{TestIssuer, TestKey};
use riwaq_identity::{HttpKeys, KeyFetcher, Refused};
use riwaq_kit::HttpService;
use uuid::Uuid;

fn world() -> (Arc<ManualClock>, Arc<TestIssuer>) {
    let clock = ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap());
    let issuer = TestIssuer::new(clock.clone());
    (clock, issuer)
}

#[tokio::test]
async fn a_new_key_is_found_by_its_id_and_the_old_one_goes_on() {
    let (clock, issuer) = world();
    let identity = issuer.identity();
    let old = issuer.user_token(Uuid::new_v4(), &[]);
    identity.verify(&old).await.unwrap();
    issuer.rotate_to(TestKey::ed25519("test-2"));
    clock.advance(Duration::from_secs(2));
    identity
        .verify(&issuer.user_token(Uuid::new_v4(), &[]))
        .await
        .unwrap();
    identity.verify(&old).await.unwrap();
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn tokens_of_a_withdrawn_key_are_refused_although_they_were_remembered() {
    let (clock, issuer) = world();
    let identity = issuer.identity();
    let old = issuer.user_token(Uuid::new_v4(), &[]);
    identity.verify(&old).await.unwrap();
    issuer.rotate_to(TestKey::ed25519("test-2"));
    issuer.withdraw_old_keys();
    clock.advance(Duration::from_secs(2));
    identity.refresh_keys().await.unwrap();
    assert_eq!(
        identity.verify(&old).await.unwrap_err(),
        Refused::UnknownKey
    );
}

#[tokio::test]
async fn another_key_under_the_same_id_is_a_change_too() {
    let (clock, issuer) = world();
    issuer.rotate_to(TestKey::ed25519("same"));
    issuer.withdraw_old_keys();
    let identity = issuer.identity();
    let old = issuer.user_token(Uuid::new_v4(), &[]);
    identity.verify(&old).await.unwrap();
    issuer.rotate_to(TestKey::ed25519("same"));
    issuer.withdraw_old_keys();
    clock.advance(Duration::from_secs(300));
    identity
        .verify(&issuer.user_token(Uuid::new_v4(), &[]))
        .await
        .unwrap();
    let refused = identity.verify(&old).await.unwrap_err();
    assert_eq!(
        refused,
        Refused::Signature,
        "it was remembered, and is not any more"
    );
}

#[tokio::test]
async fn invented_key_ids_do_not_make_us_ask_the_issuer_all_the_time() {
    let (clock, issuer) = world();
    let identity = issuer.identity();
    identity
        .verify(&issuer.user_token(Uuid::new_v4(), &[]))
        .await
        .unwrap();
    for second in 0..10 {
        clock.advance(Duration::from_secs(1));
        for n in 0..20 {
            let stranger = TestKey::ed25519(&format!("stranger-{second}-{n}"));
            let token = stranger.sign(&issuer.user_claims(Uuid::new_v4(), &[]));
            assert_eq!(
                identity.verify(&token).await.unwrap_err(),
                Refused::UnknownKey
            );
        }
    }
    assert!(
        issuer.fetches() <= 6,
        "{} fetches in 10 s",
        issuer.fetches()
    );
}

#[tokio::test]
async fn callers_at_once_share_one_fetch() {
    let (_, issuer) = world();
    let identity = issuer.identity();
    let tokens: Vec<_> = (0..50)
        .map(|_| issuer.user_token(Uuid::new_v4(), &[]))
        .collect();
    let outcomes =
        futures::future::join_all(tokens.iter().map(|token| identity.verify(token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_signs_nobody_out() {
    let (clock, issuer) = world();
    let identity = issuer.identity();
    identity
        .verify(&issuer.user_token(Uuid::new_v4(), &[]))
        .await
        .unwrap();
    issuer.set_down(true);
    clock.advance(Duration::from_secs(1_000));
    identity
        .verify(&issuer.user_token(Uuid::new_v4(), &[]))
        .await
        .unwrap();
    assert_eq!(issuer.fetches(), 2, "it was tried");
}

#[tokio::test]
async fn without_any_keys_it_is_our_trouble_not_the_callers() {
    let (clock, issuer) = world();
    issuer.set_down(true);
    let identity = issuer.identity();
    let token = issuer.user_token(Uuid::new_v4(), &[]);
    assert_eq!(
        identity.verify(&token).await.unwrap_err(),
        Refused::Unavailable
    );
    issuer.set_down(false);
    clock.advance(Duration::from_secs(2));
    identity.verify(&token).await.unwrap();
}

#[tokio::test]
async fn keys_are_fetched_over_http() {
    let (clock, issuer) = world();
    let document = serde_json::json!({"keys": [issuer.signing_key().jwk]}).to_string();
    let router = Router::new()
        .route("/jwks", get(async move || document))
        .route(
            "/broken",
            get(async || (http::StatusCode::INTERNAL_SERVER_ERROR, "no")),
        )
        .route("/huge", get(async || "x".repeat(1_000_000)))
        .route("/silent", get(async || std::future::pending::<()>().await));
    let fetch = |path: &str| {
        let address = format!("http://auth.internal:8080{path}");
        let keys = HttpKeys::new(HttpService::local(router.clone()), address, clock.clone());
        async move { keys.fetch().await }
    };
    assert!(fetch("/jwks").await.unwrap().starts_with(b"{\"keys\""));
    for path in ["/broken", "/missing", "/huge"] {
        assert!(fetch(path).await.is_err(), "{path}");
    }
    let silent = fetch("/silent");
    tokio::pin!(silent);
    assert!(futures::poll!(&mut silent).is_pending());
    clock.advance(Duration::from_secs(5));
    assert!(silent.await.unwrap_err().reason.contains("no answer"));
}
