//! Who may do what.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Form, World, id};

fn routes(course: &str, file: &str) -> Vec<(Method, String)> {
    vec![
        (Method::GET, format!("/api/courses/{course}/files")),
        (Method::POST, format!("/api/courses/{course}/files")),
        (Method::GET, format!("/api/files/{file}")),
        (Method::PATCH, format!("/api/files/{file}")),
        (Method::DELETE, format!("/api/files/{file}")),
        (Method::POST, format!("/api/files/{file}/versions")),
        (Method::GET, format!("/api/files/{file}/link")),
        (Method::GET, format!("/api/files/{file}/content")),
        (Method::GET, format!("/api/files/{file}/accesses")),
    ]
}

async fn ask(world: &World, user: Uuid, method: &Method, path: &str) -> super::support::Answer {
    match *method {
        Method::POST => {
            let form = Form::new().file("x.txt", "text/plain", b"x");
            world.post(user, path, &form, &[]).await
        }
        Method::PATCH => {
            world
                .json(user, Method::PATCH, path, &json!({"title": "x"}), &[])
                .await
        }
        _ => {
            world
                .json(user, method.clone(), path, &Value::Null, &[])
                .await
        }
    }
}

#[tokio::test]
async fn who_is_not_of_the_course_learns_nothing() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"secret").await);
    let (real, unknown) = (world.course.to_string(), Uuid::new_v4().to_string());
    for (route, nowhere) in routes(&real, &file)
        .into_iter()
        .zip(routes(&unknown, &unknown))
    {
        let mut there = ask(&world, world.outsider, &route.0, &route.1)
            .await
            .problem(404, "not_found");
        let mut absent = ask(&world, world.outsider, &nowhere.0, &nowhere.1)
            .await
            .problem(404, "not_found");
        for problem in [&mut there, &mut absent] {
            problem["trace_id"].take();
        }
        assert_eq!(there, absent, "{route:?} tells that it exists");
    }
    let read = world
        .get(world.teacher, &format!("/api/files/{file}"))
        .await
        .expect(200)
        .json();
    assert_eq!(read["version"], 1);
    world.assert_blobs(1).await;
}

#[tokio::test]
async fn a_student_reads_and_changes_nothing() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"text").await);
    for (method, path) in routes(&world.course.to_string(), &file) {
        let answer = ask(&world, world.student, &method, &path).await;
        match (
            method,
            path.ends_with("/accesses"),
            path.ends_with("/content"),
        ) {
            (Method::GET, false, false) => drop(answer.expect(200)),
            (Method::GET, false, true) => drop(answer.expect(302)),
            _ => drop(answer.problem(403, "forbidden")),
        }
    }
    world.assert_blobs(1).await;
}

#[tokio::test]
async fn an_administrator_may_do_what_a_teacher_may() {
    let world = World::new().await;
    let form = Form::new().file("a.txt", "text/plain", b"text");
    let file = world
        .post(world.admin, &world.files_path(), &form, &[])
        .await
        .expect(201)
        .json();
    let path = format!("/api/files/{}", id(&file));
    world
        .get(world.admin, &format!("{path}/accesses"))
        .await
        .expect(200);
    world
        .json(world.admin, Method::DELETE, &path, &Value::Null, &[])
        .await
        .expect(204);
}

#[tokio::test]
async fn nobody_in_particular_is_asked_to_sign_in() {
    let world = World::new().await;
    let file = id(&world.upload("a.txt", "text/plain", b"text").await);
    for (method, path) in routes(&world.course.to_string(), &file) {
        let request = Request::builder()
            .method(&method)
            .uri(&path)
            .body(Body::empty())
            .unwrap();
        world.send(request).await.problem(401, "unauthenticated");
        let request = Request::builder()
            .method(&method)
            .uri(&path)
            .header("authorization", "Bearer rubbish");
        world
            .send(request.body(Body::empty()).unwrap())
            .await
            .problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn malformed_ids_are_not_found() {
    let world = World::new().await;
    for (method, path) in routes("42", "..%2f..%2fetc%2fpasswd") {
        ask(&world, world.teacher, &method, &path)
            .await
            .problem(404, "not_found");
    }
    for (method, path) in routes("%00", "%ff") {
        ask(&world, world.teacher, &method, &path)
            .await
            .problem(404, "not_found");
    }
}
