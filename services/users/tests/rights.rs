//! Rights and roles over REST.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use riwaq_api::auth::v1::AccountStatus;
use riwaq_identity::{Permission, PermissionSet};
use serde_json::{Value, json};
use support::{World, eventually, person};
use uuid::Uuid;

const USERS: &str = "/api/admin/users";
const ROLES: &str = "/api/admin/roles";

/// Every route × every role: who gets past the door. Bodies are good ones, so that only rights decide.
#[tokio::test]
async fn rights_matrix() {
    let world = World::new().await;
    let target = world.create("target@univ.example", &["student"]).await;
    world
        .admin(
            Method::POST,
            ROLES,
            Some(json!({"name": "helper", "permissions": []})),
        )
        .await
        .expect(201);
    let user = format!("{USERS}/{target}");
    let activation = format!("{user}/activation");
    let put = json!({"email": "target@univ.example", "first_name": "A", "last_name": "B", "roles": ["student"], "status": "pending"});
    let cases: Vec<(Method, &str, Option<Value>)> = vec![
        (Method::GET, USERS, None),
        (Method::POST, USERS, Some(person("new@univ.example", &[]))),
        (Method::GET, &user, None),
        (Method::PUT, &user, Some(put)),
        (Method::POST, &activation, Some(json!({"send_mail": false}))),
        (Method::GET, ROLES, None),
        (
            Method::POST,
            ROLES,
            Some(json!({"name": "other", "permissions": []})),
        ),
        (Method::GET, "/api/admin/roles/helper", None),
        (
            Method::PUT,
            "/api/admin/roles/helper",
            Some(json!({"permissions": []})),
        ),
        (Method::DELETE, "/api/admin/roles/helper", None),
        (Method::GET, "/api/admin/audit", None),
        (Method::GET, "/api/admin/stats", None),
        (Method::DELETE, &user, None),
    ];
    for (method, path, body) in &cases {
        let what = format!("{method} {path}");
        let anonymous = world.send(method.clone(), path, None, body.clone()).await;
        assert_eq!(anonymous.status, 401, "{what}");
        for roles in [
            &["student"][..],
            &["teacher"],
            &["unknown"],
            &[],
            &["student", "teacher"],
            &["service"],
        ] {
            let token = world.token(Uuid::now_v7(), roles);
            let answer = world
                .send(method.clone(), path, Some(&token), body.clone())
                .await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (403, "forbidden"),
                "{what} as {roles:?}"
            );
        }
    }
    for (method, path, body) in cases {
        let what = format!("{method} {path}");
        let answer = world.admin(method, path, body).await;
        assert!(answer.status.is_success(), "{what}: {}", answer.body);
    }
    for path in ["/api/users/me", &format!("/api/users/{target}")] {
        assert_eq!(
            world.send(Method::GET, path, None, None).await.status,
            401,
            "{path}"
        );
    }
}

#[tokio::test]
async fn nobody_hands_out_or_touches_rights_that_they_do_not_have() {
    let world = World::new().await;
    let registrar = PermissionSet::of(&[
        Permission::UsersRead,
        Permission::UsersManage,
        Permission::RolesManage,
    ]);
    world.know_role("registrar", registrar);
    let body = json!({"name": "registrar", "permissions": registrar.names()});
    world
        .admin(Method::POST, ROLES, Some(body))
        .await
        .expect(201);
    let token = world.token(Uuid::now_v7(), &["registrar"]);
    let send = async |method: Method, path: &str, body: Value| {
        world.send(method, path, Some(&token), Some(body)).await
    };

    send(Method::POST, USERS, person("s@univ.example", &[]))
        .await
        .expect(201);
    for roles in [&["admin"][..], &["student", "teacher"]] {
        send(Method::POST, USERS, person("x@univ.example", roles))
            .await
            .expect(403);
    }
    let admin = world.create("boss@univ.example", &["admin"]).await;
    let path = format!("{USERS}/{admin}");
    let wish = json!({
        "email": "boss@univ.example", "first_name": "B", "last_name": "B", "roles": [], "status": "active",
        "password": "correct horse battery",
    });
    send(Method::PUT, &path, wish).await.expect(403);
    world
        .send(Method::DELETE, &path, Some(&token), None)
        .await
        .expect(403);
    send(
        Method::POST,
        ROLES,
        json!({"name": "super", "permissions": ["courses:write_any"]}),
    )
    .await
    .expect(403);
    send(
        Method::POST,
        ROLES,
        json!({"name": "deputy", "permissions": ["users:read"]}),
    )
    .await
    .expect(201);
    assert_eq!(world.auth.get(admin).unwrap().password, None);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let world = World::new().await;
    // The administrator has a profile here too.
    let first = world.create("one@univ.example", &["admin"]).await;
    world
        .auth
        .change(first, |account| account.status = AccountStatus::Active)
        .await;
    world
        .auth
        .change(world.admin, |account| {
            account.status = AccountStatus::Disabled
        })
        .await;
    let wish = |roles: &[&str], status: &str| json!({"email": "one@univ.example", "first_name": "O", "last_name": "N", "roles": roles, "status": status});
    let path = format!("{USERS}/{first}");
    eventually("the first administrator is the only one", async || {
        let stats = world
            .admin(Method::GET, "/api/admin/stats", None)
            .await
            .expect(200);
        stats.body["users_by_status"]["disabled"] == 1
            && stats.body["users_by_status"]["active"] == 1
    })
    .await;
    for (roles, status) in [
        (&["teacher"][..], "active"),
        (&["admin"], "disabled"),
        (&["admin"], "pending"),
        (&[], "active"),
    ] {
        let answer = world
            .admin(Method::PUT, &path, Some(wish(roles, status)))
            .await
            .expect(409);
        assert_eq!(answer.code(), "conflict", "{roles:?} {status}");
    }
    world.admin(Method::DELETE, &path, None).await.expect(409);
    world
        .admin(
            Method::PUT,
            &path,
            Some(wish(&["admin", "teacher"], "active")),
        )
        .await
        .expect(200);

    let second = json!({
        "email": "two@univ.example", "first_name": "T", "last_name": "W", "roles": ["admin"],
        "password": "correct horse battery",
    });
    let second = world
        .admin(Method::POST, USERS, Some(second))
        .await
        .expect(201)
        .id();
    // Both at once: one stays.
    let other = format!("{USERS}/{second}");
    let answers = futures::join!(
        world.admin(Method::PUT, &path, Some(wish(&["teacher"], "active"))),
        world.admin(Method::DELETE, &other, None),
    );
    let mut statuses = [answers.0.status.as_u16(), answers.1.status.as_u16()];
    statuses.sort_unstable();
    assert!(statuses[0] < 300 && statuses[1] == 409, "{statuses:?}");
    world.stop().await;
}

#[tokio::test]
async fn roles_are_made_changed_and_deleted() {
    let world = World::new().await;
    let body =
        json!({"name": "librarian", "permissions": ["courses:read_any", "courses:read_any"]});
    let created = world
        .admin(Method::POST, ROLES, Some(body.clone()))
        .await
        .expect(201);
    assert_eq!(created.headers["location"], "/api/admin/roles/librarian");
    assert_eq!(created.body["permissions"], json!(["courses:read_any"]));
    let again = world
        .admin(Method::POST, ROLES, Some(body.clone()))
        .await
        .expect(409);
    assert_eq!(again.fields(), ["name"]);
    let path = "/api/admin/roles/librarian";
    let changed = json!({"permissions": ["courses:read_any", "stats:read"]});
    let changed = world
        .admin_with(
            Method::PUT,
            path,
            Some(changed),
            &[("if-match", &created.etag())],
        )
        .await
        .expect(200);
    assert_eq!(changed.body["version"], 2);
    let stale = json!({"permissions": []});
    world
        .admin_with(
            Method::PUT,
            path,
            Some(stale),
            &[("if-match", &created.etag())],
        )
        .await
        .expect(412);

    let holder = world.create("l@univ.example", &["librarian"]).await;
    world.admin(Method::DELETE, path, None).await.expect(409);
    world
        .admin(Method::DELETE, &format!("{USERS}/{holder}"), None)
        .await
        .expect(204);
    world.admin(Method::DELETE, path, None).await.expect(204);
    for method in [Method::GET, Method::DELETE] {
        world.admin(method, path, None).await.expect(404);
    }
    let answer = world
        .admin(
            Method::POST,
            USERS,
            Some(person("m@univ.example", &["librarian"])),
        )
        .await
        .expect(422);
    assert_eq!(answer.fields(), ["roles"]);
    let anew = world
        .admin(Method::POST, ROLES, Some(body))
        .await
        .expect(201);
    assert_eq!(anew.body["version"], 4, "its history goes on");
}

#[tokio::test]
async fn given_roles_are_listed_first_and_stay_as_they_are() {
    let world = World::new().await;
    for name in ["zoo", "aaa"] {
        world
            .admin(
                Method::POST,
                ROLES,
                Some(json!({"name": name, "permissions": []})),
            )
            .await
            .expect(201);
    }
    let names = async |query: &str| {
        let page = world
            .admin(Method::GET, &format!("{ROLES}?{query}"), None)
            .await
            .expect(200);
        let names: Vec<_> = page.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].clone())
            .collect();
        (names, page.body["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(
        names("").await.0,
        ["admin", "student", "teacher", "aaa", "zoo"]
    );
    let (first, cursor) = names("limit=2").await;
    let (second, cursor) = names(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    let (third, end) = names(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!(
        [first, second, third].concat(),
        ["admin", "student", "teacher", "aaa", "zoo"]
    );
    assert_eq!(end, None);

    for name in ["admin", "teacher", "student"] {
        let path = format!("{ROLES}/{name}");
        world.admin(Method::GET, &path, None).await.expect(200);
        world
            .admin(Method::PUT, &path, Some(json!({"permissions": []})))
            .await
            .expect(409);
        world.admin(Method::DELETE, &path, None).await.expect(409);
        world
            .admin(
                Method::POST,
                ROLES,
                Some(json!({"name": name, "permissions": []})),
            )
            .await
            .expect(409);
    }
    for (body, field) in [
        (json!({"name": "service", "permissions": []}), "name"),
        (json!({"name": "A B", "permissions": []}), "name"),
        (
            json!({"name": "ok", "permissions": ["fly"]}),
            "permissions[0]",
        ),
        (json!({"name": "ok"}), "permissions"),
        (
            json!({"name": "ok", "permissions": [], "given": true}),
            "given",
        ),
    ] {
        let answer = world
            .admin(Method::POST, ROLES, Some(body.clone()))
            .await
            .expect(422);
        assert_eq!(answer.fields(), [field], "{body}");
    }
    for path in [
        "/api/admin/roles/nothing",
        "/api/admin/roles/..%2F",
        "/api/admin/roles/%00",
        "/api/admin/roles/A",
    ] {
        world.admin(Method::GET, path, None).await.expect(404);
    }
}
