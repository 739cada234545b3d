//! What the port's suite cannot see: Keycloak's side of things.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use common::cut::{CutWay, Loss};
use common::{Realm, SECRET};
use reqwest::Method;
use riwaq_clock::{Clock, ManualClock, SystemClock};
use riwaq_directory::{
    AccountChange, AccountStatus, Directory, DirectoryError, LoginName, NewAccount, Password,
};
use riwaq_directory_keycloak::{Config, KeycloakDirectory, OpenError};
use riwaq_test_kit::{Backend, authority, keycloak, keycloak_tls};
use serde_json::{Value, json};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";

fn roles(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn person(name: &str) -> NewAccount {
    NewAccount {
        id: Uuid::new_v4(),
        email: LoginName::email(&format!("{name}@example.org")).unwrap(),
        username: Some(LoginName::username(name).unwrap()),
        roles: roles(&["student"]),
        status: AccountStatus::Active,
        password: Some(Password::new(PASSWORD).unwrap()),
    }
}

fn with_password(text: &str) -> AccountChange {
    AccountChange {
        password: Some(Password::new(text).unwrap()),
        ..AccountChange::default()
    }
}

fn with_roles(names: &[&str]) -> AccountChange {
    AccountChange {
        roles: Some(roles(names)),
        ..AccountChange::default()
    }
}

async fn realm() -> Option<Realm> {
    match keycloak() {
        Backend::Ready(server) => Some(Realm::create(&server, None).await),
        Backend::NotRun => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_that_was_set_is_the_one_that_signs_in_and_sessions_can_be_ended() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let console = realm.console();
    console.allow_passwords().await;
    let zoe = person("zoe");
    directory.create(zoe.clone()).await.unwrap();
    for login in ["zoe", "ZOE@example.org"] {
        assert_eq!(
            console.password_grant(login, PASSWORD).await.0,
            200,
            "{login}"
        );
    }
    // As keyboards type it, not in the form that our own directory hashes.
    let typed = "km² de sable: crème";
    directory
        .update(zoe.id, with_password(typed))
        .await
        .unwrap();
    assert_eq!(console.password_grant("zoe", PASSWORD).await.0, 400);
    let (status, tokens) = console.password_grant("zoe", typed).await;
    assert_eq!(status, 200, "{tokens}");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let (status, tokens) = console.refresh(refresh).await;
    assert_eq!(status, 200, "{tokens}");
    directory.end_sessions(zoe.id).await.unwrap();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(console.refresh(refresh).await.0, 400);
    for status in [AccountStatus::Disabled, AccountStatus::Pending] {
        let change = AccountChange {
            status: Some(status),
            ..AccountChange::default()
        };
        directory.update(zoe.id, change).await.unwrap();
        assert_eq!(
            console.password_grant("zoe", typed).await.0,
            400,
            "{status:?}"
        );
    }
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_realms_password_policy_is_told_by_field_and_nothing_is_changed() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let mut zoe = person("zoe-with-a-long-name");
    zoe.password = Some(Password::new("zoe-with-a-long-name").unwrap());
    let refused = |result: Result<_, DirectoryError>| match result {
        Err(DirectoryError::Invalid { field, message }) => (field, message),
        other => panic!("{:?}", other.map(|_: riwaq_directory::Account| ())),
    };
    assert_eq!(refused(directory.create(zoe.clone()).await).0, "password");
    assert_eq!(directory.get(&[zoe.id]).await.unwrap(), vec![]);
    zoe.password = None;
    let before = directory.create(zoe.clone()).await.unwrap();
    let change = AccountChange {
        roles: Some(roles(&["admin"])),
        email: Some(LoginName::email("moved@example.org").unwrap()),
        ..with_password("zoe-with-a-long-name")
    };
    let (field, message) = refused(directory.update(zoe.id, change).await);
    assert_eq!(field, "password");
    assert!(!message.is_empty() && !message.contains("zoe"), "{message}");
    assert_eq!(directory.get(&[zoe.id]).await.unwrap(), vec![before]);
    assert_eq!(
        directory.find_by_login("moved@example.org").await.unwrap(),
        None
    );
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_cut_off_counts_and_is_completed() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let console = realm.console();
    let zoe = person("zoe");
    directory.create(zoe.clone()).await.unwrap();
    let path = format!("/users/{}", zoe.id);
    // As the process leaves it that dies after the first of its requests.
    let mut user = console.get(&path).await;
    user["attributes"]["riwaq_roles_due"] = json!(["admin lab_head"]);
    user["attributes"]["riwaq_version"] = json!(["2"]);
    assert_eq!(console.call(Method::PUT, &path, Some(user)).await.0, 204);
    let seen = directory.get(&[zoe.id]).await.unwrap().remove(0);
    assert_eq!(
        (seen.roles, seen.version),
        (roles(&["admin", "lab_head"]), 2)
    );
    assert_eq!(console.role_names(zoe.id).await, roles(&["student"]));
    directory.settle(zoe.id).await.unwrap();
    assert_eq!(
        console.role_names(zoe.id).await,
        roles(&["admin", "lab_head"])
    );
    let user = console.get(&path).await;
    assert_eq!(user["attributes"]["riwaq_roles_due"], Value::Null);
    // Repeating the change that was cut off finds nothing to do.
    let again = directory
        .update(zoe.id, with_roles(&["admin", "lab_head"]))
        .await
        .unwrap();
    assert_eq!(
        (again.roles, again.version),
        (roles(&["admin", "lab_head"]), 2)
    );
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_double_nothing() {
    let Some(realm) = realm().await else { return };
    let way = CutWay::to(&realm.options.server_url).await;
    let config = Config {
        server_url: way.url.clone(),
        ..realm.config()
    };
    let directory = realm.directory_with(&config).await;
    let zoe = person("zoe");
    let path = format!("/admin/realms/{}", realm.options.realm_name);
    way.lose(&format!("POST {path}/partialImport"), Loss::Closed);
    let created = directory.create(zoe.clone()).await.unwrap();
    assert_eq!((way.lost(), created.version), (1, 1));
    way.lose(&format!("PUT {path}/users/"), Loss::Closed);
    let changed = directory
        .update(zoe.id, with_roles(&["teacher"]))
        .await
        .unwrap();
    assert_eq!((way.lost(), changed.version), (2, 2));
    assert_eq!(changed.roles, roles(&["teacher"]));
    way.lose(&format!("DELETE {path}/users/"), Loss::Closed);
    directory.delete(zoe.id).await.unwrap();
    assert_eq!(way.lost(), 3);
    assert_eq!(directory.get(&[zoe.id]).await.unwrap(), vec![]);
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_how_a_change_ended_keeps_its_turn() {
    let Some(realm) = realm().await else { return };
    let way = CutWay::to(&realm.options.server_url).await;
    let hasty = Config {
        server_url: way.url.clone(),
        request_timeout_ms: 5_000,
        turn_seconds: 30,
        ..realm.config()
    };
    let one = realm.directory_with(&hasty).await;
    let patient = realm.directory().await;
    let zoe = person("zoe");
    patient.create(zoe.clone()).await.unwrap();
    let path = format!("PUT /admin/realms/{}/users/", realm.options.realm_name);
    way.lose(&path, Loss::Silence);
    let rename = AccountChange {
        email: Some(LoginName::email("moved@example.org").unwrap()),
        ..AccountChange::default()
    };
    let moved = async || patient.find_by_login("moved@example.org").await.unwrap();
    let carried_out = async {
        // On a busy machine it may give up before it gets as far as the change.
        while way.is_armed() {
            let error = one.update(zoe.id, rename.clone()).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
        }
        // It is carried out all the same, sooner or later.
        while moved().await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let minutes = Duration::from_secs(300);
    tokio::time::timeout(minutes, carried_out).await.unwrap();
    // Another replica waits until nothing of it can be under way, and loses nothing of it. The wait is on its clock.
    let clock = ManualClock::at(SystemClock::shared().now());
    let config = Config {
        turn_timeout_ms: 3_600_000,
        ..realm.config()
    };
    let two = KeycloakDirectory::new(&config, realm.store.clone(), clock.clone()).unwrap();
    let begun = clock.monotonic();
    let mut change = pin!(two.update(zoe.id, with_roles(&["teacher"])));
    let changed = loop {
        match tokio::time::timeout(Duration::from_millis(10), &mut change).await {
            Ok(changed) => break changed.unwrap(),
            Err(_) => clock.advance(Duration::from_secs(1)),
        }
    };
    let waited = clock.monotonic().saturating_sub(begun);
    assert!(
        waited >= Duration::from_secs(config.turn_seconds),
        "{waited:?}"
    );
    assert_eq!(changed.version, 3);
    assert_eq!(moved().await, Some(changed.clone()));
    assert_eq!(patient.update(zoe.id, rename).await.unwrap(), changed);
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_finds_its_place_again() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let people: Vec<NewAccount> = (10..40)
        .map(|n| NewAccount {
            password: None,
            ..person(&format!("p{n}"))
        })
        .collect();
    for person in &people {
        directory.create(person.clone()).await.unwrap();
    }
    let mut page = directory.list(None, 10).await.unwrap();
    let mut seen: Vec<Uuid> = page.accounts.iter().map(|account| account.id).collect();
    // Some who were seen go, the last one among them; some come whose place is before it.
    for person in [&people[0], &people[4], &people[9]] {
        directory.delete(person.id).await.unwrap();
    }
    for n in 0..3 {
        let newcomer = person(&format!("a{n}"));
        directory.create(newcomer).await.unwrap();
    }
    while let Some(next) = page.next {
        page = directory.list(Some(&next), 10).await.unwrap();
        seen.extend(page.accounts.iter().map(|account| account.id));
    }
    let expected: Vec<Uuid> = people.iter().map(|person| person.id).collect();
    assert_eq!(seen, expected, "each once, in the order of their names");
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_stand_for_clients_are_out_of_reach() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let console = realm.console();
    let client = console.client("riwaq-auth").await;
    let path = format!(
        "/clients/{}/service-account-user",
        client["id"].as_str().unwrap()
    );
    let id: Uuid = console.get(&path).await["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let other = person("zoe");
    directory.create(other.clone()).await.unwrap();
    assert_eq!(directory.get(&[id]).await.unwrap(), vec![]);
    let both = directory.get(&[id, other.id]).await.unwrap();
    assert_eq!(both.len(), 1);
    let result = directory.update(id, with_roles(&["admin"])).await;
    assert!(
        matches!(result, Err(DirectoryError::NotFound)),
        "{result:?}"
    );
    directory.delete(id).await.unwrap();
    assert_eq!(console.get(&path).await["id"], json!(id.to_string()));
    let login = "service-account-riwaq-auth";
    assert_eq!(directory.find_by_login(login).await.unwrap(), None);
    assert!(matches!(
        directory.create(person(login)).await,
        Err(DirectoryError::Invalid {
            field: "username",
            ..
        })
    ));
    assert!(matches!(
        directory
            .update(other.id, with_roles(&["offline_access"]))
            .await,
        Err(DirectoryError::Invalid { field: "roles", .. })
    ));
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_by_group_are_seen_and_stay() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    let console = realm.console();
    let zoe = person("zoe");
    directory.create(zoe.clone()).await.unwrap();
    // As an LDAP federation does it: a group, which has a role.
    assert_eq!(
        console
            .call(Method::POST, "/groups", Some(json!({"name": "staff"})))
            .await
            .0,
        201
    );
    let group = console.get("/groups?search=staff").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let teacher = console.get("/roles/teacher").await;
    let path = format!("/groups/{group}/role-mappings/realm");
    assert_eq!(
        console
            .call(Method::POST, &path, Some(json!([teacher])))
            .await
            .0,
        204
    );
    let path = format!("/users/{}/groups/{group}", zoe.id);
    assert_eq!(console.call(Method::PUT, &path, None).await.0, 204);
    let seen = directory.get(&[zoe.id]).await.unwrap().remove(0);
    assert_eq!(seen.roles, roles(&["student", "teacher"]));
    let changed = directory
        .update(zoe.id, with_roles(&["lab_head"]))
        .await
        .unwrap();
    assert_eq!(changed.roles, roles(&["lab_head", "teacher"]));
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_federation_keeps_is_refused_by_configuration() {
    let Some(realm) = realm().await else { return };
    let config = Config {
        passwords_read_only: true,
        login_names_read_only: true,
        ..realm.config()
    };
    let directory = realm.directory_with(&config).await;
    let capabilities = directory.capabilities();
    assert!(!capabilities.sets_passwords && !capabilities.changes_login_names);
    let zoe = person("zoe");
    let refused = directory.create(zoe.clone()).await;
    assert!(
        matches!(refused, Err(DirectoryError::Unsupported { .. })),
        "{refused:?}"
    );
    directory
        .create(NewAccount {
            password: None,
            ..zoe.clone()
        })
        .await
        .unwrap();
    let rename = AccountChange {
        email: Some(LoginName::email("moved@example.org").unwrap()),
        ..AccountChange::default()
    };
    for change in [with_password(PASSWORD), rename] {
        let refused = directory.update(zoe.id, change).await;
        assert!(
            matches!(refused, Err(DirectoryError::Unsupported { .. })),
            "{refused:?}"
        );
    }
    directory
        .update(zoe.id, with_roles(&["teacher"]))
        .await
        .unwrap();
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_by_the_given_authority_and_no_other() {
    let (Backend::Ready(server), Backend::Ready(ca)) = (keycloak_tls(), authority()) else {
        return;
    };
    let realm = Realm::create(&server, Some(PathBuf::from(ca))).await;
    let directory = realm.directory().await;
    directory.ping().await.unwrap();
    let zoe = person("zoe");
    assert_eq!(directory.create(zoe).await.unwrap().version, 1);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, OTHER_AUTHORITY).unwrap();
    let config = Config {
        ca_file: Some(other.clone()),
        open_timeout_seconds: 0,
        ..realm.config()
    };
    let store = realm.store.clone();
    let refused = KeycloakDirectory::open(&config, store.clone(), SystemClock::shared()).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let without = Config {
        ca_file: None,
        ..config.clone()
    };
    let refused = KeycloakDirectory::open(&without, store.clone(), SystemClock::shared()).await;
    assert!(refused.unwrap_err().to_string().contains("certificate"));
    std::fs::write(&other, "no certificate").unwrap();
    let refused = KeycloakDirectory::new(&config, store, SystemClock::shared());
    assert_eq!(refused.unwrap_err().field, "ca_file");
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_refuses_us_is_said_to() {
    let Some(realm) = realm().await else { return };
    let directory = realm.directory().await;
    directory.check_access().await.unwrap();
    let clock = SystemClock::shared();
    let wrong_secret = Config {
        client_secret: "another secret of more than thirty-two bytes".into(),
        open_timeout_seconds: 0,
        ..realm.config()
    };
    let refused = KeycloakDirectory::open(&wrong_secret, realm.store.clone(), clock.clone()).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("riwaq-directory") && error.contains("401"),
        "{error}"
    );
    assert!(
        !error.contains(SECRET) && !error.contains("another secret"),
        "{error}"
    );
    // A port where nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let away = Config {
        server_url: nobody,
        open_timeout_seconds: 1,
        ..realm.config()
    };
    let begun = clock.monotonic();
    let refused = KeycloakDirectory::open(&away, realm.store.clone(), clock.clone()).await;
    assert!(
        matches!(refused, Err(OpenError::Unreachable { .. })),
        "{refused:?}"
    );
    let tried = clock.monotonic().saturating_sub(begun);
    assert!(tried >= Duration::from_secs(1), "{tried:?}");
    let directory = KeycloakDirectory::new(&away, realm.store.clone(), clock).unwrap();
    let zoe = person("zoe");
    for error in [
        directory.ping().await.unwrap_err(),
        directory.get(&[zoe.id]).await.unwrap_err(),
        directory.create(zoe.clone()).await.unwrap_err(),
        directory.update(zoe.id, with_roles(&[])).await.unwrap_err(),
        directory.delete(zoe.id).await.unwrap_err(),
        directory.end_sessions(zoe.id).await.unwrap_err(),
    ] {
        assert!(error.is_retryable(), "{error}");
        assert!(!error.to_string().contains("zoe"), "{error}");
    }
    realm.remove().await;
}

/// Made for this test; nothing is signed by it.
const OTHER_AUTHORITY: &str = include_str!("common/other-authority.pem");
