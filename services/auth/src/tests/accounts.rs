//! `riwaq.auth.v1` over gRPC, through the table of who may call.

use riwaq_api::auth::v1 as api;
use riwaq_api::{Channel, clients};
use tonic::Code;
use uuid::Uuid;

use super::world::{PASSWORD, USERS_SECRET, World, next};

/// Calls with the token of a client.
async fn channel(world: &World, client_id: &str, secret: &str) -> Channel {
    let fields = [("grant_type", "client_credentials")];
    let set = world
        .form_basic("/auth/token", (client_id, secret), &fields)
        .await
        .json();
    let token = set["access_token"].as_str().unwrap_or_default().to_owned();
    Channel::local(world.auth.service().grpc_routes().unwrap())
        .with_tokens(std::sync::Arc::new(Fixed(token)))
}

#[derive(Debug)]
struct Fixed(String);

#[async_trait::async_trait]
impl riwaq_api::TokenSource for Fixed {
    async fn token(&self) -> Result<std::sync::Arc<str>, riwaq_api::TokenError> {
        Ok(self.0.as_str().into())
    }

    fn refused(&self, _: &str) {}
}

fn new(id: Uuid, email: &str, username: &str) -> api::CreateAccountRequest {
    api::CreateAccountRequest {
        id: id.to_string(),
        email: email.into(),
        username: username.into(),
        roles: vec!["student".into()],
        password: PASSWORD.into(),
        status: 0,
    }
}

#[tokio::test]
async fn the_users_service_makes_changes_and_removes_accounts() {
    let world = World::new().await;
    let mut told = world.listen(&[crate::ACCOUNT_CHANGED]).await;
    let mut accounts = clients::accounts(&channel(&world, "riwaq-users", USERS_SECRET).await);
    let id = Uuid::new_v4();
    let made = accounts
        .create_account(new(id, "ali@example.org", "ali"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (made.status, made.version),
        (api::AccountStatus::Active.into(), 1)
    );
    assert_eq!(next(&mut told).await.data["id"], id.to_string());
    let again = accounts
        .create_account(new(id, "ali@example.org", "ali"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, made);
    world
        .login("ali", PASSWORD)
        .await
        .expect(http::StatusCode::OK);

    let change = api::UpdateAccountRequest {
        id: id.to_string(),
        email: Some("ali2@example.org".into()),
        username: Some(String::new()),
        roles: Some(api::RoleSet {
            names: vec!["teacher".into()],
        }),
        expected_version: Some(1),
        ..Default::default()
    };
    let changed = accounts
        .update_account(change.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (changed.roles, changed.version),
        (vec!["teacher".to_owned()], 2)
    );
    let stale = accounts.update_account(change).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    world
        .login("ali", PASSWORD)
        .await
        .expect(http::StatusCode::UNAUTHORIZED);
    world
        .login("ali2@example.org", PASSWORD)
        .await
        .expect(http::StatusCode::OK);

    let ids = vec![Uuid::new_v4().to_string(), id.to_string()];
    let got = accounts
        .get_accounts(api::GetAccountsRequest { ids })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(got.accounts.len(), 1);
    for _ in 0..2 {
        accounts
            .delete_account(api::DeleteAccountRequest { id: id.to_string() })
            .await
            .unwrap();
    }
    world
        .login("ali2@example.org", PASSWORD)
        .await
        .expect(http::StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_taken_name_is_named() {
    let world = World::new().await;
    let mut accounts = clients::accounts(&channel(&world, "riwaq-users", USERS_SECRET).await);
    for (email, username, field) in [
        ("Zoe@example.org", "new", "email"),
        ("new@example.org", "ZOE", "username"),
    ] {
        let status = accounts
            .create_account(new(Uuid::new_v4(), email, username))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists);
        let problem = riwaq_kit::Problem::from(status);
        assert_eq!(
            (problem.code(), problem.errors()[0].field.as_str()),
            (riwaq_kit::Code::Conflict, field)
        );
    }
}

#[tokio::test]
async fn bad_requests_name_their_field_and_change_nothing() {
    let world = World::new().await;
    let mut accounts = clients::accounts(&channel(&world, "riwaq-users", USERS_SECRET).await);
    let id = Uuid::new_v4();
    let good = new(id, "ali@example.org", "ali");
    for (bad, field) in [
        (
            api::CreateAccountRequest {
                id: "x".into(),
                ..good.clone()
            },
            "id",
        ),
        (
            api::CreateAccountRequest {
                email: "x".into(),
                ..good.clone()
            },
            "email",
        ),
        (
            api::CreateAccountRequest {
                username: "a b".into(),
                ..good.clone()
            },
            "username",
        ),
        (
            api::CreateAccountRequest {
                password: "short".into(),
                ..good.clone()
            },
            "password",
        ),
        (
            api::CreateAccountRequest {
                roles: vec!["No".into()],
                ..good.clone()
            },
            "roles",
        ),
        (
            api::CreateAccountRequest {
                roles: vec!["service".into()],
                ..good.clone()
            },
            "roles",
        ),
        (
            api::CreateAccountRequest {
                status: 99,
                ..good.clone()
            },
            "status",
        ),
    ] {
        let problem = riwaq_kit::Problem::from(accounts.create_account(bad).await.unwrap_err());
        assert_eq!(problem.errors()[0].field, field);
    }
    let ids = vec![id.to_string()];
    assert!(
        accounts
            .get_accounts(api::GetAccountsRequest { ids })
            .await
            .unwrap()
            .into_inner()
            .accounts
            .is_empty()
    );
    let missing = api::UpdateAccountRequest {
        id: id.to_string(),
        ..Default::default()
    };
    assert_eq!(
        accounts.update_account(missing).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn activation_is_started_over_grpc() {
    let world = World::new().await;
    let mut accounts = clients::accounts(&channel(&world, "riwaq-users", USERS_SECRET).await);
    let id = Uuid::new_v4();
    let request = api::CreateAccountRequest {
        password: String::new(),
        ..new(id, "ali@example.org", "")
    };
    let made = accounts.create_account(request).await.unwrap().into_inner();
    assert_eq!(made.status, i32::from(api::AccountStatus::Pending));
    let start = |send_mail| api::StartActivationRequest {
        id: id.to_string(),
        send_mail,
    };
    let printed = accounts
        .start_activation(start(false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(printed.code.len(), 19);
    assert!(chrono::DateTime::parse_from_rfc3339(&printed.expires_at).is_ok());
    assert_eq!(
        accounts
            .start_activation(start(true))
            .await
            .unwrap()
            .into_inner()
            .code,
        ""
    );
}

#[tokio::test]
async fn only_our_services_may_call_and_people_may_not() {
    let world = World::new().await;
    let person = world.login("zoe", PASSWORD).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let library = crate::NewClient {
        client_id: "library".into(),
        name: "Library".into(),
        confidential: true,
        redirect_uris: vec![],
        post_logout_redirect_uris: vec![],
        grants: [crate::Grant::ClientCredentials].into(),
        roles: ["admin".to_owned()].into(),
    };
    let secret = world
        .auth
        .create_client(library)
        .await
        .unwrap()
        .client_secret
        .unwrap();
    let routes = || Channel::local(world.auth.service().grpc_routes().unwrap());
    let as_person = routes().with_tokens(std::sync::Arc::new(Fixed(person)));
    for channel in [
        routes(),
        as_person,
        channel(&world, "library", &secret).await,
    ] {
        let request = api::GetAccountsRequest { ids: vec![] };
        let status = clients::accounts(&channel)
            .get_accounts(request)
            .await
            .unwrap_err();
        assert!(
            matches!(
                status.code(),
                Code::PermissionDenied | Code::Unauthenticated
            ),
            "{status}"
        );
        let listed = clients::revocations(&channel)
            .list_revocations(api::ListRevocationsRequest {})
            .await;
        assert!(listed.is_err());
    }
    let ours = channel(&world, "riwaq-users", USERS_SECRET).await;
    clients::revocations(&ours)
        .list_revocations(api::ListRevocationsRequest {})
        .await
        .unwrap();
}

#[tokio::test]
async fn ensured_accounts_are_made_once() {
    let world = World::new().await;
    let before = world.zoe().await;
    let id = world
        .ensure("zoe@example.org", Some("zoe"), &["admin"])
        .await;
    assert_eq!(world.zoe().await, before);
    assert_eq!(id, before.id);
    world.auth.accounts.delete(id).await.unwrap();
    let replica = world.replica();
    let (one, two) = futures::join!(
        world.ensure("new@example.org", None, &["student"]),
        replica.ensure("new@example.org", None, &["student"]),
    );
    assert_eq!(one, two);
}
