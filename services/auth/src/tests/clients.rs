//! Clients: who they are and what they may.

use http::{StatusCode, header};

use super::oidc::text;
use super::world::{PASSWORD, PORTAL_SECRET, World};

#[tokio::test]
async fn clients_have_to_prove_who_they_are() {
    let world = World::new().await;
    let grant = [("grant_type", "client_credentials")];
    for client in [
        ("riwaq-gateway", "wrong"),
        ("riwaq-users", PORTAL_SECRET),
        ("nobody", "x"),
        ("riwaq-cli", "x"),
        ("riwaq-cli", ""),
    ] {
        let answer = world
            .form_basic("/auth/token", client, &grant)
            .await
            .expect(StatusCode::UNAUTHORIZED);
        assert_eq!(text(&answer.json(), "error"), "invalid_client");
        assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Basic"));
    }
    let public = [
        ("grant_type", "client_credentials"),
        ("client_id", "riwaq-cli"),
    ];
    let answer = world
        .form("/auth/token", &public)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(text(&answer.json(), "error"), "unauthorized_client");
    let unproved = [
        ("grant_type", "client_credentials"),
        ("client_id", "riwaq-users"),
    ];
    world
        .form("/auth/token", &unproved)
        .await
        .expect(StatusCode::UNAUTHORIZED);
    let password = [
        ("grant_type", "password"),
        ("username", "zoe"),
        ("password", PASSWORD),
        ("client_id", "riwaq-cli"),
    ];
    let answer = world
        .form("/auth/token", &password)
        .await
        .expect(StatusCode::BAD_REQUEST);
    assert_eq!(text(&answer.json(), "error"), "unsupported_grant_type");
    let json = world
        .post_json(
            "/auth/token",
            &serde_json::json!({ "grant_type": "client_credentials" }),
        )
        .await;
    assert_eq!(
        text(&json.expect(StatusCode::BAD_REQUEST).json(), "error"),
        "invalid_request"
    );
}

#[tokio::test]
async fn a_service_gets_a_token_of_its_own() {
    let world = World::new().await;
    let client = ("riwaq-users", super::world::USERS_SECRET);
    let set = world
        .form_basic(
            "/auth/token",
            client,
            &[("grant_type", "client_credentials")],
        )
        .await;
    let set = set.expect(StatusCode::OK).json();
    assert!(set.get("refresh_token").is_none() && set.get("id_token").is_none());
    let token = world
        .identity
        .verify(text(&set, "access_token"))
        .await
        .unwrap();
    assert_eq!(
        token.owner,
        riwaq_identity::TokenOwner::Service("users".into())
    );
    assert_eq!(token.subject, riwaq_identity::service_id("riwaq-users"));
    world
        .get_as("/api/auth/me", text(&set, "access_token"))
        .await
        .expect(StatusCode::FORBIDDEN);
    let posted = [
        ("grant_type", "client_credentials"),
        ("client_id", client.0),
        ("client_secret", client.1),
    ];
    world
        .form("/auth/token", &posted)
        .await
        .expect(StatusCode::OK);
}

#[tokio::test]
async fn a_registered_client_works_and_its_secret_is_told_once() {
    let world = World::new().await;
    let new = crate::NewClient {
        client_id: "library".into(),
        name: "Library".into(),
        confidential: true,
        redirect_uris: vec!["https://library.example/cb".into()],
        post_logout_redirect_uris: vec![],
        grants: [
            crate::Grant::AuthorizationCode,
            crate::Grant::ClientCredentials,
        ]
        .into(),
        roles: ["librarian".to_owned()].into(),
    };
    let created = world.auth.create_client(new.clone()).await.unwrap();
    let secret = created.client_secret.unwrap();
    let grant = [("grant_type", "client_credentials")];
    let set = world
        .form_basic("/auth/token", ("library", &secret), &grant)
        .await
        .expect(StatusCode::OK)
        .json();
    let token = world
        .identity
        .verify(text(&set, "access_token"))
        .await
        .unwrap();
    assert_eq!(
        token.owner,
        riwaq_identity::TokenOwner::User,
        "with roles, like a person"
    );
    assert_eq!(
        world
            .auth
            .create_client(new.clone())
            .await
            .unwrap_err()
            .code(),
        riwaq_kit::Code::Conflict
    );
    for (change, field) in [
        (
            crate::NewClient {
                client_id: "riwaq-evil".into(),
                ..new.clone()
            },
            "client_id",
        ),
        (
            crate::NewClient {
                client_id: "a b".into(),
                ..new.clone()
            },
            "client_id",
        ),
        (
            crate::NewClient {
                client_id: "x".into(),
                redirect_uris: vec!["http://a.example".into()],
                ..new.clone()
            },
            "redirect_uris",
        ),
        (
            crate::NewClient {
                client_id: "x".into(),
                roles: ["service".to_owned()].into(),
                ..new
            },
            "roles",
        ),
    ] {
        let problem = world.auth.create_client(change).await.unwrap_err();
        assert_eq!(problem.errors()[0].field, field);
    }
}
