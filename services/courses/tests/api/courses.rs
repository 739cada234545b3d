//! Making, reading, changing, deleting courses; their history; teachers.

use http::{Method, header};
use serde_json::json;

use crate::world::{
    BY_ADMIN, BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, NOBODY, NONE, OTHER_TEACHER, OWNER, World,
    path,
};

#[tokio::test]
async fn a_course_is_made_as_a_draft_of_its_teacher() {
    let world = World::new().await;
    let body = json!({
        "title": "الجبر الخطي", "description": "Espaces\nvectoriels", "language": "ar-MA",
        "subject": "Mathématiques", "level": "L1", "visibility": "open",
    });
    let made = world.post(BY_OWNER, "/api/courses", body).await.expect(201);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header(header::LOCATION), format!("/api/courses/{id}"));
    assert_eq!(made.header(header::ETAG), "\"v1\"");
    assert_eq!(made.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(made.body["status"], "draft");
    assert_eq!(made.body["owner"], OWNER.to_string());
    assert_eq!(made.body["teachers"], json!([OWNER]));
    assert_eq!(made.body["version"], 1);
    assert_eq!(made.body["language"], "ar-MA");
    assert_eq!(made.body["sections"], json!([]));
    let read = world
        .get(BY_OWNER, &made.header(header::LOCATION))
        .await
        .expect(200);
    assert_eq!(read.body, made.body);
    assert_eq!(read.header(header::ETAG), "\"v1\"");
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let world = World::new().await;
    let made = world
        .post(BY_OWNER, "/api/courses", json!({"title": "x"}))
        .await
        .expect(201);
    assert_eq!(made.body["description"], "");
    assert_eq!(made.body["visibility"], "closed");
    for field in ["language", "subject", "level"] {
        assert_eq!(made.body[field], json!(null), "{field}");
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_empties() {
    let world = World::new().await;
    let body = json!({"title": "A", "description": "D", "language": "fr", "subject": "S"});
    let made = world.post(BY_OWNER, "/api/courses", body).await.expect(201);
    let at = made.header(header::LOCATION);
    let patched = world
        .patch(BY_OWNER, &at, json!({"title": "B", "subject": null}))
        .await
        .expect(200);
    assert_eq!(patched.header(header::ETAG), "\"v2\"");
    assert_eq!(patched.body["title"], "B");
    assert_eq!(patched.body["subject"], json!(null));
    assert_eq!(patched.body["language"], "fr");
    assert_eq!(patched.body["description"], "D");
    assert_eq!(patched.body["created_at"], made.body["created_at"]);
    let emptied = world
        .patch(BY_OWNER, &at, json!({"description": null}))
        .await
        .expect(200);
    assert_eq!(emptied.body["description"], "");
    let merge = [("content-type", "application/merge-patch+json")];
    let request = http::Request::patch(&at).header(merge[0].0, merge[0].1);
    world
        .send(BY_OWNER, request, r#"{"level": "L2"}"#.into())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_makes_no_version() {
    let world = World::new().await;
    let id = world.course("open", "published").await;
    let same = world
        .patch(
            BY_OWNER,
            &path(id),
            json!({"status": "published", "title": "Algèbre"}),
        )
        .await
        .expect(200);
    assert_eq!(same.body["version"], 2);
    assert_eq!(
        world
            .patch(BY_OWNER, &path(id), json!({}))
            .await
            .expect(200)
            .body["version"],
        2
    );
}

#[tokio::test]
async fn a_replacement_empties_what_it_leaves_out_but_not_the_status() {
    let world = World::new().await;
    let id = world.course("open", "published").await;
    world
        .patch(BY_OWNER, &path(id), json!({"language": "fr"}))
        .await
        .expect(200);
    let replaced = world
        .put(BY_OWNER, &path(id), json!({"title": "Neuf"}))
        .await
        .expect(200);
    assert_eq!(replaced.body["title"], "Neuf");
    assert_eq!(replaced.body["description"], "");
    assert_eq!(replaced.body["language"], json!(null));
    assert_eq!(replaced.body["visibility"], "closed");
    assert_eq!(replaced.body["status"], "published");
}

#[tokio::test]
async fn a_stale_change_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let id = world.course("open", "draft").await;
    let change = |method: Method, body: Option<serde_json::Value>, tag: &'static str| {
        let world = &world;
        async move {
            world
                .call_with(BY_OWNER, method, &path(id), body, &[("if-match", tag)])
                .await
        }
    };
    change(Method::PATCH, Some(json!({"title": "B"})), "\"v1\"")
        .await
        .expect(200);
    change(Method::PATCH, Some(json!({"title": "C"})), "\"v1\"")
        .await
        .code(412, "stale");
    change(Method::PUT, Some(json!({"title": "C"})), "\"v1\"")
        .await
        .code(412, "stale");
    change(Method::DELETE, None, "\"v1\"")
        .await
        .code(412, "stale");
    change(Method::PATCH, Some(json!({"title": "C"})), "W/\"v2\"")
        .await
        .code(412, "stale");
    change(Method::PATCH, Some(json!({"title": "C"})), "v2")
        .await
        .code(400, "invalid_request");
    let now = world.get(BY_OWNER, &path(id)).await.expect(200);
    assert_eq!(
        (now.body["title"].as_str(), now.body["version"].as_i64()),
        (Some("B"), Some(2))
    );
    change(Method::PATCH, Some(json!({"title": "C"})), "*")
        .await
        .expect(200);
    change(Method::DELETE, None, "\"v7\", \"v3\"")
        .await
        .expect(204);
}

#[tokio::test]
async fn a_client_that_has_the_version_gets_304() {
    let world = World::new().await;
    let id = world.course("open", "draft").await;
    let tagged = async |tag: &str| {
        world
            .call_with(
                BY_OWNER,
                Method::GET,
                &path(id),
                None,
                &[("if-none-match", tag)],
            )
            .await
    };
    let same = tagged("\"v1\"").await.expect(304);
    assert_eq!(same.header(header::ETAG), "\"v1\"");
    assert_eq!(same.body, json!(null));
    tagged("\"v2\"").await.expect(200);
}

#[tokio::test]
async fn a_deleted_course_is_gone_for_everybody() {
    let world = World::new().await;
    let id = world.course("open", "published").await;
    world.enrol(id, crate::world::STUDENT).await;
    world.delete(BY_OWNER, &path(id)).await.expect(204);
    for person in [BY_OWNER, BY_ADMIN, BY_STUDENT] {
        world.get(person, &path(id)).await.code(404, "not_found");
        world
            .get(person, &format!("{}/versions", path(id)))
            .await
            .expect(404);
        assert_eq!(
            world.get(person, "/api/courses").await.expect(200).ids(),
            NONE
        );
    }
    world.delete(BY_OWNER, &path(id)).await.expect(404);
    world
        .patch(BY_OWNER, &path(id), json!({"title": "x"}))
        .await
        .expect(404);
}

#[tokio::test]
async fn the_history_shows_every_change_newest_first() {
    let world = World::new().await;
    let id = world.course("open", "published").await;
    world
        .patch(BY_ADMIN, &path(id), json!({"title": "Neuf"}))
        .await
        .expect(200);
    world
        .patch(BY_OWNER, &path(id), json!({"status": "archived"}))
        .await
        .expect(200);
    let list = format!("{}/versions", path(id));
    let all = world.get(BY_OWNER, &list).await.expect(200);
    let changes: Vec<_> = all.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["change"].as_str().unwrap())
        .collect();
    assert_eq!(changes, ["archived", "edited", "published", "created"]);
    assert_eq!(
        all.body["items"][1]["changed_by"],
        crate::world::ADMIN.to_string()
    );
    let mut seen = Vec::new();
    let mut at = format!("{list}?limit=3");
    loop {
        let page = world.get(BY_OWNER, &at).await.expect(200);
        seen.extend(page.body["items"].as_array().unwrap().clone());
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            break;
        };
        at = format!("{list}?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, *all.body["items"].as_array().unwrap());
    let second = world.get(BY_OWNER, &format!("{list}/2")).await.expect(200);
    assert_eq!(second.body["course"]["title"], "Algèbre");
    assert_eq!(second.body["course"]["status"], "published");
    assert_eq!(second.header(header::ETAG), "\"v2\"");
    for missing in ["0", "5", "-1", "x", "99999999999999999999"] {
        world
            .get(BY_OWNER, &format!("{list}/{missing}"))
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn teachers_come_and_go_and_the_owner_stays() {
    let world = World::new().await;
    let id = world.course("closed", "draft").await;
    let teachers = |user: uuid::Uuid| format!("{}/teachers/{user}", path(id));
    world.get(BY_OTHER_TEACHER, &path(id)).await.expect(404);
    let added = world
        .put(BY_OWNER, &teachers(OTHER_TEACHER), json!(null))
        .await;
    let added = added.expect(200);
    assert_eq!(added.body["teachers"], json!([OWNER, OTHER_TEACHER]));
    // Again: nothing changes.
    let again = world
        .call(BY_OWNER, Method::PUT, &teachers(OTHER_TEACHER), None)
        .await
        .expect(200);
    assert_eq!(again.body["version"], added.body["version"]);
    world
        .patch(BY_OTHER_TEACHER, &path(id), json!({"title": "À deux"}))
        .await
        .expect(200);
    assert_eq!(
        world
            .get(BY_OTHER_TEACHER, "/api/courses?scope=mine")
            .await
            .expect(200)
            .ids(),
        [id]
    );
    let unknown = world
        .call(BY_OWNER, Method::PUT, &teachers(NOBODY), None)
        .await
        .code(422, "validation_failed");
    assert_eq!(unknown.fields(), ["user_id"]);
    world
        .delete(BY_OWNER, &teachers(OWNER))
        .await
        .code(409, "conflict");
    world
        .delete(BY_OWNER, &teachers(OTHER_TEACHER))
        .await
        .expect(204);
    world
        .delete(BY_OWNER, &teachers(OTHER_TEACHER))
        .await
        .expect(404);
    world.get(BY_OTHER_TEACHER, &path(id)).await.expect(404);
    assert_eq!(
        world
            .get(BY_OTHER_TEACHER, "/api/courses?scope=mine")
            .await
            .expect(200)
            .ids(),
        NONE
    );
    let stale = [("if-match", "\"v1\"")];
    world
        .call_with(
            BY_OWNER,
            Method::PUT,
            &teachers(OTHER_TEACHER),
            None,
            &stale,
        )
        .await
        .expect(412);
    world
        .call(BY_OWNER, Method::PUT, "/api/courses/x/teachers/y", None)
        .await
        .expect(404);
}
