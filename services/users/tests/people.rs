//! Profiles, the audit journal and statistics over REST.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use riwaq_api::auth::v1::AccountStatus;
use serde_json::{Value, json};
use support::{World, eventually};
use uuid::Uuid;

const USERS: &str = "/api/admin/users";
const ROLES: &str = "/api/admin/roles";

#[tokio::test]
async fn everybody_sees_their_own_profile_and_little_of_others() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let token = world.token(id, &["student"]);
    let own = world
        .send(Method::GET, "/api/users/me", Some(&token), None)
        .await
        .expect(200);
    assert_eq!(
        (&own.body["email"], &own.body["roles"]),
        (&json!("a@univ.example"), &json!(["student"]))
    );
    assert!(
        own.body["permissions"]
            .as_array()
            .unwrap()
            .contains(&json!("assistant:use"))
    );

    let other = world.token(Uuid::now_v7(), &["student"]);
    let public = world
        .send(Method::GET, &format!("/api/users/{id}"), Some(&other), None)
        .await
        .expect(200);
    let fields: Vec<_> = public.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        [
            "first_name",
            "first_name_ar",
            "id",
            "last_name",
            "last_name_ar"
        ]
    );
    // A token without a profile, as a directory may issue.
    world
        .send(Method::GET, "/api/users/me", Some(&other), None)
        .await
        .expect(404);
}

#[tokio::test]
async fn people_change_their_names_and_language_and_nothing_else() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let token = world.token(id, &["student"]);
    let patch = async |body: Value, headers: &[(&str, &str)]| {
        world
            .send_with(
                Method::PATCH,
                "/api/users/me",
                Some(&token),
                Some(body),
                headers,
            )
            .await
    };
    let before = world
        .send(Method::GET, "/api/users/me", Some(&token), None)
        .await
        .expect(200);
    let after = patch(json!({"first_name_ar": "أمل", "locale": "en"}), &[])
        .await
        .expect(200);
    assert_eq!(
        (&after.body["first_name_ar"], &after.body["locale"]),
        (&json!("أمل"), &json!("en"))
    );
    assert_eq!(after.body["first_name"], "Amal");
    let cleared = patch(
        json!({"first_name_ar": null}),
        &[("if-match", &after.etag())],
    )
    .await
    .expect(200);
    assert_eq!(cleared.body["first_name_ar"], Value::Null);
    patch(json!({"locale": "fr"}), &[("if-match", &before.etag())])
        .await
        .expect(412);
    let same = patch(json!({}), &[]).await.expect(200);
    assert_eq!(
        same.etag(),
        cleared.etag(),
        "nothing to change is no version"
    );

    for (body, field) in [
        (json!({"email": "b@univ.example"}), "email"),
        (json!({"roles": ["admin"]}), "roles"),
        (json!({"student_number": "1"}), "student_number"),
        (json!({"first_name": null}), "first_name"),
        (json!({"last_name": " "}), "last_name"),
        (json!({"locale": "xx"}), "locale"),
    ] {
        let answer = patch(body.clone(), &[]).await.expect(422);
        assert_eq!(answer.fields(), [field], "{body}");
    }
    assert!(
        !world
            .audit_actions()
            .await
            .iter()
            .any(|action| action.contains("own"))
    );
}

#[tokio::test]
async fn every_administrative_act_has_one_line() {
    let world = World::new().await;
    let id = world.create("a@univ.example", &["student"]).await;
    let wish = json!({
        "email": "b@univ.example", "first_name": "Amal", "last_name": "Alami", "roles": ["teacher"], "status": "active",
        "password": "correct horse battery",
    });
    world
        .admin(Method::PUT, &format!("{USERS}/{id}"), Some(wish))
        .await
        .expect(200);
    world
        .admin(
            Method::POST,
            ROLES,
            Some(json!({"name": "aa", "permissions": []})),
        )
        .await
        .expect(201);
    world
        .admin(
            Method::PUT,
            "/api/admin/roles/aa",
            Some(json!({"permissions": ["stats:read"]})),
        )
        .await
        .expect(200);
    world
        .admin(Method::DELETE, "/api/admin/roles/aa", None)
        .await
        .expect(204);
    world
        .admin(Method::DELETE, &format!("{USERS}/{id}"), None)
        .await
        .expect(204);
    let expected = [
        "user.deleted",
        "role.deleted",
        "role.changed",
        "role.created",
        "user.changed",
        "user.created",
    ];
    assert_eq!(world.audit_actions().await, expected);

    let whole = world
        .admin(Method::GET, "/api/admin/audit", None)
        .await
        .expect(200)
        .body;
    let line = &whole["items"][4];
    assert_eq!(line["actor_id"], json!(world.admin));
    assert_eq!(
        (&line["target_kind"], &line["target_id"]),
        (&json!("user"), &json!(id))
    );
    assert_eq!(line["detail"]["fields"], json!(["email"]));
    assert_eq!(
        line["detail"]["roles"],
        json!({"from": ["student"], "to": ["teacher"]})
    );
    let text = whole.to_string();
    for personal in ["univ.example", "Amal", "battery"] {
        assert!(!text.contains(personal), "{personal} is in the journal");
    }

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .admin(
                Method::GET,
                &format!("/api/admin/audit?limit=2{cursor}"),
                None,
            )
            .await
            .expect(200);
        seen.extend(page.body["items"].as_array().unwrap().clone());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), whole["items"]);
    // The background writes the same lines again: still one each.
    eventually("the follow-up has run", async || world.is_quiet().await).await;
    assert_eq!(world.audit_actions().await, expected);
    world.stop().await;
}

#[tokio::test]
async fn statistics_count_accounts() {
    let world = World::new().await;
    for n in 0..3 {
        world
            .create(&format!("s{n}@univ.example"), &["student"])
            .await;
    }
    let teacher = world
        .create("t@univ.example", &["teacher", "student"])
        .await;
    world
        .auth
        .change(teacher, |account| account.status = AccountStatus::Active)
        .await;
    eventually("counted", async || {
        let stats = world
            .admin(Method::GET, "/api/admin/stats", None)
            .await
            .expect(200)
            .body;
        stats["users"] == 4
            && stats["users_by_status"] == json!({"pending": 3, "active": 1, "disabled": 0})
            && stats["users_by_role"] == json!({"admin": 0, "student": 4, "teacher": 1})
    })
    .await;
    world.admin(Method::GET, "/api/admin/stats?x=1", None).await;
    world.stop().await;
}

#[tokio::test]
async fn wrong_methods_and_addresses_are_problems() {
    let world = World::new().await;
    let answer = world.admin(Method::PATCH, USERS, None).await.expect(405);
    assert!(answer.headers["allow"].to_str().unwrap().contains("POST"));
    assert_eq!(
        world
            .admin(Method::GET, "/api/admin/nothing", None)
            .await
            .expect(404)
            .code(),
        "not_found"
    );
}
