//! The gRPC contract, and the OpenAPI document.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use riwaq_api::users::v1::{
    CreateUserRequest, GetUsersRequest, ListRolesRequest, RecordAuditRequest, User,
};
use riwaq_api::{Channel, clients};
use serde_json::json;
use support::World;
use tonic::Code;
use uuid::Uuid;

fn as_service(world: &World, name: &str) -> Channel {
    world
        .grpc
        .clone()
        .with_tokens(world.issuer.service_tokens(name))
}

fn user(id: Uuid, email: &str) -> User {
    User {
        id: id.to_string(),
        email: email.to_owned(),
        first_name: "Amal".to_owned(),
        last_name: "Alami".to_owned(),
        locale: "ar".to_owned(),
        ..User::default()
    }
}

#[tokio::test]
async fn profiles_are_given_to_services_only() {
    let world = World::new().await;
    let a = world.create("a@univ.example", &["student"]).await;
    let b = world.create("b@univ.example", &["student"]).await;
    let gone = world.create("c@univ.example", &["student"]).await;
    world
        .admin(Method::DELETE, &format!("/api/admin/users/{gone}"), None)
        .await
        .expect(204);
    let ids = [b, Uuid::now_v7(), gone, a]
        .map(|id| id.to_string())
        .to_vec();
    let mut client = clients::users(&as_service(&world, "courses"));
    let found = client
        .get_users(GetUsersRequest { ids: ids.clone() })
        .await
        .unwrap()
        .into_inner()
        .users;
    let found: Vec<_> = found
        .into_iter()
        .map(|user| (user.id, user.email))
        .collect();
    assert_eq!(
        found,
        [
            (b.to_string(), "b@univ.example".to_owned()),
            (a.to_string(), "a@univ.example".to_owned())
        ]
    );

    for ids in [vec!["x".to_owned()], vec![a.to_string(); 201]] {
        let status = client.get_users(GetUsersRequest { ids }).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let status = clients::users(&world.grpc)
        .get_users(GetUsersRequest { ids })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_registration_is_idempotent_and_respects_what_is_taken() {
    let world = World::new().await;
    world.create("taken@univ.example", &[]).await;
    let id = Uuid::now_v7();
    let request = |email: &str| CreateUserRequest {
        user: Some(user(id, email)),
        roles: vec!["student".to_owned()],
    };
    let mut client = clients::users(&as_service(&world, "auth"));
    let made = client
        .create_user(request("new@univ.example"))
        .await
        .unwrap()
        .into_inner();
    let again = client
        .create_user(request("new@univ.example"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((made.version, made.locale.as_str()), (1, "ar"));
    assert_eq!(made, again);
    let another_name = client
        .create_user(request("other@univ.example"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made, another_name, "what is there stays");
    assert_eq!(
        world.auth.get(id),
        None,
        "the auth service makes the account itself"
    );

    let other = CreateUserRequest {
        user: Some(user(Uuid::now_v7(), "TAKEN@univ.example")),
        roles: Vec::new(),
    };
    let status = client.create_user(other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(riwaq_kit::Problem::from(status).errors()[0].field, "email");
    let bad = CreateUserRequest {
        user: Some(user(Uuid::now_v7(), "nonsense")),
        roles: Vec::new(),
    };
    assert_eq!(
        client.create_user(bad).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let empty = CreateUserRequest::default();
    assert_eq!(
        client.create_user(empty).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let status = clients::users(&as_service(&world, "courses"))
        .create_user(request("x@univ.example"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn registrations_at_once_make_one_profile() {
    let world = World::new().await;
    let channel = as_service(&world, "auth");
    let id = Uuid::now_v7();
    let same = (0..8).map(|_| {
        let mut client = clients::users(&channel);
        async move {
            client
                .create_user(CreateUserRequest {
                    user: Some(user(id, "r@univ.example")),
                    roles: Vec::new(),
                })
                .await
        }
    });
    let outcomes = futures::future::join_all(same).await;
    assert!(outcomes.iter().all(|outcome| {
        outcome
            .as_ref()
            .is_ok_and(|user| user.get_ref().version == 1)
    }));
}

#[tokio::test]
async fn roles_are_listed_with_a_version_that_grows() {
    let world = World::new().await;
    let mut client = clients::users(&as_service(&world, "search"));
    let given = client
        .list_roles(ListRolesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(given.roles.len(), 3);
    assert!(given.roles.iter().all(|role| role.given));
    let body = json!({"name": "librarian", "permissions": ["courses:read_any"]});
    world
        .admin(Method::POST, "/api/admin/roles", Some(body))
        .await
        .expect(201);
    let with_own = client
        .list_roles(ListRolesRequest {})
        .await
        .unwrap()
        .into_inner();
    let own = with_own.roles.last().unwrap();
    assert_eq!(
        (own.name.as_str(), own.given, own.permissions.len()),
        ("librarian", false, 1)
    );
    world
        .admin(Method::DELETE, "/api/admin/roles/librarian", None)
        .await
        .expect(204);
    let without = client
        .list_roles(ListRolesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(without.roles.len(), 3);
    assert!(given.version < with_own.version && with_own.version <= without.version);
}

#[tokio::test]
async fn another_services_line_is_written_once() {
    let world = World::new().await;
    let mut client = clients::users(&as_service(&world, "auth"));
    let line = |detail: &str| RecordAuditRequest {
        event_id: "auth/7".to_owned(),
        actor_id: world.admin.to_string(),
        action: "client.created".to_owned(),
        target_kind: "client".to_owned(),
        target_id: "timetable".to_owned(),
        detail_json: detail.to_owned(),
    };
    for _ in 0..3 {
        client
            .record_audit(line(r#"{"scopes":["read"]}"#))
            .await
            .unwrap();
    }
    let journal = world
        .admin(Method::GET, "/api/admin/audit", None)
        .await
        .expect(200)
        .body;
    assert_eq!(journal["items"].as_array().unwrap().len(), 1);
    assert_eq!(journal["items"][0]["detail"], json!({"scopes": ["read"]}));
    for bad in [
        line("{"),
        line("[1]"),
        RecordAuditRequest {
            action: String::new(),
            ..line("")
        },
    ] {
        assert_eq!(
            client.record_audit(bad).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
}

#[tokio::test]
async fn the_document_names_every_address_and_problem() {
    let durable = support::Durable::new();
    let document = durable.openapi();
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    for path in [
        "/api/users/me",
        "/api/users/{id}",
        "/api/admin/users",
        "/api/admin/users/{id}",
        "/api/admin/users/{id}/activation",
        "/api/admin/roles",
        "/api/admin/roles/{name}",
        "/api/admin/audit",
        "/api/admin/stats",
    ] {
        assert!(
            paths.iter().any(|known| known == path),
            "{path} is not in {paths:?}"
        );
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = &operation["responses"];
            let problem =
                &responses["default"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{method} {path}");
            assert!(operation["security"].is_array(), "{method} {path}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
}
