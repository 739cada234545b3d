//! Signing in by password: answers that tell nothing, and slowing down.

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;

use super::world::{PASSWORD, World};

#[tokio::test]
async fn both_names_sign_in_and_me_tells_who() {
    let world = World::new().await;
    for login in ["zoe", "ZOE@Example.org"] {
        let set = world.login(login, PASSWORD).await.expect(StatusCode::OK);
        assert_eq!(set.header(http::header::CACHE_CONTROL), "no-store");
        let set = set.json();
        assert_eq!(
            (set["token_type"].as_str(), set["expires_in"].as_i64()),
            (Some("Bearer"), Some(300))
        );
        let me = world
            .get_as("/api/auth/me", set["access_token"].as_str().unwrap())
            .await;
        let me = me.expect(StatusCode::OK).json();
        assert_eq!(me["email"], "zoe@example.org");
        assert_eq!(me["roles"], json!(["student"]));
        assert_eq!(me["last_name_ar"], json!(null));
        assert!(
            me["permissions"]
                .as_array()
                .unwrap()
                .contains(&json!("assistant:use"))
        );
    }
    world
        .get("/api/auth/me")
        .await
        .expect(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_refusal_is_the_same_and_costs_one_hash() {
    let world = World::new().await;
    world.pending("pending@example.org").await;
    let closed = world.ensure("closed@example.org", None, &["student"]).await;
    let close = riwaq_directory::AccountChange {
        status: Some(riwaq_directory::AccountStatus::Disabled),
        ..Default::default()
    };
    world.auth.accounts.update(closed, close).await.unwrap();
    for _ in 0..6 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    let mut bodies = Vec::new();
    for (login, password) in [
        ("zoe", "wrong wrong wrong"),
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("pending@example.org", PASSWORD),
        ("closed@example.org", PASSWORD),
        ("not a name at all", PASSWORD),
        ("\u{202e}@@", PASSWORD),
    ] {
        let before = world.directory.verifications();
        let answer = world
            .login(login, password)
            .await
            .expect(StatusCode::UNAUTHORIZED);
        assert_eq!(world.directory.verifications() - before, 1, "{login}");
        let mut body = answer.json();
        assert_eq!(body["code"], "invalid_credentials");
        body.as_object_mut().unwrap().remove("trace_id");
        bodies.push(body);
    }
    assert!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "{bodies:?}"
    );
    // Slowed down: the right password, the same answer, the same cost.
    let before = world.directory.verifications();
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.directory.verifications() - before, 1);
}

#[tokio::test]
async fn nobody_locks_a_classmate_out() {
    let world = World::new().await;
    for _ in 0..50 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.login_from("198.51.100.2", "zoe", PASSWORD).await,
        StatusCode::OK,
        "from elsewhere"
    );
    let ali = world
        .ensure("ali@example.org", Some("ali"), &["student"])
        .await;
    assert!(!ali.is_nil());
    assert_eq!(
        world.login_from("198.51.100.1", "ali", PASSWORD).await,
        StatusCode::OK,
        "behind the same address"
    );
}

#[tokio::test]
async fn waits_grow_end_and_are_the_same_on_every_replica() {
    let world = World::new().await;
    let replica = world.replica();
    for _ in 0..5 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    assert_eq!(
        replica.login_from("198.51.100.1", "Zoe", PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    world.advance(2);
    world
        .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
        .await;
    world.advance(3);
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::UNAUTHORIZED,
        "four seconds now"
    );
    world.advance(1);
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::OK
    );
    // A success wipes the slate.
    for _ in 0..4 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn attempts_while_blocked_do_not_lengthen_the_wait() {
    let world = World::new().await;
    for _ in 0..5 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    for _ in 0..50 {
        world
            .login_from("198.51.100.1", "zoe", "wrong wrong wrong")
            .await;
    }
    world.advance(2);
    assert_eq!(
        world.login_from("198.51.100.1", "zoe", PASSWORD).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn many_tabs_at_once_sign_in() {
    let world = World::new().await;
    let logins = (0..20).map(|_| world.login_from("198.51.100.1", "zoe", PASSWORD));
    let answers = join_all(logins).await;
    assert!(
        answers.iter().all(|status| *status == StatusCode::OK),
        "{answers:?}"
    );
}

#[tokio::test]
async fn many_guesses_at_once_are_not_all_looked_at() {
    let world = World::new().await;
    let guesses = (0..100).map(|n| {
        let password = if n == 60 {
            PASSWORD.to_owned()
        } else {
            format!("a guess of a password {n}")
        };
        let world = &world;
        async move { world.login_from("198.51.100.1", "zoe", &password).await }
    });
    let answers = join_all(guesses).await;
    assert!(
        answers
            .iter()
            .all(|status| *status == StatusCode::UNAUTHORIZED),
        "{answers:?}"
    );
    assert_eq!(world.directory.verifications(), 100, "each cost the same");
}

#[tokio::test]
async fn bad_bodies_get_the_answers_of_the_contract() {
    let world = World::new().await;
    for (body, status) in [
        (json!({}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "password": "x" }), StatusCode::UNPROCESSABLE_ENTITY),
        (
            json!({ "email": "a", "username": "b", "password": "x" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "email": 1, "password": "x" }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "email": "a", "password": "x", "admin": true }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "email": "a", "password": "x".repeat(5000) }),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({ "email": "", "password": "" }),
            StatusCode::UNAUTHORIZED,
        ),
        (json!([1]), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = world.post_json("/api/auth/login", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let raw = |body: &str| {
        let request =
            http::Request::post("/api/auth/login").header("content-type", "application/json");
        request
            .body(axum::body::Body::from(body.to_owned()))
            .unwrap()
    };
    world.send(raw("{")).await.expect(StatusCode::BAD_REQUEST);
    world
        .send(raw(&"[".repeat(100_000)))
        .await
        .expect(StatusCode::PAYLOAD_TOO_LARGE);
    world
        .form("/api/auth/login", &[("email", "a")])
        .await
        .expect(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    world
        .get("/api/auth/login")
        .await
        .expect(StatusCode::METHOD_NOT_ALLOWED);
}
