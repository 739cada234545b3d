//! Administration of users over REST.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use riwaq_api::auth::v1::AccountStatus;
use serde_json::{Value, json};
use support::{World, person};
use uuid::Uuid;

const USERS: &str = "/api/admin/users";

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test]
async fn a_user_is_created_with_profile_and_account() {
    let world = World::new().await;
    let body = json!({
        "email": " Amal.Alami@Univ.example", "username": "amal", "first_name": "Amal", "last_name": "Alami",
        "first_name_ar": "أمل", "last_name_ar": "العلمي", "student_number": "E-17", "roles": ["student", "student"],
        "locale": "ar",
    });
    let created = world
        .admin(Method::POST, USERS, Some(body))
        .await
        .expect(201);
    let id = created.id();
    assert_eq!(created.headers["location"], format!("{USERS}/{id}"));
    assert_eq!(created.body["email"], "Amal.Alami@Univ.example");
    assert_eq!(created.body["roles"], json!(["student"]));
    assert_eq!(
        (&created.body["status"], &created.body["locale"]),
        (&json!("pending"), &json!("ar"))
    );

    let account = world.auth.get(id).unwrap();
    assert_eq!(
        (account.email.as_str(), account.username.as_str()),
        ("Amal.Alami@Univ.example", "amal")
    );
    assert_eq!(
        (account.status, account.password),
        (AccountStatus::Pending, None)
    );
    assert_eq!(world.auth.activations(id), 1, "a message was asked for");

    let read = world
        .admin(Method::GET, &format!("{USERS}/{id}"), None)
        .await
        .expect(200);
    assert_eq!((read.etag(), &read.body), (created.etag(), &created.body));
    world.stop().await;
}

#[tokio::test]
async fn with_a_password_the_account_is_active_at_once() {
    let world = World::new().await;
    let body = with(
        person("a@univ.example", &["teacher"]),
        "password",
        json!("correct horse battery"),
    );
    let created = world
        .admin(Method::POST, USERS, Some(body))
        .await
        .expect(201);
    assert_eq!(created.body["status"], "active");
    let account = world.auth.get(created.id()).unwrap();
    assert_eq!(
        (account.status, account.password.as_deref()),
        (AccountStatus::Active, Some("correct horse battery"))
    );
    assert!(!created.body.to_string().contains("battery"));
    assert_eq!(world.auth.activations(created.id()), 0);
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_nothing_is_made() {
    let world = World::new().await;
    let good = || person("a@univ.example", &["student"]);
    let cases = [
        (with(good(), "email", json!("nobody")), 422, "email"),
        (with(good(), "email", json!(7)), 422, "email"),
        (with(good(), "username", json!("a b")), 422, "username"),
        (with(good(), "first_name", json!("")), 422, "first_name"),
        (
            with(good(), "last_name", json!("x".repeat(101))),
            422,
            "last_name",
        ),
        (
            with(good(), "first_name_ar", json!("\u{202E}x")),
            422,
            "first_name_ar",
        ),
        (with(good(), "roles", json!(["wizard"])), 422, "roles"),
        (with(good(), "roles", json!(["service"])), 422, "roles"),
        (with(good(), "roles", json!("student")), 422, "roles"),
        (with(good(), "locale", json!("de")), 422, "locale"),
        (with(good(), "password", json!("short")), 422, "password"),
        (with(good(), "status", json!("gone")), 422, "status"),
        (with(good(), "is_admin", json!(true)), 422, "is_admin"),
        (
            json!({"email": "a@univ.example", "first_name": "A", "roles": []}),
            422,
            "last_name",
        ),
    ];
    for (body, status, field) in cases {
        let answer = world
            .admin(Method::POST, USERS, Some(body.clone()))
            .await
            .expect(status);
        assert!(answer.fields().contains(&field), "{body}: {}", answer.body);
    }
    world
        .admin(Method::POST, USERS, Some(json!("{")))
        .await
        .expect(400);
    world.admin(Method::POST, USERS, None).await.expect(415);
    let long = with(good(), "first_name", json!("x".repeat(2_000_000)));
    world
        .admin(Method::POST, USERS, Some(long))
        .await
        .expect(413);
    assert_eq!(world.auth.len(), 1);
    world
        .admin(Method::POST, USERS, Some(good()))
        .await
        .expect(201);
}

#[tokio::test]
async fn e_mail_user_name_and_student_number_belong_to_one_person() {
    let world = World::new().await;
    let first = json!({
        "email": "Zoé.Alami@univ.example", "username": "zoe", "first_name": "Z", "last_name": "A", "student_number": "e-1",
        "roles": [],
    });
    let first = world
        .admin(Method::POST, USERS, Some(first))
        .await
        .expect(201)
        .id();
    let other =
        || json!({"email": "b@univ.example", "first_name": "B", "last_name": "B", "roles": []});
    let taken = [
        ("email", "ZOE\u{301}.alami@UNIV.example"),
        ("username", "ZOE"),
        ("username", "ｚｏｅ"),
        ("student_number", "E-1"),
    ];
    for (field, value) in taken {
        let answer = world
            .admin(
                Method::POST,
                USERS,
                Some(with(other(), field, json!(value))),
            )
            .await
            .expect(409);
        assert_eq!(
            (answer.code(), answer.fields()),
            ("conflict", vec![field]),
            "{value}"
        );
    }
    // What was claimed on the way to a refusal is free again.
    let second = world
        .admin(Method::POST, USERS, Some(other()))
        .await
        .expect(201)
        .id();
    let path = format!("{USERS}/{second}");
    let steal = json!({
        "email": "zoé.alami@univ.example", "first_name": "B", "last_name": "B", "roles": [], "status": "pending",
    });
    let answer = world
        .admin(Method::PUT, &path, Some(steal))
        .await
        .expect(409);
    assert_eq!(answer.fields(), ["email"]);

    // A name that was given up, or whose person is gone, is free.
    let renamed = json!({"email": "zoe@univ.example", "first_name": "Z", "last_name": "A", "roles": [], "status": "pending"});
    world
        .admin(Method::PUT, &format!("{USERS}/{first}"), Some(renamed))
        .await
        .expect(200);
    let mut third = other();
    third["email"] = json!("zoé.alami@univ.example");
    let third = world
        .admin(Method::POST, USERS, Some(third))
        .await
        .expect(201)
        .id();
    world
        .admin(Method::DELETE, &format!("{USERS}/{third}"), None)
        .await
        .expect(204);
    world.create("zoé.alami@univ.example", &[]).await;
}

#[tokio::test]
async fn of_many_at_once_one_gets_the_address() {
    let world = World::new().await;
    let requests =
        (0..12).map(|_| world.admin(Method::POST, USERS, Some(person("same@univ.example", &[]))));
    let answers = futures::future::join_all(requests).await;
    let made: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert_eq!(made.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 201 || answer.status == 409)
    );
    assert_eq!(world.auth.len(), 2);
}

#[tokio::test]
async fn a_login_name_that_only_the_directory_knows_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    world.auth.reserve("ghost@univ.example");
    let answer = world
        .admin(Method::POST, USERS, Some(person("ghost@univ.example", &[])))
        .await
        .expect(409);
    assert_eq!(answer.fields(), ["email"]);
    let id = world.create("a@univ.example", &["student"]).await;
    let path = format!("{USERS}/{id}");
    let before = world.admin(Method::GET, &path, None).await.expect(200);
    let wish = with(
        with(
            person("ghost@univ.example", &["teacher"]),
            "status",
            json!("active"),
        ),
        "last_name",
        json!("New"),
    );
    let answer = world
        .admin(Method::PUT, &path, Some(wish))
        .await
        .expect(409);
    assert_eq!(answer.fields(), ["email"]);
    let after = world.admin(Method::GET, &path, None).await.expect(200);
    assert_eq!(
        (&after.body["email"], &after.body["roles"]),
        (&before.body["email"], &before.body["roles"])
    );
    // The address is nobody's here: once the directory has it free, it can be had.
    let page = world
        .admin(
            Method::GET,
            &format!("{USERS}?email=ghost@univ.example"),
            None,
        )
        .await
        .expect(200);
    assert_eq!(page.body["items"], json!([]));
}

#[tokio::test]
async fn an_idempotency_key_makes_one_user() {
    let world = World::new().await;
    let post = async |body: Value| {
        world
            .admin_with(
                Method::POST,
                USERS,
                Some(body),
                &[("idempotency-key", "k-1")],
            )
            .await
    };
    let first = post(person("a@univ.example", &["student"]))
        .await
        .expect(201);
    let again = post(person("a@univ.example", &["student"]))
        .await
        .expect(201);
    assert_eq!(
        (first.id(), &first.body, &first.headers["location"]),
        (again.id(), &again.body, &again.headers["location"])
    );
    let other = post(person("b@univ.example", &["student"]))
        .await
        .expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
    // Another person's key is another key.
    let token = world.token(Uuid::now_v7(), &["admin"]);
    let body = Some(person("b@univ.example", &[]));
    world
        .send_with(
            Method::POST,
            USERS,
            Some(&token),
            body,
            &[("idempotency-key", "k-1")],
        )
        .await
        .expect(201);
    // A refused request leaves its key free.
    let bad = person("a@univ.example", &[]);
    let headers = [("idempotency-key", "k-2")];
    world
        .admin_with(Method::POST, USERS, Some(bad), &headers)
        .await
        .expect(409);
    world
        .admin_with(
            Method::POST,
            USERS,
            Some(person("c@univ.example", &[])),
            &headers,
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn a_user_is_replaced_as_a_whole() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let path = format!("{USERS}/{id}");
    let before = world.admin(Method::GET, &path, None).await.expect(200);
    let wish = json!({
        "email": "b@univ.example", "username": "bee", "first_name": "Bee", "last_name": "Bennani", "roles": ["teacher"],
        "status": "active", "password": "correct horse battery",
    });
    let after = world
        .admin(Method::PUT, &path, Some(wish.clone()))
        .await
        .expect(200);
    for field in [
        "email",
        "username",
        "first_name",
        "last_name",
        "roles",
        "status",
    ] {
        assert_eq!(after.body[field], wish[field], "{field}");
    }
    assert_ne!(after.etag(), before.etag());
    let account = world.auth.get(id).unwrap();
    assert_eq!(
        (account.email.as_str(), account.username.as_str()),
        ("b@univ.example", "bee")
    );
    assert_eq!(account.password.as_deref(), Some("correct horse battery"));

    let missing = world
        .admin(Method::PUT, &path, Some(person("b@univ.example", &[])))
        .await
        .expect(422);
    assert_eq!(missing.fields(), ["status"], "a whole user has a status");
    let gone = world
        .admin(
            Method::PUT,
            &format!("{USERS}/{}", Uuid::now_v7()),
            Some(json!({})),
        )
        .await;
    assert!(gone.status == 404 || gone.status == 422);
}

#[tokio::test]
async fn a_stale_change_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let path = format!("{USERS}/{id}");
    let old = world
        .admin(Method::GET, &path, None)
        .await
        .expect(200)
        .etag();
    let wish = |name: &str| {
        Some(with(
            with(
                person("a@univ.example", &["student"]),
                "status",
                json!("pending"),
            ),
            "first_name",
            json!(name),
        ))
    };
    world
        .admin_with(Method::PUT, &path, wish("One"), &[("if-match", &old)])
        .await
        .expect(200);
    let stale = world
        .admin_with(Method::PUT, &path, wish("Two"), &[("if-match", &old)])
        .await
        .expect(412);
    assert_eq!(stale.code(), "stale");
    world
        .admin_with(Method::DELETE, &path, None, &[("if-match", &old)])
        .await
        .expect(412);
    assert_eq!(
        world.admin(Method::GET, &path, None).await.body["first_name"],
        "One"
    );

    // A change of the account alone makes the tag stale too.
    let tag = world.admin(Method::GET, &path, None).await.etag();
    world
        .auth
        .change(id, |account| account.status = AccountStatus::Active)
        .await;
    world
        .admin_with(Method::PUT, &path, wish("Three"), &[("if-match", &tag)])
        .await
        .expect(412);
    world
        .admin_with(Method::PUT, &path, wish("Four"), &[("if-match", "*")])
        .await
        .expect(200);
    world
        .admin_with(Method::PUT, &path, wish("Five"), &[("if-match", "v1")])
        .await
        .expect(400);
}

#[tokio::test]
async fn a_deleted_user_is_gone_everywhere() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let path = format!("{USERS}/{id}");
    world.admin(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(world.auth.get(id), None);
    for method in [Method::GET, Method::DELETE] {
        world.admin(method, &path, None).await.expect(404);
    }
    world
        .admin(Method::GET, &format!("/api/users/{id}"), None)
        .await
        .expect(404);
    let page = world.admin(Method::GET, USERS, None).await.expect(200);
    assert_eq!(page.body["items"], json!([]));
    world
        .admin(Method::GET, &format!("{USERS}/not-an-id"), None)
        .await
        .expect(404);
}

#[tokio::test]
async fn an_activation_is_mailed_or_printed() {
    let world = World::new().await;
    let body = with(
        person("a@univ.example", &["student"]),
        "send_activation",
        json!(false),
    );
    let id = world
        .admin(Method::POST, USERS, Some(body))
        .await
        .expect(201)
        .id();
    assert_eq!(world.auth.activations(id), 0);
    let path = format!("{USERS}/{id}/activation");
    let printed = world
        .admin(Method::POST, &path, Some(json!({"send_mail": false})))
        .await
        .expect(200);
    assert_eq!(printed.body["code"], "ABCD-EFGH");
    let mailed = world
        .admin(Method::POST, &path, Some(json!({"send_mail": true})))
        .await
        .expect(200);
    assert_eq!(mailed.body["code"], Value::Null);
    world
        .auth
        .change(id, |account| account.status = AccountStatus::Active)
        .await;
    world
        .admin(Method::POST, &path, Some(json!({"send_mail": true})))
        .await
        .expect(409);
    assert_eq!(
        world.audit_actions().await,
        [
            "user.activation_started",
            "user.activation_started",
            "user.created"
        ]
    );
}
