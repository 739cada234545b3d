//! The realm on the server, made and brought up to the file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Console, Realm};
use reqwest::Method;
use riwaq_directory::{AccountChange, AccountStatus, Directory, LoginName, NewAccount, Password};
use riwaq_directory_keycloak::provision::{BACKCHANNEL_LOGOUT_PATH, remove_realm};
use riwaq_directory_keycloak::{Provision, ProvisionError, provision};
use riwaq_test_kit::{Backend, keycloak};
use serde_json::{Value, json};
use uuid::Uuid;

async fn realm() -> Option<Realm> {
    match keycloak() {
        Backend::Ready(server) => Some(Realm::create(&server, None).await),
        Backend::NotRun => None,
    }
}

async fn secret(console: &Console, client_id: &str) -> String {
    let client = console.client(client_id).await;
    client["secret"].as_str().unwrap_or_default().to_owned()
}

/// The steps of the flow that people sign in by, as the console shows them.
async fn steps(console: &Console) -> Vec<(String, String, Value)> {
    let flow = console.get("").await["browserFlow"]
        .as_str()
        .unwrap()
        .replace(' ', "%20");
    let steps = console
        .get(&format!("/authentication/flows/{flow}/executions"))
        .await;
    let mut all = Vec::new();
    for step in steps.as_array().unwrap() {
        let config = match step["authenticationConfig"].as_str() {
            Some(id) => {
                console.get(&format!("/authentication/config/{id}")).await["config"].clone()
            }
            None => Value::Null,
        };
        let name = step["providerId"].as_str().or(step["displayName"].as_str());
        all.push((
            format!("{} {}", step["level"], name.unwrap()),
            step["requirement"].as_str().unwrap().to_owned(),
            config,
        ));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_nothing_missing_and_takes_new_addresses_and_secrets() {
    let Some(realm) = realm().await else { return };
    let console = realm.console();
    let portal_before = secret(&console, "riwaq-portal").await;
    assert!(portal_before.len() >= 32, "made by Keycloak");
    let mut options = realm.options.clone();
    options.public_url = "https://elsewhere.example/".into();
    options.school_name = Some("Université d’Oujda".into());
    options
        .client_secrets
        .insert("riwaq-users".into(), "u".repeat(43));
    let flow_before = steps(&console).await;
    for _ in 0..2 {
        let report = provision(options.clone()).await.unwrap();
        assert!(!report.created);
        assert_eq!(report.added, Vec::<String>::new());
        assert_eq!(report.secrets_set, ["riwaq-directory", "riwaq-users"]);
    }
    assert_eq!(steps(&console).await, flow_before);
    assert_eq!(secret(&console, "riwaq-users").await, "u".repeat(43));
    assert_eq!(
        secret(&console, "riwaq-portal").await,
        portal_before,
        "stays"
    );
    let portal = console.client("riwaq-portal").await;
    assert_eq!(
        portal["redirectUris"],
        json!(["https://elsewhere.example/api/auth/session/callback"])
    );
    assert_eq!(
        portal["attributes"]["backchannel.logout.url"],
        json!(format!(
            "https://elsewhere.example{BACKCHANNEL_LOGOUT_PATH}"
        ))
    );
    assert_eq!(console.get("").await["displayName"], "Université d’Oujda");
    // Who signs in with a second factor can be changed, both ways.
    options.second_factor_roles = ["admin".to_owned()].into();
    options.school_name = None;
    provision(options).await.unwrap();
    assert_eq!(
        console.get("").await["displayName"],
        "Université d’Oujda",
        "stays"
    );
    for (role, parts) in [("admin", 1), ("teacher", 0), ("student", 0)] {
        let composites = console.get(&format!("/roles/{role}/composites")).await;
        assert_eq!(composites.as_array().unwrap().len(), parts, "{role}");
    }
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_comes_back_and_what_a_school_added_stays() {
    let Some(realm) = realm().await else { return };
    let console = realm.console();
    let flow_before = steps(&console).await;
    let names = ["riwaq-cli", "riwaq-users", "riwaq-directory"];
    for name in names {
        let id = console.client(name).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            console
                .call(Method::DELETE, &format!("/clients/{id}"), None)
                .await
                .0,
            204
        );
    }
    assert_eq!(
        console.call(Method::DELETE, "/roles/teacher", None).await.0,
        204
    );
    // The flow is replaced by Keycloak's own and removed; policies are made lax.
    let lax = json!({"browserFlow": "browser", "passwordPolicy": "length(4)", "bruteForceProtected": false});
    assert_eq!(console.call(Method::PUT, "", Some(lax)).await.0, 204);
    let flows = console.get("/authentication/flows").await;
    let ours = flows
        .as_array()
        .unwrap()
        .iter()
        .find(|flow| flow["alias"] == "riwaq browser 1");
    let path = format!(
        "/authentication/flows/{}",
        ours.unwrap()["id"].as_str().unwrap()
    );
    assert_eq!(console.call(Method::DELETE, &path, None).await.0, 204);
    // A school's own: a client, a role, another scope for the portal.
    let own = json!({"clientId": "library", "publicClient": true});
    assert_eq!(
        console.call(Method::POST, "/clients", Some(own)).await.0,
        201
    );
    let own = json!({"name": "librarian"});
    assert_eq!(console.call(Method::POST, "/roles", Some(own)).await.0, 201);

    let report = provision(realm.options.clone()).await.unwrap();
    assert_eq!(
        report.added,
        [
            "client riwaq-cli",
            "client riwaq-directory",
            "client riwaq-users",
            "flow riwaq browser 1",
            "role teacher"
        ]
    );
    assert_eq!(steps(&console).await, flow_before);
    let settings = console.get("").await;
    assert!(
        settings["passwordPolicy"]
            .as_str()
            .unwrap()
            .contains("length(12)")
    );
    assert_eq!(settings["bruteForceProtected"], true);
    assert!(console.client("library").await["id"].is_string());
    assert_eq!(console.get("/roles/librarian").await["name"], "librarian");
    let parts = console.get("/roles/teacher/composites").await;
    assert_eq!(parts[0]["name"], "second-factor");
    // The directory's client has its rights again, and its secret.
    let directory = realm.directory().await;
    directory.check_access().await.unwrap();
    realm.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_make_one_realm() {
    let Backend::Ready(server) = keycloak() else {
        return;
    };
    let realm = Realm::create(&server, None).await;
    let options = Provision {
        realm_name: format!("{}-race", realm.options.realm_name),
        ..realm.options.clone()
    };
    let runs = (0..3).map(|_| provision(options.clone()));
    let reports = futures::future::join_all(runs).await;
    let created = reports
        .iter()
        .flatten()
        .filter(|report| report.created)
        .count();
    assert_eq!(created, 1, "{reports:?}");
    // Whoever found half a realm may fail; repeating it is enough.
    assert!(!provision(options.clone()).await.unwrap().created);
    remove_realm(options.clone()).await.unwrap();
    remove_realm(options).await.unwrap();
    realm.remove().await;
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_before_anything_is_asked() {
    type Change = fn(&mut Provision);
    let good = Provision {
        server_url: "http://127.0.0.1:9".into(),
        public_url: "https://riwaq.example".into(),
        ..Provision::default()
    };
    let cases: [(&str, Change); 5] = [
        ("server_url", |p| p.server_url = "sso.example".into()),
        ("realm_name", |p| p.realm_name = "master".into()),
        ("realm_name", |p| p.realm_name = "a/b".into()),
        ("public_url", |p| p.public_url = "riwaq.example".into()),
        ("client_secrets", |p| {
            p.client_secrets.insert("riwaq-auth".into(), "short".into());
        }),
    ];
    for (field, change) in cases {
        let mut options = good.clone();
        change(&mut options);
        match provision(options).await {
            Err(ProvisionError::Config(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let error = provision(Provision {
        admin_password: "a secret password".into(),
        ..good
    })
    .await
    .unwrap_err();
    assert!(matches!(error, ProvisionError::Server(_)), "{error}");
    assert!(!error.to_string().contains("a secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_somebody_else_has_made_is_brought_up() {
    let Backend::Ready(server) = keycloak() else {
        return;
    };
    let realm = Realm::bare(&server).await;
    let report = provision(realm.options.clone()).await.unwrap();
    assert!(!report.created);
    for added in [
        "client riwaq-portal",
        "client riwaq-directory",
        "client scope riwaq",
        "flow riwaq browser 1",
        "role service",
        "role teacher",
    ] {
        assert!(report.added.iter().any(|name| name == added), "{report:?}");
    }
    let again = provision(realm.options.clone()).await.unwrap();
    assert_eq!(again.added, Vec::<String>::new());
    // Names of any script, roles, status: what the fields of accounts allow, and what the directory's client may do.
    let directory = realm.directory().await;
    let console = realm.console();
    console.allow_passwords().await;
    let zoe = NewAccount {
        id: Uuid::new_v4(),
        email: LoginName::email("zoé@example.org").unwrap(),
        username: None,
        roles: ["student".to_owned()].into(),
        status: AccountStatus::Pending,
        password: Some(Password::new("correct horse battery").unwrap()),
    };
    directory.create(zoe.clone()).await.unwrap();
    let change = AccountChange {
        username: Some(Some(LoginName::username("زينب").unwrap())),
        roles: Some(["student".to_owned(), "lab_head".to_owned()].into()),
        status: Some(AccountStatus::Active),
        ..AccountChange::default()
    };
    directory.update(zoe.id, change).await.unwrap();
    let (status, tokens) = console
        .password_grant("زينب", "correct horse battery")
        .await;
    assert_eq!(status, 200, "{tokens}");
    let claims = claims(&tokens["access_token"]);
    assert_eq!(claims["sub"], zoe.id.to_string());
    assert_eq!(claims["aud"], "riwaq");
    let mut roles = claims["realm_access"]["roles"].as_array().unwrap().clone();
    roles.sort_by_key(ToString::to_string);
    assert_eq!(roles, [json!("lab_head"), json!("student")]);
    realm.remove().await;
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
