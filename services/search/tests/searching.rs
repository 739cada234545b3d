//! What is asked, and what may be answered.

mod support;

use http::StatusCode;
use serde_json::Value;
use support::{Running, World, encoded};
use uuid::Uuid;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

const STUDENT: u128 = 900;
const OTHER: u128 = 901;

/// Two courses with files; the student reads the first, the other the second.
async fn world() -> (World, Running) {
    let world = World::new();
    let service = world.start().await;
    for (course, reader) in [(1, STUDENT), (2, OTHER)] {
        world
            .courses
            .put(id(course), 1, "Algorithmique", "Les graphes");
        world.courses.admit(id(reader), id(course));
        world.course_changed(id(course), 1).await;
        for number in 0..5 {
            let file = id(10 * course + number);
            world.files.put(
                id(course),
                file,
                1,
                &format!("Un graphe orienté numéro {number} du cours {course}"),
            );
            world.file_changed(file, 1).await;
        }
    }
    world.settled().await;
    (world, service)
}

#[tokio::test]
async fn only_what_the_caller_may_read_at_this_moment_is_found() {
    let (world, service) = world().await;
    let mine = service.found(id(STUDENT), "q=graphes").await;
    assert_eq!(mine.len(), 6);
    assert!(
        mine.iter().all(|hit| hit["course_id"] == id(1).to_string()),
        "{mine:?}"
    );
    assert!(
        service
            .found(id(STUDENT), &format!("q=graphe&course_id={}", id(2)))
            .await
            .is_empty()
    );
    assert!(service.found(id(999), "q=graphe").await.is_empty());
    let (_, all) = service.ask(id(950), &["admin"], "q=graphe").await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(12));
    world.courses.admit(id(STUDENT), id(2));
    assert_eq!(service.found(id(STUDENT), "q=graphe").await.len(), 12);
    world.courses.expel(id(STUDENT), id(1));
    let mine = service.found(id(STUDENT), "q=graphe").await;
    assert!(mine.len() == 6 && mine.iter().all(|hit| hit["course_id"] == id(2).to_string()));
    let asked = world.courses.last_asked();
    assert_eq!(asked.user_id, id(STUDENT).to_string());
    assert_eq!(asked.permissions, ["assistant:use", "jobs:run"]);
    service.stop().await;
}

#[tokio::test]
async fn a_hit_shows_where_its_words_are() {
    let (_world, service) = world().await;
    let hits = service
        .found(
            id(STUDENT),
            &format!("q={}&kind=passage", encoded("graphes ORIENTES")),
        )
        .await;
    assert_eq!(hits.len(), 5);
    let hit = &hits[0];
    let snippet: Vec<char> = hit["snippet"].as_str().expect("text").chars().collect();
    let words: Vec<String> = hit["highlights"]
        .as_array()
        .expect("ranges")
        .iter()
        .map(|range| {
            let at = |place: usize| {
                usize::try_from(range[place].as_u64().expect("a number")).expect("small")
            };
            snippet[at(0)..at(1)].iter().collect()
        })
        .collect();
    assert_eq!(words, ["graphe", "orienté"]);
    for field in [
        "kind",
        "id",
        "title",
        "snippet",
        "highlights",
        "course_id",
        "file_id",
        "page",
        "heading",
        "score",
    ] {
        assert!(hit.get(field).is_some(), "{field}");
    }
    let courses = service.found(id(STUDENT), "q=graphe&kind=course").await;
    assert_eq!(
        (courses.len(), courses[0]["kind"].as_str()),
        (1, Some("course"))
    );
    assert!(
        service
            .found(id(STUDENT), "q=graphe&kind=person")
            .await
            .is_empty()
    );
    service.stop().await;
}

#[tokio::test]
async fn pages_give_every_hit_once_and_a_cursor_is_good_for_its_question_only() {
    let (world, service) = world().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    let mut first = String::new();
    loop {
        let query = format!("q=graphe&limit=2{cursor}");
        let (status, body) = service.ask(id(STUDENT), &["student"], &query).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        seen.extend(
            body["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|hit| hit["id"].to_string()),
        );
        let Some(next) = body["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        if first.is_empty() {
            first = next.to_owned();
        }
    }
    assert_eq!(seen.len(), 6);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
    world.courses.admit(id(OTHER), id(1));
    let altered = format!("X{}", &first[1..]);
    for (user, query) in [
        (OTHER, format!("q=graphe&limit=2&cursor={first}")),
        (STUDENT, format!("q=graphes&limit=2&cursor={first}")),
        (STUDENT, format!("q=graphe&kind=passage&cursor={first}")),
        (STUDENT, format!("q=graphe&cursor={altered}")),
        (STUDENT, "q=graphe&cursor=x".to_owned()),
        (STUDENT, "q=graphe&cursor=".to_owned()),
    ] {
        let (status, body) = service.ask(id(user), &["student"], &query).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (StatusCode::BAD_REQUEST, Some("bad_cursor")),
            "{query}"
        );
    }
    service.stop().await;
}

fn field(body: &Value) -> &str {
    body["errors"][0]["field"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn bad_questions_name_the_field() {
    let (_world, service) = world().await;
    for (query, name) in [
        ("".to_owned(), "q"),
        ("q=".to_owned(), "q"),
        ("q=%20%09".to_owned(), "q"),
        (format!("q={}", "a".repeat(1_001)), "q"),
        ("q=x&kind=files".to_owned(), "kind"),
        ("q=x&course_id=7".to_owned(), "course_id"),
        ("q=x&limit=0".to_owned(), "limit"),
        ("q=x&limit=201".to_owned(), "limit"),
        ("q=x&sort=date".to_owned(), "sort"),
        ("q=x&q=y".to_owned(), "q"),
    ] {
        let (status, body) = service.ask(id(STUDENT), &["student"], &query).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_eq!(field(&body), name, "{query}: {body}");
    }
    for query in [
        "q=%22graphe%22%20AND%20(*",
        "q=%00",
        "q=%FF%FE",
        "q=..%2F..",
        "q=%E2%80%AE",
    ] {
        let (status, body) = service.ask(id(STUDENT), &["student"], query).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
    }
    service.stop().await;
}

#[tokio::test]
async fn nobody_searches_without_a_valid_token() {
    let (world, service) = world().await;
    for token in [
        None,
        Some("nonsense".to_owned()),
        Some(world.issuer.service_token("chatbot")),
    ] {
        let (status, body) = service.ask_with(token.as_deref(), "q=graphe").await;
        assert!(
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            "{token:?}: {body}"
        );
    }
    service.stop().await;
}

#[tokio::test]
async fn without_rights_there_is_no_answer() {
    let (world, service) = world().await;
    world.courses.set_down(true);
    let (status, body) = service.ask(id(STUDENT), &["student"], "q=graphe").await;
    assert_eq!(
        (status, body["code"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("unavailable"))
    );
    world.courses.set_down(false);
    service.stop().await;
}

#[tokio::test]
async fn the_assistant_finds_passages_for_its_user() {
    let (world, service) = world().await;
    let passages = service
        .passages(id(STUDENT), "Quel graphe est orienté ?", "", 3)
        .await
        .expect("answers");
    assert_eq!(passages.len(), 3);
    for passage in &passages {
        assert_eq!(passage.course_id, id(1).to_string());
        assert!(
            (passage.coverage - 1.0).abs() < 1e-6 && passage.page == 1 && passage.file_version == 1
        );
        assert!(passage.text.contains("graphe orienté") && passage.language == "fr");
    }
    let none = service
        .passages(id(STUDENT), "graphe", &id(2).to_string(), 3)
        .await
        .expect("answers");
    assert!(none.is_empty());
    for (course, limit) in [("", 0), ("", 51), ("7", 5)] {
        let refused = service
            .passages(id(STUDENT), "graphe", course, limit)
            .await
            .expect_err("refused");
        assert_eq!(
            refused.code(),
            tonic::Code::InvalidArgument,
            "{course} {limit}: {refused}"
        );
    }
    // Not without a user, and not by any other service.
    let refused = service
        .passages_by(service.grpc(), "graphe", "", 3)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{refused}");
    let files = service
        .grpc()
        .clone()
        .with_tokens(world.issuer.service_tokens("files"));
    let files = files.with_actor_token(&world.issuer.user_token(id(STUDENT), &["student"]));
    let refused = service
        .passages_by(&files, "graphe", "", 3)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    service.stop().await;
}

#[tokio::test]
async fn the_document_says_what_the_route_does() {
    let world = World::new();
    let service = riwaq_search::service(&world.config, world.deps()).expect("builds");
    let document = serde_json::to_value(service.openapi()).expect("JSON");
    let operation = &document["paths"]["/api/search"]["get"];
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert_eq!(parameters, ["q", "kind", "course_id", "limit", "cursor"]);
    for status in ["200", "400", "422", "default"] {
        assert!(operation["responses"].get(status).is_some(), "{status}");
    }
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for name in ["SearchPage", "SearchHit", "Problem"] {
        assert!(schemas.contains_key(name), "{name}");
    }
}
