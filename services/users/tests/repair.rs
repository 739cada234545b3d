//! Crashes and outages between this service and the auth service.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use riwaq_api::auth::v1::AccountStatus;
use serde_json::json;
use support::{Durable, World, eventually, person};

const USERS: &str = "/api/admin/users";

#[tokio::test]
async fn a_creation_that_the_auth_service_did_not_hear_of_is_finished_later() {
    let durable = Durable::new();
    durable.declare_groups().await;
    let world = World::without_background(&durable);
    world.auth.set_down(true);
    let answer = world
        .admin(
            Method::POST,
            USERS,
            Some(person("a@univ.example", &["student"])),
        )
        .await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    drop(world);

    // The process died; another one starts.
    durable.auth.set_down(false);
    let world = World::over(&durable).await;
    eventually("the account is made", async || world.auth.len() == 2).await;
    let page = world
        .admin(Method::GET, &format!("{USERS}?email=a@univ.example"), None)
        .await
        .expect(200);
    assert_eq!(page.body["items"][0]["status"], "pending");
    let id = page.body["items"][0]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    eventually("the activation is sent", async || {
        world.auth.activations(id) == 1
    })
    .await;
    assert_eq!(world.audit_actions().await, ["user.created"]);
    world.stop().await;
}

#[tokio::test]
async fn a_repetition_with_the_same_key_goes_on_where_the_first_attempt_stopped() {
    let durable = Durable::new();
    let world = World::without_background(&durable);
    let body = json!({
        "email": "a@univ.example", "first_name": "A", "last_name": "B", "roles": ["teacher"],
        "password": "correct horse battery",
    });
    let post = async |world: &World| {
        world
            .admin_with(
                Method::POST,
                USERS,
                Some(body.clone()),
                &[("idempotency-key", "k")],
            )
            .await
    };
    world.auth.set_down(true);
    assert_eq!(post(&world).await.status, 503);
    world.auth.set_down(false);
    world.auth.set_deaf(true);
    assert_eq!(post(&world).await.status, 503);
    world.auth.set_deaf(false);
    let made = post(&world).await.expect(201);
    assert_eq!(made.body["status"], "active");
    assert_eq!(world.auth.len(), 2, "the first administrator and one more");
    assert_eq!(
        world.auth.get(made.id()).unwrap().password.as_deref(),
        Some("correct horse battery")
    );
    assert_eq!(post(&world).await.expect(201).body, made.body);
}

#[tokio::test]
async fn a_change_and_a_deletion_that_were_cut_short_are_finished() {
    let durable = Durable::new();
    durable.declare_groups().await;
    let world = World::without_background(&durable);
    let changed = world.create("a@univ.example", &["student"]).await;
    let deleted = world.create("b@univ.example", &["student"]).await;
    world.auth.set_deaf(true);
    let wish = json!({
        "email": "c@univ.example", "first_name": "A", "last_name": "B", "roles": ["teacher"], "status": "active",
    });
    assert_eq!(
        world
            .admin(Method::PUT, &format!("{USERS}/{changed}"), Some(wish))
            .await
            .status,
        503
    );
    assert_eq!(
        world
            .admin(Method::DELETE, &format!("{USERS}/{deleted}"), None)
            .await
            .status,
        503
    );
    world.auth.set_deaf(false);
    drop(world);

    let world = World::over(&durable).await;
    eventually("the address is free", async || {
        let answer = world
            .admin(Method::POST, USERS, Some(person("b@univ.example", &[])))
            .await;
        answer.status == 201
    })
    .await;
    eventually("the old address is free", async || {
        world
            .admin(Method::POST, USERS, Some(person("a@univ.example", &[])))
            .await
            .status
            == 201
    })
    .await;
    let account = world.auth.get(changed).unwrap();
    assert_eq!(
        (account.email.as_str(), account.status),
        ("c@univ.example", AccountStatus::Active)
    );
    assert_eq!(world.auth.get(deleted), None);
    world.stop().await;
}

#[tokio::test]
async fn a_later_change_is_not_overtaken_by_the_repair_of_an_earlier_one() {
    let durable = Durable::new();
    durable.declare_groups().await;
    let world = World::without_background(&durable);
    let id = world.create("a@univ.example", &["student"]).await;
    let path = format!("{USERS}/{id}");
    let wish = |roles: &[&str]| {
        Some(
            json!({"email": "a@univ.example", "first_name": "A", "last_name": "B", "roles": roles, "status": "active"}),
        )
    };
    world.auth.set_deaf(true);
    assert_eq!(
        world
            .admin(Method::PUT, &path, wish(&["teacher"]))
            .await
            .status,
        503
    );
    world.auth.set_deaf(false);
    world
        .admin(Method::PUT, &path, wish(&["student", "teacher"]))
        .await
        .expect(200);
    drop(world);

    let world = World::over(&durable).await;
    // A version written after the restart is handled after the old ones were picked up.
    let marker = world.create("marker@univ.example", &[]).await;
    eventually("the follow-up has run", async || {
        world
            .admin(Method::GET, &format!("{USERS}/{marker}"), None)
            .await
            .status
            == 200
            && world
                .events
                .depths()
                .await
                .unwrap()
                .iter()
                .all(|depth| depth.ready + depth.delayed + depth.in_flight == 0)
    })
    .await;
    let roles = world.auth.get(id).unwrap().roles;
    assert_eq!(
        roles.into_iter().collect::<Vec<_>>(),
        ["student", "teacher"]
    );
    world.stop().await;
}

#[tokio::test]
async fn what_the_auth_service_refuses_in_the_background_is_undone() {
    let durable = Durable::new();
    durable.declare_groups().await;
    let world = World::without_background(&durable);
    world.auth.set_down(true);
    assert_eq!(
        world
            .admin(Method::POST, USERS, Some(person("ghost@univ.example", &[])))
            .await
            .status,
        503
    );
    drop(world);
    durable.auth.reserve("ghost@univ.example");
    durable.auth.set_down(false);

    let world = World::over(&durable).await;
    eventually("the user is gone again", async || {
        let page = world.admin(Method::GET, USERS, None).await;
        page.status == 200 && page.body["items"] == json!([])
    })
    .await;
    assert_eq!(
        world.audit_actions().await,
        ["user.change_refused", "user.created"]
    );
    assert_eq!(world.auth.len(), 1);
    world.stop().await;
}
