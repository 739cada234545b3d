//! Refresh tokens, revocation, logout.

use http::StatusCode;
use riwaq_identity::EVENT_REVOKED;
use serde_json::{Value, json};

use super::directory::At;
use super::world::{PASSWORD, PORTAL_SECRET, World, new_password, next};

async fn signed_in(world: &World) -> (String, String) {
    pair(
        &world
            .login("zoe", PASSWORD)
            .await
            .expect(StatusCode::OK)
            .json(),
    )
}

fn pair(body: &Value) -> (String, String) {
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(world: &World, token: &str) -> super::world::Answer {
    world
        .post_json("/api/auth/refresh", &json!({ "refresh_token": token }))
        .await
}

#[tokio::test]
async fn a_refresh_token_gives_the_next_one() {
    let world = World::new().await;
    let (access, first) = signed_in(&world).await;
    world.advance(200);
    let (renewed, second) = pair(&refresh(&world, &first).await.expect(StatusCode::OK).json());
    assert!(renewed != access && second != first);
    assert!(world.accepts(&access).await && world.accepts(&renewed).await);
    // The verifier allows for five seconds between clocks.
    world.advance(306);
    assert!(!world.accepts(&renewed).await);
    refresh(&world, &second).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_go_on_with_the_same_token() {
    let world = World::new().await;
    let replica = world.replica();
    let (_, first) = signed_in(&world).await;
    let (one, two) = futures::join!(refresh(&world, &first), refresh(&replica, &first));
    let (one, two) = (
        pair(&one.expect(StatusCode::OK).json()),
        pair(&two.expect(StatusCode::OK).json()),
    );
    assert_eq!(one.1, two.1);
    assert!(world.accepts(&one.0).await && world.accepts(&two.0).await);
    world.advance(10);
    let (_, late) = pair(&refresh(&world, &first).await.expect(StatusCode::OK).json());
    assert_eq!(late, one.1);
    world.advance(3600);
    refresh(&world, &one.1).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_replayed_refresh_token_ends_its_session() {
    let world = World::new().await;
    let (_, first) = signed_in(&world).await;
    let (access, second) = pair(&refresh(&world, &first).await.json());
    world.advance(11);
    assert!(world.accepts(&access).await);
    refresh(&world, &first)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    assert!(!world.accepts(&access).await);
    refresh(&world, &second)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_forged_or_foreign_refresh_token_ends_nothing() {
    let world = World::new().await;
    let (access, good) = signed_in(&world).await;
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for bad in [forged.as_str(), "", "x", "rt1.", access.as_str()] {
        refresh(&world, bad).await.expect(StatusCode::UNAUTHORIZED);
    }
    // Of another client, by the issuer's own endpoint.
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", good.as_str()),
    ];
    let answer = world
        .form_basic("/auth/token", ("riwaq-gateway", PORTAL_SECRET), &fields)
        .await;
    assert_eq!(
        answer.expect(StatusCode::BAD_REQUEST).json()["error"],
        "invalid_grant"
    );
    assert!(world.accepts(&access).await);
    refresh(&world, &good).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn sessions_that_are_not_used_or_are_too_old_are_over() {
    const DAY: u64 = 86_400;
    let world = World::new().await;
    let (_, mut token) = signed_in(&world).await;
    let (_, idle) = signed_in(&world).await;
    for _ in 0..3 {
        world.advance(9 * DAY);
        token = pair(&refresh(&world, &token).await.expect(StatusCode::OK).json()).1;
    }
    refresh(&world, &idle)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world.advance(3 * DAY);
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_logout_is_stored_told_and_effective_before_it_is_answered() {
    let world = World::new().await;
    let replica = world.replica();
    let mut told = world.listen(&[EVENT_REVOKED]).await;
    let (access, token) = signed_in(&world).await;
    world
        .post_json_as("/api/auth/logout", &access, &json!({}))
        .await
        .expect(StatusCode::NO_CONTENT);
    assert!(!world.accepts(&access).await, "here at once");
    let event = next(&mut told).await;
    assert_eq!(event.data["kind"], "sid");
    assert!(
        replica.accepts(&access).await,
        "another replica does not know yet"
    );
    replica.identity.revoke(event.data_as().unwrap());
    assert!(!replica.accepts(&access).await, "it does once it is told");
    let started_later = world.replica();
    started_later.identity.load_revocations().await.unwrap();
    assert!(
        !started_later.accepts(&access).await,
        "and so does one that starts now"
    );
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    // A new sign-in is not concerned.
    let (fresh, _) = signed_in(&world).await;
    assert!(started_later.accepts(&fresh).await);
}

#[tokio::test]
async fn logout_takes_either_token_and_asks_for_one() {
    let world = World::new().await;
    let (access, token) = signed_in(&world).await;
    world
        .post_json("/api/auth/logout", &json!({ "refresh_token": token }))
        .await
        .expect(StatusCode::NO_CONTENT);
    assert!(!world.accepts(&access).await);
    world
        .post_json("/api/auth/logout", &json!({}))
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world
        .post_json("/api/auth/logout", &json!({ "refresh_token": "unknown" }))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .post_json("/api/auth/logout", &json!({ "x": 1 }))
        .await
        .expect(StatusCode::UNPROCESSABLE_ENTITY);
    let (access, _) = signed_in(&world).await;
    let request =
        http::Request::post("/api/auth/logout").header("authorization", format!("Bearer {access}"));
    world
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await
        .expect(StatusCode::NO_CONTENT);
    assert!(!world.accepts(&access).await);
}

#[tokio::test]
async fn the_revocation_endpoint_takes_both_kinds_of_its_own_clients_tokens() {
    let world = World::new().await;
    let (access, token) = signed_in(&world).await;
    let client = ("riwaq-gateway", PORTAL_SECRET);
    for foreign in [access.as_str(), token.as_str(), "garbage"] {
        world
            .form_basic("/auth/revoke", client, &[("token", foreign)])
            .await
            .expect(StatusCode::OK);
    }
    assert!(
        world.accepts(&access).await,
        "tokens of another client stay"
    );
    world
        .form_basic("/auth/revoke", client, &[])
        .await
        .expect(StatusCode::BAD_REQUEST);
    world
        .form_basic("/auth/revoke", ("riwaq-gateway", "x"), &[("token", "x")])
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let own = world
        .auth
        .tokens
        .for_password(&world.zoe().await)
        .await
        .unwrap()
        .unwrap();
    let fields = [
        ("token", own.access_token.as_str()),
        ("client_id", "riwaq-password"),
    ];
    world
        .form("/auth/revoke", &fields)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn changed_roles_refuse_old_tokens_and_new_ones_work_at_once() {
    let world = World::new().await;
    let zoe = world.zoe().await.id;
    let (old, token) = signed_in(&world).await;
    world
        .auth
        .set_roles(zoe, ["teacher".to_owned()].into())
        .await
        .unwrap();
    assert!(!world.accepts(&old).await);
    // In the same millisecond, and again, and again.
    let (new, token) = pair(&refresh(&world, &token).await.expect(StatusCode::OK).json());
    let verified = world.identity.verify(&new).await.unwrap();
    assert_eq!(verified.roles, vec![Box::from("teacher")]);
    world
        .auth
        .set_roles(zoe, ["admin".to_owned()].into())
        .await
        .unwrap();
    assert!(!world.accepts(&new).await);
    let (newest, _) = pair(&refresh(&world, &token).await.expect(StatusCode::OK).json());
    assert!(world.accepts(&newest).await);
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_old_tokens() {
    let world = World::new().await;
    let zoe = world.zoe().await.id;
    let (access, token) = signed_in(&world).await;
    world
        .auth
        .accounts
        .update(zoe, new_password("another long password"))
        .await
        .unwrap();
    assert!(!world.accepts(&access).await);
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world
        .login("zoe", PASSWORD)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let set = world
        .login("zoe", "another long password")
        .await
        .expect(StatusCode::OK)
        .json();
    let (access, token) = pair(&set);
    assert!(world.accepts(&access).await, "in the same millisecond");
    refresh(&world, &token).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_closed_or_removed_account_is_out_at_once() {
    let world = World::new().await;
    let zoe = world.zoe().await.id;
    let (access, token) = signed_in(&world).await;
    let close = riwaq_directory::AccountChange {
        status: Some(riwaq_directory::AccountStatus::Disabled),
        ..Default::default()
    };
    world.auth.accounts.update(zoe, close).await.unwrap();
    assert!(!world.accepts(&access).await);
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    world
        .login("zoe", PASSWORD)
        .await
        .expect(StatusCode::UNAUTHORIZED);

    let ali = world
        .ensure("ali@example.org", Some("ali"), &["student"])
        .await;
    let (access, token) = pair(&world.login("ali", PASSWORD).await.json());
    world.auth.accounts.delete(ali).await.unwrap();
    assert!(!world.accepts(&access).await);
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

/// The password was right when it was looked at, and is another one a moment later.
#[tokio::test]
async fn a_password_that_is_changed_during_a_sign_in_does_not_sign_in() {
    let world = World::new().await;
    let zoe = world.zoe().await;
    let pause = world.directory.pause(At::Verify);
    let change = async {
        pause.reached.notified().await;
        let other = new_password("another long password");
        world.auth.accounts.update(zoe.id, other).await.unwrap();
        pause.go_on.notify_one();
    };
    let (login, ()) = futures::join!(world.login("zoe", PASSWORD), change);
    login.expect(StatusCode::UNAUTHORIZED);
    // Whoever was verified before the change, and begins only now.
    assert_eq!(world.auth.tokens.for_password(&zoe).await.unwrap(), None);
}

/// Wherever in a sign-in or a refresh the roles change, no token with the old ones stays good.
#[tokio::test]
async fn a_token_that_is_under_way_while_roles_change_is_refused() {
    for refreshing in [true, false] {
        let world = World::new().await;
        let zoe = world.zoe().await.id;
        let (_, token) = signed_in(&world).await;
        let pause = world.directory.pause(At::Get);
        let change = async {
            pause.reached.notified().await;
            world
                .auth
                .set_roles(zoe, ["teacher".to_owned()].into())
                .await
                .unwrap();
            // Slower than any clock skew.
            world.advance(2);
            pause.go_on.notify_one();
        };
        let ask = async {
            if refreshing {
                refresh(&world, &token).await
            } else {
                world.login("zoe", PASSWORD).await
            }
        };
        let (answer, ()) = futures::join!(ask, change);
        if answer.status == StatusCode::OK {
            let (access, _) = pair(&answer.json());
            assert!(!world.accepts(&access).await, "refreshing: {refreshing}");
        }
        let (access, _) = signed_in(&world).await;
        assert!(world.accepts(&access).await);
    }
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_completed() {
    let world = World::new().await;
    let zoe = world.zoe().await.id;
    let (access, token) = signed_in(&world).await;
    let mut told = world.listen(&[EVENT_REVOKED, crate::ACCOUNT_CHANGED]).await;
    world
        .directory
        .lose_answers
        .store(1, std::sync::atomic::Ordering::SeqCst);
    let result = world
        .auth
        .accounts
        .update(zoe, new_password("another long password"))
        .await;
    assert!(result.is_err(), "nothing is acknowledged");
    assert!(world.accepts(&access).await, "and nothing followed yet");
    assert_eq!(
        world.auth.complete_unfinished().await.unwrap(),
        0,
        "it may still be under way"
    );
    world.advance(31);
    assert_eq!(world.auth.complete_unfinished().await.unwrap(), 1);
    assert!(!world.accepts(&access).await);
    refresh(&world, &token)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let kinds = [next(&mut told).await.kind, next(&mut told).await.kind];
    assert!(
        kinds.contains(&EVENT_REVOKED.to_owned())
            && kinds.contains(&crate::ACCOUNT_CHANGED.to_owned())
    );
    assert_eq!(
        world.auth.complete_unfinished().await.unwrap(),
        0,
        "once is enough"
    );
}

#[tokio::test]
async fn revocations_are_listed_until_no_token_can_be_alive() {
    let world = World::new().await;
    let (access, _) = signed_in(&world).await;
    world
        .post_json_as("/api/auth/logout", &access, &json!({}))
        .await
        .expect(StatusCode::NO_CONTENT);
    world
        .auth
        .set_roles(world.zoe().await.id, ["teacher".to_owned()].into())
        .await
        .unwrap();
    let listed = async || world.auth.tokens.revocations.list().await.unwrap().len();
    assert_eq!(listed().await, 2);
    world.advance(300);
    assert_eq!(listed().await, 2, "clocks may differ");
    world.advance(31);
    assert_eq!(listed().await, 0);
}
