//! Sections of a course.

use http::{Method, header};
use riwaq_courses::Config;
use serde_json::{Value, json};

use crate::world::{BY_OWNER, BY_STUDENT, World, path};

async fn titles(world: &World, at: &str) -> Vec<String> {
    let course = world.get(BY_OWNER, at).await.expect(200).body;
    let sections = course["sections"].as_array().unwrap();
    for (position, section) in sections.iter().enumerate() {
        assert_eq!(section["position"], position);
    }
    sections
        .iter()
        .map(|section| section["title"].as_str().unwrap().to_owned())
        .collect()
}

async fn with_sections(world: &World, count: usize) -> (String, Vec<Value>) {
    let at = path(world.course("open", "published").await);
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({"title": format!("S{number}")});
        let made = world
            .post(BY_OWNER, &format!("{at}/sections"), body)
            .await
            .expect(201);
        ids.push(made.body["id"].clone());
    }
    (at, ids)
}

#[tokio::test]
async fn a_section_is_made_read_changed_and_deleted() {
    let world = World::new().await;
    let (at, _) = with_sections(&world, 2).await;
    let body = json!({"title": "Premier", "body": "Texte\n**gras**", "position": 0});
    let made = world
        .post(BY_OWNER, &format!("{at}/sections"), body)
        .await
        .expect(201);
    assert_eq!(made.body["position"], 0);
    assert_eq!(made.header(header::ETAG), "\"v5\"");
    assert_eq!(titles(&world, &at).await, ["Premier", "S0", "S1"]);
    let one = made.header(header::LOCATION);
    let read = world.get(BY_STUDENT, &one).await.expect(200);
    assert_eq!(read.body, made.body);
    let patched = world
        .patch(
            BY_OWNER,
            &one,
            json!({"title": "Second", "position": 1, "body": null}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&patched.body["position"], &patched.body["body"]),
        (&json!(1), &json!(""))
    );
    assert_eq!(titles(&world, &at).await, ["S0", "Second", "S1"]);
    let stale = [("if-match", "\"v5\"")];
    world
        .call_with(
            BY_OWNER,
            Method::PATCH,
            &one,
            Some(json!({"title": "x"})),
            &stale,
        )
        .await
        .expect(412);
    world
        .call_with(BY_OWNER, Method::DELETE, &one, None, &stale)
        .await
        .expect(412);
    world.delete(BY_OWNER, &one).await.expect(204);
    world.delete(BY_OWNER, &one).await.expect(404);
    world.get(BY_OWNER, &one).await.expect(404);
    world
        .patch(BY_OWNER, &one, json!({"title": "x"}))
        .await
        .expect(404);
    // The history still has it.
    let before = world
        .get(BY_OWNER, &format!("{at}/versions/6"))
        .await
        .expect(200);
    assert_eq!(before.body["course"]["sections"][1]["title"], "Second");
}

#[tokio::test]
async fn sections_are_put_in_order() {
    let world = World::new().await;
    let (at, ids) = with_sections(&world, 3).await;
    let order = format!("{at}/sections/order");
    let ordered = world
        .put(BY_OWNER, &order, json!({"ids": [ids[2], ids[0], ids[1]]}))
        .await
        .expect(200);
    assert_eq!(ordered.header(header::ETAG), "\"v6\"");
    assert_eq!(titles(&world, &at).await, ["S2", "S0", "S1"]);
    for wrong in [
        json!([ids[0], ids[1]]),
        json!([ids[0], ids[1], ids[1]]),
        json!([]),
    ] {
        let refused = world
            .put(BY_OWNER, &order, json!({"ids": wrong}))
            .await
            .code(422, "validation_failed");
        assert_eq!(refused.fields(), ["ids"]);
    }
    world
        .put(BY_STUDENT, &order, json!({"ids": ids}))
        .await
        .expect(403);
    let stale = [("if-match", "\"v5\"")];
    world
        .call_with(
            BY_OWNER,
            Method::PUT,
            &order,
            Some(json!({"ids": ids})),
            &stale,
        )
        .await
        .expect(412);
}

#[tokio::test]
async fn limits_of_sections_are_kept() {
    let config = Config {
        sections_max: 2,
        course_max_bytes: 6000,
        ..Config::default()
    };
    let world = World::with(config).await;
    let (at, ids) = with_sections(&world, 2).await;
    let sections = format!("{at}/sections");
    let refused = world
        .post(BY_OWNER, &sections, json!({"title": "S2"}))
        .await
        .code(422, "validation_failed");
    assert_eq!(refused.fields(), ["sections"]);
    let one = format!("{sections}/{}", ids[0].as_str().unwrap());
    let refused = world
        .patch(BY_OWNER, &one, json!({"body": "x".repeat(6000)}))
        .await
        .expect(422);
    assert_eq!(refused.fields(), ["body"]);
    let refused = world
        .patch(BY_OWNER, &one, json!({"body": "x".repeat(20_001)}))
        .await
        .expect(422);
    assert_eq!(refused.fields(), ["body"]);
    assert_eq!(titles(&world, &at).await, ["S0", "S1"]);
}
