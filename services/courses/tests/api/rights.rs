//! Every kind of person on every route, on a course in every state that matters.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{
    ANONYMOUS, BY_ADMIN, BY_OTHER_STUDENT, BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, OTHER_TEACHER,
    Person, STUDENT, World, path,
};

/// One route: how it is called on a course, and what it answers to whom.
struct Route {
    name: &'static str,
    method: Method,
    /// After the course's address; `{section}` is the id of its section.
    suffix: &'static str,
    body: Option<Value>,
    kind: Kind,
    success: u16,
}

/// What a route asks of a person.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// To read the course.
    Read,
    /// To teach it.
    Write,
}

fn routes() -> Vec<Route> {
    let route = |name, method, suffix, body, kind, success| Route {
        name,
        method,
        suffix,
        body,
        kind,
        success,
    };
    let other = format!("/teachers/{OTHER_TEACHER}").leak();
    let enrolled = format!("/enrolments/{STUDENT}").leak();
    vec![
        route("read", Method::GET, "", None, Kind::Read, 200),
        route(
            "read section",
            Method::GET,
            "/sections/{section}",
            None,
            Kind::Read,
            200,
        ),
        route(
            "patch",
            Method::PATCH,
            "",
            Some(json!({"title": "B"})),
            Kind::Write,
            200,
        ),
        route(
            "put",
            Method::PUT,
            "",
            Some(json!({"title": "B"})),
            Kind::Write,
            200,
        ),
        route(
            "add section",
            Method::POST,
            "/sections",
            Some(json!({"title": "S"})),
            Kind::Write,
            201,
        ),
        route(
            "patch section",
            Method::PATCH,
            "/sections/{section}",
            Some(json!({"title": "T"})),
            Kind::Write,
            200,
        ),
        route(
            "order",
            Method::PUT,
            "/sections/order",
            Some(json!({"ids": ["{section}"]})),
            Kind::Write,
            200,
        ),
        route(
            "delete section",
            Method::DELETE,
            "/sections/{section}",
            None,
            Kind::Write,
            204,
        ),
        route(
            "enrolments",
            Method::GET,
            "/enrolments",
            None,
            Kind::Write,
            200,
        ),
        route(
            "end enrolment",
            Method::DELETE,
            enrolled,
            None,
            Kind::Write,
            204,
        ),
        route("versions", Method::GET, "/versions", None, Kind::Write, 200),
        route(
            "version",
            Method::GET,
            "/versions/1",
            None,
            Kind::Write,
            200,
        ),
        route("add teacher", Method::PUT, other, None, Kind::Write, 200),
        route("delete", Method::DELETE, "", None, Kind::Write, 204),
    ]
}

/// The course of the owner with one section, in which the student is enrolled.
async fn course(world: &World, visibility: &str, status: &str) -> (Uuid, String) {
    let id = world.course(visibility, status).await;
    let at = format!("{}/sections", path(id));
    let section = world
        .post(BY_OWNER, &at, json!({"title": "S"}))
        .await
        .expect(201);
    world.enrol(id, STUDENT).await;
    (id, section.body["id"].as_str().unwrap().to_owned())
}

fn expected(person: Person, route: &Route, visibility: &str, status: &str) -> u16 {
    let published = status == "published";
    let reads = match person {
        Person::Anonymous => return 401,
        Person::Admin(_) => true,
        _ if person == BY_OWNER => true,
        // The student is enrolled; the other student and the other teacher are not.
        _ if person == BY_STUDENT => published,
        _ => published && visibility == "open",
    };
    let writes = matches!(person, Person::Admin(_)) || person == BY_OWNER;
    // Leaving by oneself is no matter of teaching, nor of whether the course can be read.
    if route.name == "end enrolment" && person == BY_STUDENT {
        return 204;
    }
    match (reads, writes, route.kind) {
        (false, ..) => 404,
        (true, _, Kind::Read) | (true, true, Kind::Write) => route.success,
        (true, false, Kind::Write) => 403,
    }
}

#[tokio::test]
async fn everybody_may_do_exactly_what_the_table_says() {
    let world = World::new().await;
    let people = [
        ANONYMOUS,
        BY_STUDENT,
        BY_OTHER_STUDENT,
        BY_OTHER_TEACHER,
        BY_OWNER,
        BY_ADMIN,
    ];
    let mut checked = 0;
    for (visibility, status) in [
        ("open", "published"),
        ("closed", "published"),
        ("open", "draft"),
        ("closed", "archived"),
    ] {
        for route in routes() {
            for person in people {
                // A fresh one each time: some routes leave nothing behind.
                let (id, section) = course(&world, visibility, status).await;
                let at = format!(
                    "{}{}",
                    path(id),
                    route.suffix.replace("{section}", &section)
                );
                let body = route.body.as_ref().map(|body| {
                    serde_json::from_str(&body.to_string().replace("{section}", &section)).unwrap()
                });
                let before = world.get(BY_ADMIN, &path(id)).await.expect(200).body;
                let answer = world.call(person, route.method.clone(), &at, body).await;
                let wanted = expected(person, &route, visibility, status);
                let case = format!(
                    "{person:?}: {} on a {visibility} {status} course",
                    route.name
                );
                assert_eq!(answer.status.as_u16(), wanted, "{case}: {}", answer.body);
                if wanted >= 400 {
                    let after = world.get(BY_ADMIN, &path(id)).await.expect(200).body;
                    assert_eq!(after, before, "{case} has changed something");
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 4 * 14 * 6);
}

#[tokio::test]
async fn only_those_who_have_the_permission_make_courses() {
    let world = World::new().await;
    let body = || json!({"title": "x"});
    world
        .post(ANONYMOUS, "/api/courses", body())
        .await
        .expect(401);
    world
        .post(BY_STUDENT, "/api/courses", body())
        .await
        .code(403, "forbidden");
    world
        .post(BY_OWNER, "/api/courses", body())
        .await
        .expect(201);
    world
        .post(BY_ADMIN, "/api/courses", body())
        .await
        .expect(201);
    world.get(ANONYMOUS, "/api/courses").await.expect(401);
}

#[tokio::test]
async fn nobody_tells_a_hidden_course_from_one_that_is_not_there() {
    let world = World::new().await;
    let hidden = world.course("closed", "draft").await;
    let absent = Uuid::from_u128(0x77);
    for route in routes() {
        let answer = async |id: Uuid| {
            let section = Uuid::from_u128(1).to_string();
            let at = format!(
                "{}{}",
                path(id),
                route.suffix.replace("{section}", &section)
            );
            let body = route.body.as_ref().map(|body| {
                serde_json::from_str(&body.to_string().replace("{section}", &section)).unwrap()
            });
            let mut answer = world
                .call(BY_OTHER_STUDENT, route.method.clone(), &at, body)
                .await
                .expect(404);
            answer.body.as_object_mut().unwrap().remove("trace_id");
            answer.body
        };
        assert_eq!(answer(hidden).await, answer(absent).await, "{}", route.name);
    }
}
