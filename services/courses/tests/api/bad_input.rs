//! Requests that nobody should send.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::world::{ANONYMOUS, BY_OWNER, NONE, World, path};

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_by_field() {
    let world = World::new().await;
    let refused = async |body: Value| {
        world
            .post(BY_OWNER, "/api/courses", body)
            .await
            .code(422, "validation_failed")
            .fields()
    };
    assert_eq!(refused(json!({})).await, ["title"]);
    assert_eq!(refused(json!({"title": 3})).await, ["title"]);
    assert_eq!(refused(json!({"title": null})).await, ["title"]);
    assert_eq!(refused(json!({"title": "  "})).await, ["title"]);
    assert_eq!(refused(json!({"title": "a\u{0}"})).await, ["title"]);
    assert_eq!(refused(json!({"title": "x".repeat(201)})).await, ["title"]);
    assert_eq!(
        refused(json!({"title": "x", "owner": "me"})).await,
        ["owner"]
    );
    assert_eq!(
        refused(json!({"title": "x", "visibility": 3})).await,
        ["visibility"]
    );
    assert_eq!(
        refused(json!({"title": "x", "visibility": "secret"})).await,
        ["visibility"]
    );
    assert_eq!(
        refused(json!({"title": "x", "language": "français"})).await,
        ["language"]
    );
    let all = refused(json!({"title": "", "description": "x".repeat(10_001), "level": ""})).await;
    assert_eq!(all, ["title", "description", "level"]);
    assert_eq!(
        world.get(BY_OWNER, "/api/courses").await.expect(200).ids(),
        NONE
    );
    // As long as it may be, and in characters, not in bytes.
    let fits = json!({"title": "é".repeat(200), "description": "ع".repeat(10_000)});
    world.post(BY_OWNER, "/api/courses", fits).await.expect(201);
}

#[tokio::test]
async fn patches_that_do_not_fit_are_refused_by_field() {
    let world = World::new().await;
    let course = path(world.course("open", "draft").await);
    let refused = async |body: Value| {
        world
            .patch(BY_OWNER, &course, body)
            .await
            .code(422, "validation_failed")
            .fields()
    };
    assert_eq!(refused(json!({"title": null})).await, ["title"]);
    assert_eq!(refused(json!({"title": ""})).await, ["title"]);
    assert_eq!(refused(json!({"status": "deleted"})).await, ["status"]);
    assert_eq!(refused(json!({"status": null})).await, ["status"]);
    assert_eq!(refused(json!({"visibility": null})).await, ["visibility"]);
    assert_eq!(refused(json!({"version": 7})).await, ["version"]);
    assert_eq!(refused(json!({"sections": []})).await, ["sections"]);
    assert_eq!(
        world.get(BY_OWNER, &course).await.expect(200).body["version"],
        1
    );
    let sections = format!("{course}/sections");
    for bad in [
        json!({}),
        json!({"title": "x", "position": -1}),
        json!({"title": "x", "position": 1.5}),
    ] {
        world.post(BY_OWNER, &sections, bad).await.expect(422);
    }
}

#[tokio::test]
async fn what_is_no_json_or_of_another_kind_is_refused() {
    let world = World::new().await;
    let send = async |kind: Option<&str>, body: &str| {
        let mut request = Request::post("/api/courses");
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        world
            .send(BY_OWNER, request, Body::from(body.to_owned()))
            .await
    };
    let json = Some("application/json");
    for broken in [
        "",
        "{",
        "{\"title\": \"x\"",
        "nul",
        "{\"title\": \"\u{1}\"}",
        "\u{feff}{}",
    ] {
        send(json, broken).await.code(400, "invalid_request");
    }
    send(json, &"[".repeat(100_000)).await.expect(400);
    send(json, &format!("{{\"title\": {}}}", "9".repeat(400)))
        .await
        .expect(400);
    send(Some("text/plain"), "{\"title\": \"x\"}")
        .await
        .code(415, "unsupported_media_type");
    send(None, "{\"title\": \"x\"}").await.expect(415);
    send(json, &format!("{{\"title\": \"{}\"}}", "x".repeat(2 << 20)))
        .await
        .code(413, "too_large");
}

#[tokio::test]
async fn addresses_that_cannot_be_are_not_found_and_methods_are_named() {
    let world = World::new().await;
    for at in [
        "/api/courses/1",
        "/api/courses/%00",
        "/api/courses/..%2f",
        "/api/courses/x/enrolments",
        "/api/coursez",
    ] {
        world.get(BY_OWNER, at).await.code(404, "not_found");
    }
    let wrong = world
        .call(BY_OWNER, Method::DELETE, "/api/courses", None)
        .await
        .code(405, "method_not_allowed");
    let allowed = wrong.header(header::ALLOW);
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
}

#[tokio::test]
async fn a_request_without_identity_is_refused_whatever_else_is_wrong_with_it() {
    let world = World::new().await;
    let course = path(world.course("open", "published").await);
    world
        .call(
            ANONYMOUS,
            Method::POST,
            "/api/courses",
            Some(json!({"bad": 1})),
        )
        .await
        .code(401, "unauthenticated");
    world
        .get(ANONYMOUS, &course)
        .await
        .code(401, "unauthenticated");
    let request = Request::get(&course).header(header::AUTHORIZATION, "Bearer x.y.z");
    world
        .send(ANONYMOUS, request, Body::empty())
        .await
        .code(401, "unauthenticated");
}
