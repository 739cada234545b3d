//! Questions that are sent again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::search::Mood;
use crate::world::{AMINA, World, YOUSSEF, events, with_tree};

const KEY: [(&str, &str); 1] = [("idempotency-key", "q-1")];

fn question() -> Value {
    json!({"content": "Qu'est-ce qu'un arbre binaire ?"})
}

#[tokio::test]
async fn a_repeated_question_is_asked_once_and_has_one_answer() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    let first = world
        .ask_with(AMINA, id, question(), &KEY)
        .await
        .expect(200)
        .body;
    let again = world
        .ask_with(AMINA, id, question(), &KEY)
        .await
        .expect(200)
        .body;
    assert_eq!(again, first);
    assert_eq!(world.search.asked().len(), 1);
    assert_eq!(world.messages(AMINA, id).await.len(), 2);

    // Also as a stream.
    let events = events(world.stream(AMINA, id, question(), &KEY).await).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["token", "citation", "done"]);
    assert_eq!(events[0].1["text"], first["content"]);
    assert_eq!(events[2].1["message_id"], first["message_id"]);

    world
        .ask_with(AMINA, id, json!({"content": "Autre chose ?"}), &KEY)
        .await
        .code(422, "idempotency_mismatch");
    let other = world.conversation(AMINA).await;
    world
        .ask_with(AMINA, other, question(), &KEY)
        .await
        .code(422, "idempotency_mismatch");
    let theirs = world.conversation(YOUSSEF).await;
    world
        .ask_with(YOUSSEF, theirs, question(), &KEY)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_question_that_is_being_answered_is_not_answered_twice() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::Hangs);
    let first = world.ask_with(AMINA, id, question(), &KEY);
    let second = async {
        while world.search.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        world
            .ask_with(AMINA, id, question(), &KEY)
            .await
            .code(409, "conflict");
        world.search.set(Mood::Answers);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.expect(200).body["answered"], true);
    assert_eq!(world.messages(AMINA, id).await.len(), 2);
}

#[tokio::test]
async fn a_long_answer_keeps_its_key() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::Hangs);
    let first = world.ask_with(AMINA, id, question(), &KEY);
    let second = async {
        while world.search.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        // Longer than a request without a sign of life would keep it, and shorter than an answer may take.
        for _ in 0..10 {
            world
                .ask_with(AMINA, id, question(), &KEY)
                .await
                .code(409, "conflict");
            world.clock.advance(Duration::from_secs(5));
        }
        world.search.set(Mood::Answers);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.expect(200).body["answered"], true);
    assert_eq!(world.messages(AMINA, id).await.len(), 2);
}

#[tokio::test]
async fn after_a_failure_a_repetition_goes_on_with_the_same_question() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::IsDown);
    world
        .ask_with(AMINA, id, question(), &KEY)
        .await
        .code(503, "unavailable");
    let kept = world.messages(AMINA, id).await;
    assert_eq!(kept.len(), 1, "the question is kept");
    world.search.set(Mood::Answers);
    let answer = world
        .ask_with(AMINA, id, question(), &KEY)
        .await
        .expect(200)
        .body;
    assert_eq!(answer["answered"], true);
    let messages = world.messages(AMINA, id).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], kept[0]);
}

#[tokio::test]
async fn a_refused_question_frees_its_key() {
    let world = World::new();
    let gone = uuid::Uuid::from_u128(9);
    world
        .ask_with(AMINA, gone, question(), &KEY)
        .await
        .code(404, "not_found");
    let id = world.conversation(AMINA).await;
    world
        .ask_with(AMINA, id, question(), &KEY)
        .await
        .expect(200);
}
