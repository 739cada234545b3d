//! Requests that are sent again, and events that follow.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use riwaq_aggregates::records::faults::{CrashPoint, Faulty};
use riwaq_aggregates::records::{Memory, Store};
use riwaq_courses::Config;
use serde_json::{Value, json};

use crate::world::{
    Answer, BY_OTHER_STUDENT, BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, OTHER_STUDENT, Person,
    STUDENT, World, path,
};

async fn keyed(world: &World, person: Person, at: &str, key: &str, body: Value) -> Answer {
    let headers = [("idempotency-key", key)];
    world
        .call_with(person, Method::POST, at, Some(body), &headers)
        .await
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_one_answer() {
    let world = World::new().await;
    let body = json!({"title": "Algèbre"});
    let first = keyed(&world, BY_OWNER, "/api/courses", "k-1", body.clone())
        .await
        .expect(201);
    let again = keyed(&world, BY_OWNER, "/api/courses", "k-1", body.clone())
        .await
        .expect(201);
    assert_eq!(again.body, first.body);
    for name in [header::LOCATION, header::ETAG] {
        assert_eq!(again.header(name.clone()), first.header(name));
    }
    assert_eq!(
        world
            .get(BY_OWNER, "/api/courses")
            .await
            .expect(200)
            .ids()
            .len(),
        1
    );
    let other = keyed(
        &world,
        BY_OWNER,
        "/api/courses",
        "k-1",
        json!({"title": "Analyse"}),
    )
    .await;
    other.code(422, "idempotency_mismatch");
    // Another person's key is another key.
    keyed(
        &world,
        BY_OTHER_TEACHER,
        "/api/courses",
        "k-1",
        body.clone(),
    )
    .await
    .expect(201);
    keyed(&world, BY_OWNER, "/api/courses", "", body)
        .await
        .expect(400);
}

#[tokio::test]
async fn a_refused_request_may_be_corrected_under_the_same_key() {
    let world = World::new().await;
    keyed(
        &world,
        BY_STUDENT,
        "/api/courses",
        "k",
        json!({"title": "x"}),
    )
    .await
    .expect(403);
    keyed(&world, BY_OWNER, "/api/courses", "k", json!({"title": ""}))
        .await
        .expect(422);
    keyed(&world, BY_OWNER, "/api/courses", "k", json!({"title": "x"}))
        .await
        .expect(201);
}

#[tokio::test]
async fn sections_and_enrolments_are_repeated_without_effect() {
    let world = World::new().await;
    let course = world.course("open", "published").await;
    let sections = format!("{}/sections", path(course));
    let first = keyed(&world, BY_OWNER, &sections, "s", json!({"title": "S"}))
        .await
        .expect(201);
    world
        .patch(BY_OWNER, &path(course), json!({"title": "Neuf"}))
        .await
        .expect(200);
    let again = keyed(&world, BY_OWNER, &sections, "s", json!({"title": "S"}))
        .await
        .expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(
        world.get(BY_OWNER, &path(course)).await.expect(200).body["sections"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let enrolments = format!("{}/enrolments", path(course));
    keyed(&world, BY_STUDENT, &enrolments, "e", json!({}))
        .await
        .expect(201);
    // The first answer, although it would be 200 without the key.
    keyed(&world, BY_STUDENT, &enrolments, "e", json!({}))
        .await
        .expect(201);
    world
        .post(BY_STUDENT, &enrolments, json!({}))
        .await
        .expect(200);
    // The same key and body at another address is another request.
    keyed(&world, BY_OWNER, &enrolments, "s", json!({"title": "S"}))
        .await
        .expect(422);
}

#[tokio::test]
async fn every_change_is_told_once_with_ids_only() {
    let mut world = World::new().await;
    let (relay, stop) = world.start();
    let story = async {
        let course = world.course("open", "published").await;
        world
            .post(
                BY_STUDENT,
                &format!("{}/enrolments", path(course)),
                json!({}),
            )
            .await
            .expect(201);
        world
            .patch(BY_OWNER, &path(course), json!({"title": "Algèbre"}))
            .await
            .expect(200);
        world.delete(BY_OWNER, &path(course)).await.expect(204);
        let mut told: Vec<(String, Value)> = world
            .published(4)
            .await
            .into_iter()
            .map(|event| (event.id, event.data))
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let course_told = |version: i64| {
            (
                format!("course/{course}/{version}"),
                json!({"id": course, "version": version}),
            )
        };
        let enrolment = json!({"course_id": course, "user_id": STUDENT, "version": 1});
        let enrolment = (format!("enrolment/{course}:{STUDENT}/1"), enrolment);
        assert_eq!(
            told,
            [course_told(1), course_told(2), course_told(3), enrolment]
        );
        drop(stop);
    };
    tokio::join!(relay, story);
}

/// The store dies at one write of the request; the client repeats it with its key when all is well again.
async fn dying_at(
    fatal: u64,
    point: CrashPoint,
    request: impl AsyncFn(&World) -> Answer,
) -> (World, Answer, bool) {
    let mut tables = riwaq_aggregates::tables();
    tables.extend(riwaq_courses::tables());
    let faulty = Arc::new(Faulty::reliable(Arc::new(
        Memory::with_tables(tables).unwrap(),
    )));
    let world = World::over(Store::new(faulty.clone()), Config::default()).await;
    world.course("open", "published").await;
    faulty.revive();
    faulty.crash_at(fatal, point);
    let first = request(&world).await;
    let crashed = faulty.is_dead();
    assert!(
        first.status.is_success() || first.status.is_server_error(),
        "{fatal} {point:?}: {}",
        first.body
    );
    faulty.revive();
    // Long enough for the dead request to be given up.
    world.clock.advance(Duration::from_secs(120));
    let again = request(&world).await;
    if first.status.is_success() {
        assert_eq!(again.body, first.body, "{fatal} {point:?}");
    }
    (world, again, crashed)
}

#[tokio::test]
async fn a_creation_that_dies_anywhere_and_is_repeated_makes_one_course() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for fatal in 1.. {
            let request = async |world: &World| {
                keyed(
                    world,
                    BY_OTHER_TEACHER,
                    "/api/courses",
                    "k",
                    json!({"title": "Analyse"}),
                )
                .await
            };
            let (world, again, crashed) = dying_at(fatal, point, request).await;
            let made = again.expect(201);
            for scope in ["", "?scope=mine"] {
                let list = world
                    .get(BY_OTHER_TEACHER, &format!("/api/courses{scope}"))
                    .await
                    .expect(200);
                let titles = list.body["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|item| item["title"] == "Analyse");
                assert_eq!(titles.count(), 1, "{fatal} {point:?}");
            }
            let read = world
                .get(BY_OTHER_TEACHER, &made.header(header::LOCATION))
                .await
                .expect(200);
            assert_eq!(read.body, made.body, "{fatal} {point:?}");
            if !crashed {
                // Key, half-year, pointer, version, two batches at most of views, and the answer.
                assert!(fatal > 5, "only {fatal} writes");
                break;
            }
        }
    }
}

#[tokio::test]
async fn enrolments_that_die_anywhere_and_are_repeated_are_complete() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for fatal in 1.. {
            let request = async |world: &World| {
                let course = world.get(BY_OWNER, "/api/courses").await.expect(200).ids()[0];
                let body = json!({"user_ids": [STUDENT, OTHER_STUDENT]});
                keyed(
                    world,
                    BY_OWNER,
                    &format!("{}/enrolments", path(course)),
                    "k",
                    body,
                )
                .await
            };
            let (world, again, crashed) = dying_at(fatal, point, request).await;
            assert!(
                again.status.is_success(),
                "{fatal} {point:?}: {}",
                again.body
            );
            let course = world.get(BY_OWNER, "/api/courses").await.expect(200).ids()[0];
            let list = world
                .get(BY_OWNER, &format!("{}/enrolments", path(course)))
                .await
                .expect(200);
            assert_eq!(
                list.body["items"].as_array().unwrap().len(),
                2,
                "{fatal} {point:?}"
            );
            for person in [BY_STUDENT, BY_OTHER_STUDENT] {
                let mine = world
                    .get(person, "/api/courses?scope=mine")
                    .await
                    .expect(200);
                assert_eq!(mine.ids(), [course], "{fatal} {point:?}");
            }
            if !crashed {
                break;
            }
        }
    }
}
