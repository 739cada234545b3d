//! The assistant over gRPC, for other services.

use riwaq_api::chatbot::v1::AnswerRequest;
use tonic::Code;

use crate::search::Mood;
use crate::world::{AMINA, TREE, World, YOUSSEF, with_tree};

fn question(text: &str) -> AnswerRequest {
    AnswerRequest {
        question: text.to_owned(),
        course_id: String::new(),
    }
}

#[tokio::test]
async fn another_service_may_ask_for_a_person() {
    let world = World::new();
    with_tree(&world);
    let token = world.token(AMINA);
    let mut client = world.internal("gateway", Some(&token));
    let answer = client
        .answer(question("Qu'est-ce qu'un arbre binaire ?"))
        .await
        .unwrap()
        .into_inner();
    assert!(answer.answered && answer.model == "extractive");
    assert!(TREE.contains(&answer.citations[0].quote));
    assert!(answer.content.contains(&answer.citations[0].quote));
    assert_eq!(answer.citations[0].page, 4);

    let token = world.token(YOUSSEF);
    let answer = world
        .internal("gateway", Some(&token))
        .answer(question("arbre binaire"))
        .await
        .unwrap()
        .into_inner();
    assert!(!answer.answered && answer.citations.is_empty());
}

#[tokio::test]
async fn nobody_asks_without_a_person() {
    let world = World::new();
    let refused = world
        .internal("gateway", None)
        .answer(question("x"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(world.search.asked().is_empty());
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = World::new();
    let token = world.token(AMINA);
    let mut client = world.internal("gateway", Some(&token));
    for bad in [
        question(""),
        question(&"x".repeat(4001)),
        AnswerRequest {
            course_id: "x".to_owned(),
            ..question("x")
        },
    ] {
        assert_eq!(
            client.answer(bad).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    world.search.set(Mood::IsDown);
    assert_eq!(
        client.answer(question("arbre")).await.unwrap_err().code(),
        Code::Unavailable
    );
}
