//! What other services are told, and who may ask.

use riwaq_api::clients;
use riwaq_api::courses::v1::{GetAccessRequest, GetCoursesRequest, ListReadableRequest};
use riwaq_courses::Config;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::world::{
    BY_OTHER_TEACHER, BY_OWNER, BY_STUDENT, OTHER_STUDENT, OWNER, STUDENT, World, path, set,
};

fn access(course: Uuid, user: Uuid, permissions: &[&str]) -> GetAccessRequest {
    GetAccessRequest {
        course_id: course.to_string(),
        user_id: user.to_string(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[tokio::test]
async fn rights_are_told_as_the_public_side_keeps_them() {
    let world = World::new().await;
    let course = world.course("closed", "published").await;
    world.enrol(course, STUDENT).await;
    let mut client = world.internal();
    let mut ask = async |user: Uuid, permissions: &[&str]| {
        let told = client
            .get_access(access(course, user, permissions))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(told.status, "published");
        (told.can_read, told.can_write, told.enrolled)
    };
    assert_eq!(ask(STUDENT, &[]).await, (true, false, true));
    assert_eq!(ask(OTHER_STUDENT, &[]).await, (false, false, false));
    assert_eq!(ask(OWNER, &[]).await, (true, true, false));
    assert_eq!(
        ask(OTHER_STUDENT, &["courses:read_any"]).await,
        (true, false, false)
    );
    assert_eq!(
        ask(OTHER_STUDENT, &["courses:write_any", "no:such"]).await,
        (true, true, false)
    );
    world
        .patch(BY_OWNER, &path(course), json!({"status": "archived"}))
        .await
        .expect(200);
    let told = client
        .get_access(access(course, STUDENT, &[]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (told.can_read, told.enrolled, told.status.as_str()),
        (false, true, "archived")
    );
    world.delete(BY_OWNER, &path(course)).await.expect(204);
    let gone = client
        .get_access(access(course, OWNER, &[]))
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn the_readable_set_has_everything_readable_and_nothing_else() {
    let world = World::new().await;
    let open = world.course("open", "published").await;
    let closed = world.course("closed", "published").await;
    let archived = world.course("open", "archived").await;
    let draft = world.course_by(BY_OTHER_TEACHER, "open", "draft").await;
    for course in [open, closed, archived] {
        world.enrol(course, STUDENT).await;
    }
    let mut client = world.internal();
    let mut ask = async |user: Uuid, permissions: &[&str]| {
        let request = ListReadableRequest {
            user_id: user.to_string(),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        };
        let told = client.list_readable(request).await.unwrap().into_inner();
        assert!(!told.truncated);
        let ids: Vec<Uuid> = told
            .course_ids
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(set(&ids).len(), ids.len(), "each once");
        (set(&ids), told.all)
    };
    assert_eq!(ask(STUDENT, &[]).await, (set(&[open, closed]), false));
    assert_eq!(ask(OTHER_STUDENT, &[]).await, (set(&[open]), false));
    assert_eq!(
        ask(OWNER, &[]).await,
        (set(&[open, closed, archived]), false)
    );
    assert_eq!(
        ask(crate::world::OTHER_TEACHER, &[]).await,
        (set(&[open, draft]), false)
    );
    assert_eq!(
        ask(OTHER_STUDENT, &["courses:read_any"]).await,
        (set(&[]), true)
    );
}

#[tokio::test]
async fn a_readable_set_that_is_too_large_says_so() {
    let world = World::with(Config {
        readable_max: 3,
        ..Config::default()
    })
    .await;
    let mut own = Vec::new();
    for _ in 0..4 {
        own.push(world.course("open", "published").await);
    }
    let mut client = world.internal();
    let mut ask = async |user: Uuid| {
        let request = ListReadableRequest {
            user_id: user.to_string(),
            permissions: vec![],
        };
        let told = client.list_readable(request).await.unwrap().into_inner();
        (told.course_ids.len(), told.truncated)
    };
    assert_eq!(ask(STUDENT).await, (3, true));
    world.delete(BY_OWNER, &path(own[0])).await.expect(204);
    // Exactly as many as fit, half of them own ones as well: not truncated.
    world.enrol(own[1], STUDENT).await;
    assert_eq!(ask(STUDENT).await, (3, false));
}

#[tokio::test]
async fn present_states_are_told_deleted_ones_too() {
    let world = World::new().await;
    let first = world.course("open", "published").await;
    let second = world.course("closed", "draft").await;
    world
        .post(
            BY_OWNER,
            &format!("{}/sections", path(first)),
            json!({"title": "S", "body": "B"}),
        )
        .await
        .expect(201);
    world.delete(BY_OWNER, &path(second)).await.expect(204);
    let ids = [second, Uuid::from_u128(4), first]
        .map(|id| id.to_string())
        .to_vec();
    let told = world
        .internal()
        .get_courses(GetCoursesRequest { ids })
        .await
        .unwrap()
        .into_inner()
        .courses;
    let seen: Vec<_> = told
        .iter()
        .map(|course| (course.id.clone(), course.version, course.deleted))
        .collect();
    assert_eq!(
        seen,
        [(second.to_string(), 2, true), (first.to_string(), 3, false)]
    );
    assert_eq!(told[1].sections[0].body, "B");
    let mut client = world.internal();
    for ids in [vec![first.to_string(); 201], vec!["x".to_owned()]] {
        let refused = client
            .get_courses(GetCoursesRequest { ids })
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let refused = client
        .list_readable(ListReadableRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn people_do_not_get_at_the_internal_side() {
    let world = World::new().await;
    let course = world.course("open", "published").await;
    let request = || access(course, STUDENT, &["courses:write_any"]);
    let nobody = clients::courses(&world.internal_channel())
        .get_access(request())
        .await
        .unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let mut by_user = tonic::Request::new(request());
    let token = format!("Bearer {}", world.token(BY_STUDENT).unwrap());
    by_user
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    let person = clients::courses(&world.internal_channel())
        .get_access(by_user)
        .await
        .unwrap_err();
    assert_eq!(person.code(), Code::PermissionDenied);
}
