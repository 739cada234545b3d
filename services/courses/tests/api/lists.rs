//! Lists of courses: what is in them, their order, their pages, their cursors.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::world::{
    BY_ADMIN, BY_OTHER_STUDENT, BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, NONE, Person, STUDENT,
    World, path, set,
};

async fn ids(world: &World, person: Person, query: &str) -> Vec<Uuid> {
    world
        .get(person, &format!("/api/courses{query}"))
        .await
        .expect(200)
        .ids()
}

/// Every page of a list, with pages of `limit`.
async fn paged(world: &World, person: Person, scope: &str, limit: usize) -> Vec<Uuid> {
    let mut all = Vec::new();
    let mut at = format!("/api/courses?limit={limit}{scope}");
    loop {
        let page = world.get(person, &at).await.expect(200);
        assert!(page.ids().len() <= limit);
        all.extend(page.ids());
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            return all;
        };
        assert_eq!(page.ids().len(), limit, "a page before the last is full");
        at = format!("/api/courses?limit={limit}{scope}&cursor={cursor}");
    }
}

#[tokio::test]
async fn everybody_sees_what_concerns_them() {
    let world = World::new().await;
    let open = world.course("open", "published").await;
    let closed = world.course("closed", "published").await;
    let draft = world.course("open", "draft").await;
    let archived = world.course("open", "archived").await;
    let theirs = world
        .course_by(BY_OTHER_TEACHER, "closed", "published")
        .await;
    world.enrol(closed, STUDENT).await;
    world.enrol(archived, STUDENT).await;
    let cases = [
        (BY_ADMIN, "", vec![theirs, archived, draft, closed, open]),
        (BY_OWNER, "", vec![archived, draft, closed, open]),
        (BY_OTHER_TEACHER, "", vec![theirs, open]),
        (BY_STUDENT, "", vec![closed, open]),
        (BY_OTHER_STUDENT, "", vec![open]),
        (BY_OWNER, "?scope=mine", vec![archived, draft, closed, open]),
        (BY_STUDENT, "?scope=mine", vec![closed]),
        (BY_OTHER_STUDENT, "?scope=mine", vec![]),
        (BY_ADMIN, "?scope=mine", vec![]),
        (BY_ADMIN, "?scope=catalogue", vec![open]),
        (BY_OWNER, "?scope=catalogue", vec![open]),
        (BY_STUDENT, "?scope=catalogue", vec![open]),
    ];
    for (person, query, expected) in cases {
        assert_eq!(
            ids(&world, person, query).await,
            expected,
            "{person:?} {query}"
        );
    }
}

#[tokio::test]
async fn a_list_follows_every_change_at_once() {
    let world = World::new().await;
    let course = world.course("closed", "draft").await;
    assert_eq!(ids(&world, BY_STUDENT, "").await, NONE);
    world
        .patch(BY_OWNER, &path(course), json!({"status": "published"}))
        .await
        .expect(200);
    assert_eq!(ids(&world, BY_STUDENT, "").await, NONE);
    world
        .patch(BY_OWNER, &path(course), json!({"visibility": "open"}))
        .await
        .expect(200);
    assert_eq!(ids(&world, BY_STUDENT, "").await, [course]);
    world
        .patch(BY_OWNER, &path(course), json!({"title": "Neuf"}))
        .await
        .expect(200);
    let list = world.get(BY_STUDENT, "/api/courses").await.expect(200);
    assert_eq!(list.body["items"][0]["title"], "Neuf");
    assert_eq!(list.body["items"][0]["version"], 4);
    // As it is alone, but for the sections.
    let mut alone = world.get(BY_STUDENT, &path(course)).await.expect(200).body;
    alone.as_object_mut().unwrap().remove("sections");
    assert_eq!(list.body["items"][0], alone);
    world
        .patch(BY_OWNER, &path(course), json!({"visibility": "closed"}))
        .await
        .expect(200);
    assert_eq!(ids(&world, BY_STUDENT, "").await, NONE);
}

#[tokio::test]
async fn pages_of_any_size_give_the_whole_list_in_order() {
    let world = World::new().await;
    let mut newest_first = Vec::new();
    for number in 0..40_usize {
        // Over several half-years, some of them without any course.
        if number % 10 == 9 {
            world.clock.advance(Duration::from_secs(250 * 86_400));
        }
        let visibility = if number.is_multiple_of(3) {
            "open"
        } else {
            "closed"
        };
        let course = world.course(visibility, "published").await;
        let enrolled = number % 3 == 1;
        if enrolled || number == 12 {
            world.enrol(course, STUDENT).await;
        }
        if visibility == "open" || enrolled {
            newest_first.insert(0, course);
        }
    }
    for limit in [1, 2, 7, 26, 27, 200] {
        assert_eq!(
            paged(&world, BY_STUDENT, "", limit).await,
            newest_first,
            "pages of {limit}"
        );
    }
    assert_eq!(paged(&world, BY_ADMIN, "", 7).await.len(), 40);
    assert_eq!(paged(&world, BY_OWNER, "&scope=mine", 7).await.len(), 40);
    let catalogue = paged(&world, BY_OTHER_STUDENT, "&scope=catalogue", 3).await;
    assert_eq!(catalogue.len(), 14);
    assert_eq!(set(&catalogue).len(), 14);
}

#[tokio::test]
async fn another_replica_sees_courses_of_a_half_year_that_it_did_not_know() {
    let world = World::new().await;
    let replica = World::over(world.store.clone(), riwaq_courses::Config::default()).await;
    assert_eq!(ids(&replica, BY_ADMIN, "").await, NONE);
    let first = world.course("open", "published").await;
    assert_eq!(ids(&replica, BY_ADMIN, "").await, [first]);
    for replica in [&world, &replica] {
        replica.clock.advance(Duration::from_secs(200 * 86_400));
    }
    let second = world.course("open", "published").await;
    assert_eq!(ids(&replica, BY_ADMIN, "").await, [second, first]);
    assert_eq!(ids(&replica, BY_STUDENT, "").await, [second, first]);
}

#[tokio::test]
async fn a_cursor_opens_only_its_own_list_for_its_own_reader() {
    let world = World::new().await;
    for _ in 0..3 {
        world.course("open", "published").await;
    }
    let page = world
        .get(BY_STUDENT, "/api/courses?limit=1")
        .await
        .expect(200);
    let cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
    let with = async |person, query: &str, cursor: &str| {
        world
            .get(
                person,
                &format!("/api/courses?limit=1{query}&cursor={cursor}"),
            )
            .await
    };
    with(BY_STUDENT, "", &cursor).await.expect(200);
    with(BY_OTHER_STUDENT, "", &cursor)
        .await
        .code(400, "bad_cursor");
    with(BY_STUDENT, "&scope=catalogue", &cursor)
        .await
        .code(400, "bad_cursor");
    let mut altered = cursor.clone();
    altered.replace_range(0..1, if cursor.starts_with('A') { "B" } else { "A" });
    for bad in [
        altered.as_str(),
        "",
        "x",
        "%00",
        &cursor[1..],
        &"A".repeat(3000),
    ] {
        with(BY_STUDENT, "", bad).await.code(400, "bad_cursor");
    }
    // Of another list of the same reader.
    let course = world.course("open", "published").await;
    let versions = format!("{}/versions?limit=1", path(course));
    let theirs = world.get(BY_OWNER, &versions).await.expect(200).body["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    with(BY_OWNER, "", &theirs).await.code(400, "bad_cursor");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_named() {
    let world = World::new().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("scope=all", "scope"),
        ("q=1", "q"),
    ] {
        let refused = world
            .get(BY_STUDENT, &format!("/api/courses?{query}"))
            .await
            .code(422, "validation_failed");
        assert_eq!(refused.fields(), [field]);
    }
    assert_eq!(
        world
            .get(BY_STUDENT, "/api/courses?limit=200")
            .await
            .expect(200)
            .ids(),
        NONE
    );
}
