//! Conversations: made, listed, read, renamed, deleted; each for its person only.

use http::{Method, header};
use serde_json::json;
use uuid::Uuid;

use riwaq_chatbot::Config;

use crate::world::{AMINA, CONVERSATIONS, World, YOUSSEF, at, messages, with_tree};

#[tokio::test]
async fn a_conversation_is_made_read_renamed_and_deleted() {
    let world = World::new();
    let made = world
        .post(AMINA, CONVERSATIONS, json!({"title": "Révisions"}))
        .await
        .expect(201);
    let id = made.id();
    assert_eq!(made.header(header::LOCATION), at(id));
    assert_eq!(made.body["messages"], json!([]));
    let read = world.get(AMINA, &at(id)).await.expect(200);
    assert_eq!(read.body, made.body);
    assert_eq!(read.header(header::ETAG), made.header(header::ETAG));
    let renamed = world
        .patch(AMINA, &at(id), json!({"title": "مراجعة"}))
        .await
        .expect(200);
    assert_eq!(renamed.body["title"], "مراجعة");
    assert_ne!(renamed.header(header::ETAG), made.header(header::ETAG));
    assert_eq!(
        world
            .get(AMINA, &at(id))
            .await
            .expect(200)
            .header(header::ETAG),
        renamed.header(header::ETAG)
    );
    world.delete(AMINA, &at(id)).await.expect(204);
    world.get(AMINA, &at(id)).await.code(404, "not_found");
    world.delete(AMINA, &at(id)).await.code(404, "not_found");
    assert!(
        world
            .get(AMINA, CONVERSATIONS)
            .await
            .expect(200)
            .ids()
            .is_empty()
    );
}

#[tokio::test]
async fn a_conversation_needs_no_body() {
    let world = World::new();
    let made = world
        .call_with(AMINA, Method::POST, CONVERSATIONS, None, &[])
        .await
        .expect(201);
    assert_eq!(made.body["title"], json!(null));
}

#[tokio::test]
async fn a_stale_change_is_refused_and_a_fresh_one_is_made() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    let old = world.get(AMINA, &at(id)).await.header(header::ETAG);
    // A message changes what was read, too.
    world
        .ask(AMINA, id, json!({"content": "arbre binaire"}))
        .await
        .expect(200);
    let body = Some(json!({"title": "x"}));
    let stale = [("if-match", old.as_str())];
    world
        .call_with(AMINA, Method::PATCH, &at(id), body.clone(), &stale)
        .await
        .code(412, "stale");
    world
        .call_with(AMINA, Method::DELETE, &at(id), None, &stale)
        .await
        .code(412, "stale");
    let fresh = world.get(AMINA, &at(id)).await.header(header::ETAG);
    let not_modified = [("if-none-match", fresh.as_str())];
    world
        .call_with(AMINA, Method::GET, &at(id), None, &not_modified)
        .await
        .expect(304);
    let fresh = [("if-match", fresh.as_str())];
    world
        .call_with(AMINA, Method::PATCH, &at(id), body.clone(), &fresh)
        .await
        .expect(200);
    world
        .call_with(AMINA, Method::PATCH, &at(id), body, &fresh)
        .await
        .code(412, "stale");
}

#[tokio::test]
async fn the_list_is_newest_first_in_pages() {
    let world = World::new();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, world.conversation(AMINA).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world
            .get(AMINA, &format!("{CONVERSATIONS}?limit=2{cursor}"))
            .await
            .expect(200);
        assert!(page.ids().len() <= 2);
        seen.extend(page.ids());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    let next = world
        .get(AMINA, &format!("{CONVERSATIONS}?limit=2"))
        .await
        .body["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    for (user, cursor) in [
        (YOUSSEF, next.clone()),
        (AMINA, format!("{next}x")),
        (AMINA, "x".to_owned()),
    ] {
        world
            .get(user, &format!("{CONVERSATIONS}?cursor={cursor}"))
            .await
            .code(400, "bad_cursor");
    }
    for limit in ["0", "201", "x"] {
        world
            .get(AMINA, &format!("{CONVERSATIONS}?limit={limit}"))
            .await
            .field("limit");
    }
}

#[tokio::test]
async fn nobody_sees_or_changes_another_ones_conversation() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    assert!(
        world
            .get(YOUSSEF, CONVERSATIONS)
            .await
            .expect(200)
            .ids()
            .is_empty()
    );
    world.get(YOUSSEF, &at(id)).await.code(404, "not_found");
    world
        .patch(YOUSSEF, &at(id), json!({"title": "mine"}))
        .await
        .code(404, "not_found");
    world.delete(YOUSSEF, &at(id)).await.code(404, "not_found");
    world
        .post(YOUSSEF, &messages(id), json!({"content": "x"}))
        .await
        .code(404, "not_found");
    assert_eq!(
        world.get(AMINA, &at(id)).await.expect(200).body["title"],
        json!(null)
    );
    assert!(world.search.asked().is_empty());
}

#[tokio::test]
async fn there_is_a_limit_to_conversations_and_to_messages() {
    let world = World::with(Config {
        conversations_max: 2,
        messages_max: 4,
        ..Config::default()
    });
    let id = world.conversation(AMINA).await;
    for _ in 0..2 {
        world
            .ask(AMINA, id, json!({"content": "arbre"}))
            .await
            .expect(200);
    }
    world
        .ask(AMINA, id, json!({"content": "arbre"}))
        .await
        .code(409, "conflict");
    assert_eq!(world.messages(AMINA, id).await.len(), 4);
    world.conversation(AMINA).await;
    world
        .post(AMINA, CONVERSATIONS, json!({}))
        .await
        .code(409, "conflict");
    world.delete(AMINA, &at(id)).await.expect(204);
    world
        .post(AMINA, CONVERSATIONS, json!({}))
        .await
        .expect(201);
    world.conversation(YOUSSEF).await;
}

#[tokio::test]
async fn a_repeated_request_makes_one_conversation() {
    let world = World::new();
    let key = [("idempotency-key", "k-1")];
    let make = |title: &'static str| {
        world.call_with(
            AMINA,
            Method::POST,
            CONVERSATIONS,
            Some(json!({"title": title})),
            &key,
        )
    };
    let first = make("a").await.expect(201);
    let again = make("a").await.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(
        again.header(header::LOCATION),
        first.header(header::LOCATION)
    );
    make("b").await.code(422, "idempotency_mismatch");
    assert_eq!(world.get(AMINA, CONVERSATIONS).await.ids(), [first.id()]);
}

#[tokio::test]
async fn an_unknown_conversation_is_not_found() {
    let world = World::new();
    let unknown = Uuid::from_u128(5);
    world.get(AMINA, &at(unknown)).await.code(404, "not_found");
    world
        .ask(AMINA, unknown, json!({"content": "x"}))
        .await
        .code(404, "not_found");
}
