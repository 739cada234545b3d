//! Renewal of the tokens of sessions: once for all who wait, on every replica, and after a revocation.

use riwaq_clock::Clock as _;
use riwaq_identity::{Revocation, RevocationKind};
use uuid::Uuid;

use super::sessions::{begin, sign_in};
use super::world::{SECOND, World};

/// Lets time pass until `work` is done.
async fn in_time<T>(world: &World, step: std::time::Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    for _ in 0..1_000 {
        for _ in 0..50 {
            if let std::task::Poll::Ready(done) = futures::poll!(&mut work) {
                return done;
            }
            tokio::task::yield_now().await;
        }
        world.clock.advance(step);
    }
    panic!("it does not end");
}

/// Refuses what a person has been given until now.
fn revoke(world: &World, user: u128) {
    let now = world.clock.now().timestamp_millis();
    world.identity.revoke(Revocation {
        kind: RevocationKind::Subject,
        value: Uuid::from_u128(user).to_string(),
        not_before_unix_ms: now,
        expires_unix_ms: now + 600_000,
    });
}

/// Lets work go on until it waits for something.
async fn waits<T>(work: &mut (impl Future<Output = T> + Unpin)) {
    for _ in 0..100 {
        assert!(futures::poll!(&mut *work).is_pending());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tokens_are_renewed_once_for_all_who_wait() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.clock.advance(SECOND * 280);
    let replica = world.replica();
    let asked = (0..16).map(|number| {
        browser.get(
            if number % 2 == 0 {
                &world.gateway
            } else {
                &replica
            },
            "/api/courses",
        )
    });
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.status, 200);
        assert!(answer.json()["headers"]["authorization"].is_string());
    }
    assert_eq!(world.issuer.refreshed(), 1, "once for all replicas");
    for round in 0..5 {
        world.clock.advance(SECOND * 290);
        let answer = browser.get(&world.gateway, "/api/courses").await;
        assert!(
            answer.json()["headers"]["authorization"].is_string(),
            "{round}"
        );
    }
}

#[tokio::test]
async fn a_session_outlives_a_revoked_token_but_not_its_own_end() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.clock.advance(SECOND);
    revoke(&world, 7);
    let came = browser.get(&world.gateway, "/api/courses").await.json();
    assert!(
        came["headers"]["authorization"].is_string(),
        "a token with the new roles"
    );
    assert_eq!(world.issuer.refreshed(), 1);
    assert_eq!(
        browser
            .get(&world.gateway, "/api/auth/session")
            .await
            .status,
        200
    );
    assert_eq!(world.issuer.refreshed(), 1, "and no more than one");

    world.clock.advance(SECOND);
    revoke(&world, 7);
    world.issuer.forget_everybody();
    assert_eq!(
        browser
            .get(&world.gateway, "/api/auth/session")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn an_issuer_that_is_away_is_noticed_only_when_tokens_end() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.issuer.set_down(true);
    world.clock.advance(SECOND * 280);
    assert_eq!(
        browser.get(&world.gateway, "/api/courses").await.status,
        200
    );
    world.clock.advance(SECOND * 60);
    let answer = browser.get(&world.gateway, "/api/courses").await;
    assert_eq!((answer.status, answer.code()), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), "5");
    world.issuer.set_down(false);
    world.clock.advance(SECOND * 2);
    assert_eq!(
        browser.get(&world.gateway, "/api/courses").await.status,
        200,
        "and nobody was signed out"
    );
}

#[tokio::test]
async fn while_another_replica_renews_a_dead_token_is_waited_for_and_the_renewal_used() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let replica = world.replica();
    world.clock.advance(SECOND * 320);
    let held = world.issuer.hold();
    let mut first = std::pin::pin!(browser.get(&world.gateway, "/api/courses"));
    waits(&mut first).await;
    let mut second = std::pin::pin!(browser.get(&replica, "/api/courses"));
    waits(&mut second).await;
    held.notify_one();
    let first = first.await.json();
    let second = in_time(&world, SECOND / 10, second).await.json();
    assert_eq!(world.issuer.refreshed(), 1);
    assert_eq!(
        first["headers"]["authorization"],
        second["headers"]["authorization"]
    );
}

#[tokio::test]
async fn a_renewal_that_a_replica_did_not_end_is_taken_over() {
    let world = World::new();
    let browser = sign_in(&world).await;
    let replica = world.replica();
    world.clock.advance(SECOND * 320);
    // The first one dies here, for all that others see.
    let _held = world.issuer.hold();
    let mut first = Box::pin(browser.get(&world.gateway, "/api/courses"));
    waits(&mut first).await;
    let before = world.clock.now();
    let second = browser.get(&replica, "/api/courses");
    let second = in_time(&world, SECOND / 2, second).await;
    assert!(second.json()["headers"]["authorization"].is_string());
    let waited = world.clock.now() - before;
    assert!((14..=17).contains(&waited.num_seconds()), "{waited}");
    assert_eq!(world.issuer.refreshed(), 1);
}

#[tokio::test]
async fn a_failed_renewal_is_tried_again_without_waiting_for_a_claim() {
    let world = World::new();
    let browser = sign_in(&world).await;
    world.clock.advance(SECOND * 320);
    world.issuer.set_down(true);
    assert_eq!(
        browser.get(&world.gateway, "/api/courses").await.status,
        503
    );
    world.issuer.set_down(false);
    world.clock.advance(SECOND * 2);
    let replica = world.replica();
    assert_eq!(browser.get(&replica, "/api/courses").await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_says_whole_seconds_gives_a_token_that_counts_in_the_next() {
    let world = World::new();
    world.issuer.say_whole_seconds();
    let browser = sign_in(&world).await;
    world.clock.advance(SECOND * 7 / 2);
    let revoked_at = world.clock.now();
    revoke(&world, 7);
    let asked = browser.get(&world.gateway, "/api/courses");
    let came = in_time(&world, SECOND / 4, asked).await;
    assert!(came.json()["headers"]["authorization"].is_string());
    assert!((world.clock.now() - revoked_at).num_milliseconds() <= 2_000);

    // So does one who signs in within the second of a revocation.
    let back = begin(&world).await.signed_in(&world, 9);
    world.clock.advance(SECOND / 2);
    revoke(&world, 9);
    let back = in_time(&world, SECOND / 4, world.ask(back)).await;
    assert_eq!(back.status, 303, "{}", back.text());
    assert!(back.cookies().join(";").contains("riwaq_session="));
}
