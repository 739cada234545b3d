//! Questions and answers.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{
    ALGORITHMS, AMINA, NETWORKS, TREE, World, YOUSSEF, at, events, passage, with_tree,
};

const QUESTION: &str = "Qu'est-ce qu'un arbre binaire ?";

fn texts(events: &[(String, Value)]) -> String {
    events
        .iter()
        .filter(|(name, _)| name == "token")
        .map(|(_, data)| data["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_answer_quotes_with_numbers_and_citations_and_is_kept() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    let answer = world
        .ask(AMINA, id, json!({"content": QUESTION}))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&answer["answered"], &answer["model"]),
        (&json!(true), &json!("extractive"))
    );
    assert_eq!(
        (&answer["prompt_tokens"], &answer["completion_tokens"]),
        (&json!(0), &json!(0))
    );
    let citation = &answer["citations"][0];
    let quote = citation["quote"].as_str().unwrap();
    assert!(
        TREE.contains(quote) && quote.contains("au plus deux fils"),
        "{quote}"
    );
    assert!(
        answer["content"]
            .as_str()
            .unwrap()
            .contains(&format!("« {quote} » [1]"))
    );
    assert_eq!(
        (&citation["n"], &citation["page"], &citation["title"]),
        (&json!(1), &json!(4), &json!("cours-1.pdf"))
    );
    assert_eq!(citation["file_id"], json!(Uuid::from_u128(1)));
    assert_eq!(citation["course_id"], json!(ALGORITHMS));

    let kept = world.get(AMINA, &at(id)).await.expect(200).body;
    assert_eq!(kept["title"], QUESTION, "the first question names it");
    let messages = kept["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(
        (&messages[0]["role"], &messages[0]["content"]),
        (&json!("user"), &json!(QUESTION))
    );
    assert_eq!(messages[1]["role"], "assistant");
    assert_eq!(messages[1]["id"], answer["message_id"]);
    for field in ["content", "citations", "model", "answered"] {
        assert_eq!(messages[1][field], answer[field], "{field}");
    }
}

#[tokio::test]
async fn an_answer_streams_and_is_kept_before_it_is_done() {
    let world = World::new();
    with_tree(&world);
    world.search.let_read(
        AMINA,
        passage(
            ALGORITHMS,
            2,
            0,
            "fr",
            "Un arbre binaire équilibré a une hauteur logarithmique en son nombre de nœuds.",
        ),
    );
    let id = world.conversation(AMINA).await;
    let response = world
        .stream(AMINA, id, json!({"content": QUESTION}), &[])
        .await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let events = events(response).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["token", "citation", "token", "citation", "done"]);
    let done = &events.last().unwrap().1;
    let messages = world.messages(AMINA, id).await;
    assert_eq!(done["message_id"], messages[1]["id"]);
    assert_eq!(done["answered"], true);
    assert_eq!(texts(&events), messages[1]["content"].as_str().unwrap());
    let citations: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "citation")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(json!(citations), messages[1]["citations"]);
    assert_eq!(
        citations[1]["page"],
        json!(null),
        "a document without pages"
    );
}

#[tokio::test]
async fn when_nothing_answers_it_says_so_in_the_language_of_the_question() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    for (question, beginning) in [
        (
            "Quelle est la capitale de la Mongolie ?",
            "Je n'ai rien trouvé dans vos cours",
        ),
        (
            "What is the capital of Mongolia?",
            "I found nothing in your courses",
        ),
        ("ما هي عاصمة منغوليا؟", "لم أجد في دروسك"),
        ("?!", "Je n'ai rien trouvé"),
    ] {
        let answer = world
            .ask(AMINA, id, json!({"content": question}))
            .await
            .expect(200)
            .body;
        assert_eq!(answer["answered"], false, "{question}");
        assert_eq!(answer["citations"], json!([]));
        assert!(
            answer["content"].as_str().unwrap().starts_with(beginning),
            "{answer}"
        );
    }
    assert_eq!(world.messages(AMINA, id).await.len(), 8);
}

#[tokio::test]
async fn nothing_is_quoted_that_the_person_may_not_read() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(YOUSSEF).await;
    let answer = world
        .ask(YOUSSEF, id, json!({"content": QUESTION}))
        .await
        .expect(200)
        .body;
    assert_eq!(answer["answered"], false);
    assert!(!answer.to_string().contains("deux fils"));
}

#[tokio::test]
async fn a_question_about_one_course_is_answered_out_of_it() {
    let world = World::new();
    with_tree(&world);
    world.search.let_read(
        AMINA,
        passage(
            NETWORKS,
            9,
            1,
            "fr",
            "Un arbre binaire de commutation relie les routeurs entre eux.",
        ),
    );
    let id = world.conversation(AMINA).await;
    let question = json!({"content": QUESTION, "course_id": NETWORKS});
    let answer = world.ask(AMINA, id, question).await.expect(200).body;
    assert_eq!(world.search.asked()[0].course_id, NETWORKS.to_string());
    let citations = answer["citations"].as_array().unwrap();
    assert!(
        !citations.is_empty()
            && citations
                .iter()
                .all(|citation| citation["course_id"] == json!(NETWORKS))
    );
    assert_eq!(
        world.messages(AMINA, id).await[0]["course_id"],
        json!(NETWORKS)
    );
    let elsewhere = json!({"content": QUESTION, "course_id": Uuid::from_u128(77)});
    let nothing = world.ask(AMINA, id, elsewhere).await.expect(200).body;
    assert!(
        nothing["content"]
            .as_str()
            .unwrap()
            .contains("dans ce cours")
    );
}

#[tokio::test]
async fn hostile_texts_are_quoted_as_they_are() {
    let world = World::new();
    let hostile = "Un arbre binaire <script>alert(1)</script> \"\\ \u{202e}renversé\u{202c} a\ndeux fils\tau plus data: x 🎓.";
    world
        .search
        .let_read(AMINA, passage(ALGORITHMS, 3, 1, "fr", hostile));
    let id = world.conversation(AMINA).await;
    let events = events(
        world
            .stream(AMINA, id, json!({"content": QUESTION}), &[])
            .await,
    )
    .await;
    let quote = events
        .iter()
        .find(|(name, _)| name == "citation")
        .unwrap()
        .1["quote"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(hostile.contains(&quote));
    assert!(texts(&events).contains(&quote));
}

#[tokio::test]
async fn several_questions_at_once_are_all_answered_in_order() {
    let world = World::new();
    with_tree(&world);
    let id = world.conversation(AMINA).await;
    let asked =
        (0..8).map(|n| world.ask(AMINA, id, json!({"content": format!("arbre binaire {n}")})));
    for answer in futures::future::join_all(asked).await {
        answer.expect(200);
    }
    let messages = world.messages(AMINA, id).await;
    assert_eq!(messages.len(), 16);
    let position = |wanted: &Value| {
        messages
            .iter()
            .position(|message| message["id"] == *wanted)
            .unwrap()
    };
    for question in messages.iter().filter(|message| message["role"] == "user") {
        let question_id: Uuid = question["id"].as_str().unwrap().parse().unwrap();
        let answer_id = json!(Uuid::new_v5(&question_id, b"answer"));
        assert!(
            position(&answer_id) > position(&question["id"]),
            "an answer comes after its question"
        );
    }
}

#[tokio::test]
async fn what_the_client_takes_decides_between_stream_and_document() {
    let world = World::new();
    let id = world.conversation(AMINA).await;
    for (accept, expected) in [
        ("application/json", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
        (
            "text/event-stream;q=0.1, application/json",
            "application/json",
        ),
    ] {
        let request = http::Request::post(crate::world::messages(id))
            .header("accept", accept)
            .header("content-type", "application/json");
        let response = world
            .raw(Some(AMINA), request, r#"{"content": "x"}"#.into())
            .await;
        assert_eq!(response.headers()["content-type"], expected);
    }
    let body = Some(json!({"content": "x"}));
    let image = [("accept", "image/png")];
    let refused = world
        .call_with(
            AMINA,
            http::Method::POST,
            &crate::world::messages(id),
            body,
            &image,
        )
        .await;
    refused.code(406, "not_acceptable");
}
