//! Changing, replacing and deleting files.

use http::Method;
use serde_json::{Value, json};

use super::support::{Form, PNG, World, id};

async fn patch(
    world: &World,
    file: &Value,
    body: Value,
    headers: &[(&str, &str)],
) -> super::support::Answer {
    let path = format!("/api/files/{}", id(file));
    world
        .json(world.teacher, Method::PATCH, &path, &body, headers)
        .await
}

#[tokio::test]
async fn what_is_given_is_changed_and_the_rest_stays() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"x").await;
    let section = world.section.to_string();
    let titled = patch(
        &world,
        &file,
        json!({"title": "Titre", "section_id": section}),
        &[],
    )
    .await
    .expect(200);
    assert_eq!(titled.header("etag"), "\"v2.pending\"");
    let titled = titled.json();
    assert_eq!(
        (&titled["title"], &titled["section_id"], &titled["name"]),
        (&json!("Titre"), &json!(section), &json!("a.txt"))
    );
    let renamed = patch(&world, &file, json!({"name": "../b.md"}), &[])
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&renamed["name"], &renamed["media_type"], &renamed["title"]),
        (&json!("b.md"), &json!("text/markdown"), &json!("Titre"))
    );
    let bare = patch(
        &world,
        &file,
        json!({"title": null, "section_id": null}),
        &[],
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        (&bare["title"], &bare["section_id"], &bare["version"]),
        (&json!("b.md"), &json!(null), &json!(4))
    );
    let same = patch(&world, &file, json!({}), &[])
        .await
        .expect(200)
        .json();
    assert_eq!(same["version"], 4, "no change makes no version");
}

#[tokio::test]
async fn values_that_do_not_fit_are_named() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"x").await;
    for (body, field) in [
        (json!({"name": ".."}), "name"),
        (json!({"name": null}), "name"),
        (json!({"name": "x".repeat(300)}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"title": "x".repeat(201)}), "title"),
        (json!({"title": "a\nb"}), "title"),
        (json!({"section_id": "5"}), "section_id"),
        (json!({"section_id": uuid::Uuid::new_v4()}), "section_id"),
        (json!({"size": 5}), "size"),
    ] {
        patch(&world, &file, body, &[]).await.field(field);
    }
    let path = format!("/api/files/{}", id(&file));
    let request = world
        .request(world.teacher, Method::PATCH, &path)
        .header("content-type", "application/json");
    world
        .send(request.body(axum::body::Body::from("{")).unwrap())
        .await
        .problem(400, "invalid_request");
    assert_eq!(
        world.get(world.teacher, &path).await.expect(200).json()["version"],
        1
    );
}

#[tokio::test]
async fn a_change_meant_for_another_version_is_stale() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"x").await;
    let path = format!("/api/files/{}", id(&file));
    let first = "\"v1.pending\"";
    patch(&world, &file, json!({"title": "A"}), &[("if-match", first)])
        .await
        .expect(200);
    patch(&world, &file, json!({"title": "B"}), &[("if-match", first)])
        .await
        .problem(412, "stale");
    patch(&world, &file, json!({"title": "B"}), &[("if-match", "v1")])
        .await
        .problem(400, "invalid_request");
    patch(&world, &file, json!({"title": "C"}), &[("if-match", "*")])
        .await
        .expect(200);
    // How far the extraction has come does not matter: that is no change by a person.
    patch(
        &world,
        &file,
        json!({"title": "D"}),
        &[("if-match", "\"v3.done\"")],
    )
    .await
    .expect(200);
    world
        .json(
            world.teacher,
            Method::DELETE,
            &path,
            &Value::Null,
            &[("if-match", first)],
        )
        .await
        .problem(412, "stale");
    world
        .json(
            world.teacher,
            Method::DELETE,
            &path,
            &Value::Null,
            &[("if-match", "\"v4.none\"")],
        )
        .await
        .expect(204);
    world
        .get(world.teacher, &path)
        .await
        .problem(404, "not_found");
    world
        .json(world.teacher, Method::DELETE, &path, &Value::Null, &[])
        .await
        .problem(404, "not_found");
    let listed = world
        .get(world.teacher, &world.files_path())
        .await
        .expect(200)
        .json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn writers_at_once_with_one_version_are_one_winner() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"x").await;
    let race = (0..8).map(|n| {
        let (world, file) = (&world, &file);
        async move {
            patch(
                world,
                file,
                json!({"title": format!("T{n}")}),
                &[("if-match", "\"v1.pending\"")],
            )
            .await
        }
    });
    let answers = futures::future::join_all(race).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    let stale = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!((won, stale), (1, 7));
}

#[tokio::test]
async fn new_content_takes_the_place_of_the_old() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"old").await;
    let path = format!("/api/files/{}/versions", id(&file));
    let form = Form::new().file("b.md", "text/markdown", b"newer");
    world
        .post(world.teacher, &path, &form, &[("if-match", "\"v7.done\"")])
        .await
        .problem(412, "stale");
    let answer = world
        .post(
            world.teacher,
            &path,
            &form,
            &[("if-match", "\"v1.pending\"")],
        )
        .await
        .expect(201);
    assert_eq!(
        answer.header("location"),
        format!("/api/files/{}", id(&file))
    );
    let next = answer.json();
    assert_eq!(
        (&next["version"], &next["content_version"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&next["name"], &next["size"], &next["created_at"]),
        (&json!("b.md"), &json!(5), &file["created_at"])
    );
    let titled = form.clone().text("title", "x");
    world
        .post(world.teacher, &path, &titled, &[])
        .await
        .field("title");
    let disguised = Form::new().file("c.pdf", "application/pdf", PNG);
    let bad = world
        .post(world.teacher, &path, &disguised, &[])
        .await
        .expect(201)
        .json();
    assert_eq!(bad["status"], "quarantined");
    world
        .get(world.student, &format!("/api/files/{}/link", id(&file)))
        .await
        .problem(409, "conflict");
}

#[tokio::test]
async fn a_repetition_of_new_content_with_its_key_happens_once() {
    let world = World::new().await;
    let file = world.upload("a.txt", "text/plain", b"old").await;
    let path = format!("/api/files/{}/versions", id(&file));
    let form = Form::new().file("a.txt", "text/plain", b"new");
    // The second time its own If-Match is stale; the answer is the first one all the same.
    let headers = [("idempotency-key", "k"), ("if-match", "\"v1.pending\"")];
    let first = world
        .post(world.teacher, &path, &form, &headers)
        .await
        .expect(201)
        .json();
    let second = world
        .post(world.teacher, &path, &form, &headers)
        .await
        .expect(201)
        .json();
    assert_eq!(first, second);
    let read = world
        .get(world.teacher, &format!("/api/files/{}", id(&file)))
        .await
        .expect(200)
        .json();
    assert_eq!(read["content_version"], 2);
}
