//! Answers that are not given to their end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::search::Mood;
use crate::world::{AMINA, World, at, events, with_tree};

const KEY: [(&str, &str); 1] = [("idempotency-key", "q-1")];

fn question() -> Value {
    json!({"content": "Qu'est-ce qu'un arbre binaire ?"})
}

/// Polls until it is so, for at most ten seconds.
async fn eventually(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .is_ok(),
        "never: {what}"
    );
}

#[tokio::test]
async fn closing_the_connection_stops_the_answer() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::Hangs);
    let response = world.stream(AMINA, id, question(), &KEY).await;
    eventually("the search is asked", || world.search.in_flight() == 1).await;
    drop(response);
    eventually("the search is let go", || world.search.in_flight() == 0).await;
    world.search.set(Mood::Answers);
    assert_eq!(
        world.messages(AMINA, id).await.len(),
        1,
        "the question stays, there is no answer"
    );
    // The key is free again for the same question, as soon as the stopped task has said so.
    let mut answer = world.ask_with(AMINA, id, question(), &KEY).await;
    for _ in 0..1000 {
        if answer.status != 409 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        answer = world.ask_with(AMINA, id, question(), &KEY).await;
    }
    assert_eq!(answer.expect(200).body["answered"], true);
    assert_eq!(world.messages(AMINA, id).await.len(), 2);
}

#[tokio::test]
async fn a_failure_is_an_event_with_its_problem() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::IsDown);
    let events = events(world.stream(AMINA, id, question(), &[]).await).await;
    let [(name, problem)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(name, "error");
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!("unavailable"), &json!(503))
    );
    assert_eq!(world.messages(AMINA, id).await.len(), 1);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::Hangs);
    let response = world.stream(AMINA, id, question(), &[]).await;
    eventually("the search is asked", || world.search.in_flight() == 1).await;
    let told = events(response);
    let advanced = async {
        // The channel's own deadline is by the machine's clock; ours is by this one.
        world.clock.advance(Duration::from_secs(61));
    };
    let (events, ()) = tokio::join!(told, advanced);
    let (name, problem) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &problem["code"]),
        ("error", &json!("timeout"))
    );
    eventually("the search is let go", || world.search.in_flight() == 0).await;
}

#[tokio::test]
async fn an_answer_to_a_deleted_conversation_is_not_kept() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    world.search.set(Mood::Hangs);
    let response = world.stream(AMINA, id, question(), &[]).await;
    eventually("the search is asked", || world.search.in_flight() == 1).await;
    world.delete(AMINA, &at(id)).await.expect(204);
    world.search.set(Mood::Answers);
    let events = events(response).await;
    let (name, problem) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &problem["code"]),
        ("error", &json!("not_found"))
    );
    world.get(AMINA, &at(id)).await.code(404, "not_found");
}
