//! Enrolments: by oneself, by the teacher, one and many.

use http::{Method, header};
use riwaq_courses::Config;
use serde_json::json;
use uuid::Uuid;

use crate::world::{
    ADMIN, BY_ADMIN, BY_OTHER_STUDENT, BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, NOBODY, NONE,
    OTHER_STUDENT, OWNER, STUDENT, World, path,
};

fn enrolments(course: Uuid) -> String {
    format!("{}/enrolments", path(course))
}

#[tokio::test]
async fn a_student_enrols_in_an_open_course_once() {
    let world = World::new().await;
    let course = world.course("open", "published").await;
    let first = world
        .call(BY_STUDENT, Method::POST, &enrolments(course), None)
        .await
        .expect(201);
    assert_eq!(first.body["user_id"], STUDENT.to_string());
    assert_eq!(first.body["role"], "student");
    assert_eq!(
        first.header(header::LOCATION),
        format!("{}/{STUDENT}", enrolments(course))
    );
    for again in [json!({}), json!({"user_id": STUDENT})] {
        let again = world
            .post(BY_STUDENT, &enrolments(course), again)
            .await
            .expect(200);
        assert_eq!(again.body, first.body);
    }
    let read = world
        .get(BY_STUDENT, &first.header(header::LOCATION))
        .await
        .expect(200);
    assert_eq!(read.body, first.body);
    assert_eq!(read.header(header::ETAG), "\"v1\"");
    let list = world.get(BY_OWNER, &enrolments(course)).await.expect(200);
    assert_eq!(list.body["items"], json!([first.body]));
    world
        .get(BY_OTHER_STUDENT, &first.header(header::LOCATION))
        .await
        .expect(403);
}

#[tokio::test]
async fn a_closed_course_is_entered_only_by_its_teachers_hand() {
    let world = World::new().await;
    let course = world.course("closed", "published").await;
    world
        .post(BY_STUDENT, &enrolments(course), json!({}))
        .await
        .code(403, "forbidden");
    world.get(BY_STUDENT, &path(course)).await.expect(404);
    world
        .post(BY_OWNER, &enrolments(course), json!({"user_id": STUDENT}))
        .await
        .expect(201);
    world.get(BY_STUDENT, &path(course)).await.expect(200);
    world
        .post(BY_STUDENT, &enrolments(course), json!({}))
        .await
        .expect(200);
    // Of a draft nobody is told that it is there.
    let draft = world.course("open", "draft").await;
    world
        .post(BY_STUDENT, &enrolments(draft), json!({}))
        .await
        .expect(404);
    world
        .post(BY_STUDENT, &enrolments(Uuid::from_u128(5)), json!({}))
        .await
        .expect(404);
}

#[tokio::test]
async fn nobody_enrols_others_but_those_who_teach() {
    let world = World::new().await;
    let course = world.course("open", "published").await;
    for person in [BY_STUDENT, BY_OTHER_TEACHER] {
        let body = json!({"user_id": OTHER_STUDENT});
        world
            .post(person, &enrolments(course), body)
            .await
            .code(403, "forbidden");
        let body = json!({"user_ids": [OTHER_STUDENT]});
        world
            .post(person, &enrolments(course), body)
            .await
            .code(403, "forbidden");
        world
            .get(person, &enrolments(course))
            .await
            .code(403, "forbidden");
    }
    world
        .post(
            BY_ADMIN,
            &enrolments(course),
            json!({"user_id": OTHER_STUDENT}),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn many_are_enrolled_at_once_and_listed_in_pages() {
    let world = World::new().await;
    let course = world.course("closed", "draft").await;
    let class: Vec<Uuid> = (0..120)
        .map(|number| Uuid::from_u128(0x5000 + number))
        .collect();
    let body = json!({"user_ids": class});
    let made = world
        .post(BY_OWNER, &enrolments(course), body.clone())
        .await
        .expect(201);
    assert_eq!(made.body["items"].as_array().unwrap().len(), 120);
    assert_eq!(made.body["items"][7]["user_id"], class[7].to_string());
    world
        .post(BY_OWNER, &enrolments(course), body)
        .await
        .expect(200);
    let mut listed = Vec::new();
    let mut at = enrolments(course);
    loop {
        let page = world.get(BY_OWNER, &at).await.expect(200);
        let items = page.body["items"].as_array().unwrap().clone();
        listed.extend(
            items
                .iter()
                .map(|item| item["user_id"].as_str().unwrap().parse::<Uuid>().unwrap()),
        );
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            break;
        };
        at = format!("{}?limit=30&cursor={cursor}", enrolments(course));
    }
    assert_eq!(listed, class);
}

#[tokio::test]
async fn people_who_are_not_there_are_named_and_nobody_is_enrolled() {
    let world = World::new().await;
    let course = world.course("closed", "published").await;
    let body = json!({"user_ids": [STUDENT, NOBODY, OWNER]});
    let refused = world
        .post(BY_OWNER, &enrolments(course), body)
        .await
        .code(422, "validation_failed");
    assert_eq!(refused.fields(), ["user_ids[1]", "user_ids[2]"]);
    let refused = world
        .post(BY_OWNER, &enrolments(course), json!({"user_id": NOBODY}))
        .await
        .expect(422);
    assert_eq!(refused.fields(), ["user_id"]);
    assert_eq!(
        world
            .get(BY_OWNER, &enrolments(course))
            .await
            .expect(200)
            .body["items"],
        json!([])
    );
    for bad in [
        json!({"user_ids": []}),
        json!({"user_ids": [STUDENT, STUDENT]}),
        json!({"user_id": STUDENT, "user_ids": [STUDENT]}),
        json!({"user_ids": vec![STUDENT; 201]}),
        json!({"user_id": "me"}),
        json!({"user_ids": STUDENT}),
        json!({"users": [STUDENT]}),
        json!([]),
        json!(null),
    ] {
        world
            .post(BY_OWNER, &enrolments(course), bad)
            .await
            .code(422, "validation_failed");
    }
}

#[tokio::test]
async fn leaving_and_coming_back_are_further_versions() {
    let world = World::new().await;
    let course = world.course("open", "published").await;
    let own = format!("{}/{STUDENT}", enrolments(course));
    world.delete(BY_STUDENT, &own).await.expect(404);
    world
        .post(BY_STUDENT, &enrolments(course), json!({}))
        .await
        .expect(201);
    world
        .delete(BY_OTHER_STUDENT, &own)
        .await
        .code(403, "forbidden");
    let stale = [("if-match", "\"v9\"")];
    world
        .call_with(BY_STUDENT, Method::DELETE, &own, None, &stale)
        .await
        .expect(412);
    world.delete(BY_STUDENT, &own).await.expect(204);
    world.delete(BY_STUDENT, &own).await.expect(404);
    world.get(BY_OWNER, &own).await.expect(404);
    assert_eq!(
        world
            .get(BY_STUDENT, "/api/courses?scope=mine")
            .await
            .expect(200)
            .ids(),
        NONE
    );
    let back = world
        .post(BY_STUDENT, &enrolments(course), json!({}))
        .await
        .expect(201);
    assert_eq!(back.header(header::ETAG), "\"v3\"");
    assert_eq!(
        world
            .get(BY_STUDENT, "/api/courses?scope=mine")
            .await
            .expect(200)
            .ids(),
        [course]
    );
    world.delete(BY_OWNER, &own).await.expect(204);
}

#[tokio::test]
async fn one_can_leave_a_course_that_was_withdrawn() {
    let world = World::new().await;
    let course = world.course("closed", "published").await;
    world.enrol(course, STUDENT).await;
    world
        .patch(BY_OWNER, &path(course), json!({"status": "archived"}))
        .await
        .expect(200);
    world.get(BY_STUDENT, &path(course)).await.expect(404);
    world
        .delete(
            BY_OTHER_STUDENT,
            &format!("{}/{STUDENT}", enrolments(course)),
        )
        .await
        .expect(404);
    world
        .delete(BY_STUDENT, &format!("{}/{STUDENT}", enrolments(course)))
        .await
        .expect(204);
}

#[tokio::test]
async fn a_full_course_takes_nobody_more_but_says_so_to_those_inside() {
    let config = Config {
        enrolments_max: 2,
        ..Config::default()
    };
    let world = World::with(config).await;
    let course = world.course("open", "published").await;
    world
        .post(
            BY_OWNER,
            &enrolments(course),
            json!({"user_ids": [STUDENT, ADMIN]}),
        )
        .await
        .expect(201);
    world
        .post(BY_OTHER_STUDENT, &enrolments(course), json!({}))
        .await
        .code(409, "conflict");
    world
        .post(BY_STUDENT, &enrolments(course), json!({}))
        .await
        .expect(200);
    world
        .delete(BY_STUDENT, &format!("{}/{STUDENT}", enrolments(course)))
        .await
        .expect(204);
    world
        .post(BY_OTHER_STUDENT, &enrolments(course), json!({}))
        .await
        .expect(201);
}
