//! Finding users: lists, their cursors, and one person by login name.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{World, person};
use uuid::Uuid;

const USERS: &str = "/api/admin/users";

#[tokio::test]
async fn the_list_is_by_name_and_goes_on_where_it_stopped() {
    let world = World::new().await;
    let names = [
        "Élan",
        "elan",
        "Zidane",
        "alami",
        "Bennani",
        "العلمي",
        "Çelik",
        "Dupont",
        "O'Brien",
    ];
    for (n, name) in names.iter().enumerate() {
        let body = json!({"email": format!("p{n}@univ.example"), "first_name": "A", "last_name": name, "roles": []});
        world
            .admin(Method::POST, USERS, Some(body))
            .await
            .expect(201);
    }
    let whole = world
        .admin(Method::GET, &format!("{USERS}?limit=200"), None)
        .await
        .expect(200);
    let whole: Vec<Value> = whole.body["items"].as_array().unwrap().clone();
    assert_eq!(whole.len(), names.len());
    let order: Vec<_> = whole
        .iter()
        .map(|item| item["last_name"].as_str().unwrap())
        .collect();
    assert_eq!(order[..4], ["alami", "Bennani", "Çelik", "Dupont"]);
    assert_eq!(order.last(), Some(&"العلمي"));

    for size in [1, 2, 4, 9, 10] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world
                .admin(Method::GET, &format!("{USERS}?limit={size}{cursor}"), None)
                .await
                .expect(200);
            seen.extend(page.body["items"].as_array().unwrap().clone());
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, whole, "pages of {size}");
    }
}

#[tokio::test]
async fn a_cursor_is_of_one_list_and_one_reader() {
    let world = World::new().await;
    for n in 0..3 {
        world.create(&format!("p{n}@univ.example"), &[]).await;
    }
    let page = world
        .admin(Method::GET, &format!("{USERS}?limit=1"), None)
        .await
        .expect(200);
    let cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
    let other = world.token(Uuid::now_v7(), &["admin"]);
    let path = format!("{USERS}?cursor={cursor}");
    let refused = world
        .send(Method::GET, &path, Some(&other), None)
        .await
        .expect(400);
    assert_eq!(refused.code(), "bad_cursor");
    let mut altered = cursor.clone().into_bytes();
    altered[3] = if altered[3] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    for bad in [altered.as_str(), "", "x", "%00"] {
        world
            .admin(Method::GET, &format!("{USERS}?cursor={bad}"), None)
            .await
            .expect(400);
    }
    world
        .admin(
            Method::GET,
            &format!("/api/admin/audit?cursor={cursor}"),
            None,
        )
        .await
        .expect(400);
    for bad in [
        "limit=0",
        "limit=201",
        "limit=x",
        "unknown=1",
        "limit=1&limit=2",
    ] {
        world
            .admin(Method::GET, &format!("{USERS}?{bad}"), None)
            .await
            .expect(422);
    }
}

#[tokio::test]
async fn one_person_is_found_by_login_name() {
    let world = World::new().await;
    let mut body = person("Amal@univ.example", &[]);
    body["username"] = json!("amal");
    let id = world
        .admin(Method::POST, USERS, Some(body))
        .await
        .expect(201)
        .id();
    world.create("other@univ.example", &[]).await;
    let find = async |query: &str| {
        let page = world
            .admin(Method::GET, &format!("{USERS}?{query}"), None)
            .await
            .expect(200);
        page.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].clone())
            .collect::<Vec<_>>()
    };
    for query in [
        "email=AMAL@univ.example",
        "username=Amal",
        "email=amal@univ.example&username=amal",
    ] {
        assert_eq!(find(query).await, [json!(id)], "{query}");
    }
    for query in [
        "email=nobody@univ.example",
        "email=nonsense",
        "username=a%20b",
        "email=other@univ.example&username=amal",
    ] {
        assert_eq!(find(query).await, Vec::<Value>::new(), "{query}");
    }
}
