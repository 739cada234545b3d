//! Requests that do not fit.

use axum::body::Body;
use http::{Method, Request, header};
use riwaq_chatbot::Config;
use serde_json::json;

use crate::world::{AMINA, CONVERSATIONS, World, at, messages};

#[tokio::test]
async fn fields_that_do_not_fit_are_named() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    world
        .post(AMINA, CONVERSATIONS, json!({"title": "  "}))
        .await
        .field("title");
    world
        .post(AMINA, CONVERSATIONS, json!({"title": "x".repeat(201)}))
        .await
        .field("title");
    world
        .post(AMINA, CONVERSATIONS, json!({"title": "a\nb"}))
        .await
        .field("title");
    world
        .post(AMINA, CONVERSATIONS, json!({"titel": "x"}))
        .await
        .field("titel");
    world
        .post(AMINA, CONVERSATIONS, json!({"title": 5}))
        .await
        .field("title");
    world.patch(AMINA, &at(id), json!({})).await.expect(422);
    world
        .patch(AMINA, &at(id), json!({"title": null}))
        .await
        .field("title");
    let longest = Config::default().question_max_chars;
    for (field, body) in [
        ("content", json!({"content": ""})),
        ("content", json!({"content": " \n "})),
        ("content", json!({"content": "a\u{0}b"})),
        ("content", json!({"content": "é".repeat(longest + 1)})),
        ("course_id", json!({"content": "x", "course_id": "algebra"})),
        ("model", json!({"content": "x", "model": "other"})),
    ] {
        world.post(AMINA, &messages(id), body).await.field(field);
    }
    world
        .ask(AMINA, id, json!({"content": "é".repeat(longest)}))
        .await
        .expect(200);
    assert_eq!(
        world.messages(AMINA, id).await.len(),
        2,
        "what was refused was not kept"
    );
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_refused() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    let json_request =
        |path: String| Request::post(path).header(header::CONTENT_TYPE, "application/json");
    for path in [CONVERSATIONS.to_owned(), messages(id)] {
        world
            .send(
                Some(AMINA),
                json_request(path.clone()),
                Body::from("{\"title\": "),
            )
            .await
            .code(400, "invalid_request");
        let text = Request::post(path.clone()).header(header::CONTENT_TYPE, "text/plain");
        world
            .send(Some(AMINA), text, Body::from("x"))
            .await
            .code(415, "unsupported_media_type");
        world
            .send(None, json_request(path), Body::from("{}"))
            .await
            .code(401, "unauthenticated");
    }
    world
        .get(AMINA, &format!("{CONVERSATIONS}/not-an-id"))
        .await
        .code(404, "not_found");
    world
        .post(
            AMINA,
            &format!("{CONVERSATIONS}/1/messages"),
            json!({"content": "x"}),
        )
        .await
        .code(404, "not_found");
    let wrong = world
        .call_with(AMINA, Method::PUT, &at(id), Some(json!({})), &[])
        .await;
    wrong.code(405, "method_not_allowed");
}

#[tokio::test]
async fn every_route_is_in_the_document() {
    let world = World::new();
    let document = serde_json::to_value(world.openapi()).unwrap();
    let routes: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(
        routes,
        [
            "get /api/chatbot/conversations",
            "post /api/chatbot/conversations",
            "delete /api/chatbot/conversations/{id}",
            "get /api/chatbot/conversations/{id}",
            "patch /api/chatbot/conversations/{id}",
            "post /api/chatbot/conversations/{id}/messages",
        ]
        .map(str::to_owned)
    );
}
