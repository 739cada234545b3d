//! A realm of its own on the real server, and a directory in it.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub(crate) mod cut;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use riwaq_aggregates::records::{Memory, Store};
use riwaq_clock::SystemClock;
use riwaq_directory_keycloak::provision::remove_realm;
use riwaq_directory_keycloak::{Config, KeycloakDirectory, Provision, provision, tables};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

pub(crate) const SECRET: &str = "the-directory-secret-of-this-test-run";

/// A realm that is removed in the end.
pub(crate) struct Realm {
    pub(crate) options: Provision,
    pub(crate) store: Store,
}

impl Realm {
    /// `server` is `http://user:password@host:port`.
    pub(crate) async fn create(server: &str, ca_file: Option<PathBuf>) -> Self {
        let realm = Self::planned(server, ca_file);
        assert!(provision(realm.options.clone()).await.unwrap().created);
        realm
    }

    /// One that is as Keycloak makes realms.
    pub(crate) async fn bare(server: &str) -> Self {
        let realm = Self::planned(server, None);
        let console = realm.console();
        let bare = json!({"realm": realm.options.realm_name, "enabled": true});
        assert_eq!(console.make_realm(bare).await, 201);
        realm
    }

    fn planned(server: &str, ca_file: Option<PathBuf>) -> Self {
        let mut url = Url::parse(server).unwrap();
        let (user, password) = (
            url.username().to_owned(),
            url.password().unwrap_or_default().to_owned(),
        );
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        let name = format!("test-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let options = Provision {
            server_url: url.to_string(),
            ca_file,
            admin_user: user,
            admin_password: password,
            realm_name: name,
            public_url: "https://riwaq.example".into(),
            client_secrets: BTreeMap::from([("riwaq-directory".into(), SECRET.into())]),
            // Making a realm takes seconds, and the machine is busy with other tests.
            request_timeout_ms: 300_000,
            ..Provision::default()
        };
        let store = Store::new(Arc::new(Memory::with_tables(tables()).unwrap()));
        Self { options, store }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            server_url: self.options.server_url.clone(),
            realm: self.options.realm_name.clone(),
            client_secret: SECRET.into(),
            ca_file: self.options.ca_file.clone(),
            // A test machine is busy.
            connect_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            turn_seconds: 360,
            turn_timeout_ms: 300_000,
            open_timeout_seconds: 300,
            ..Config::default()
        }
    }

    pub(crate) async fn directory(&self) -> KeycloakDirectory {
        self.directory_with(&self.config()).await
    }

    pub(crate) async fn directory_with(&self, config: &Config) -> KeycloakDirectory {
        KeycloakDirectory::open(config, self.store.clone(), SystemClock::shared())
            .await
            .unwrap()
    }

    pub(crate) async fn remove(self) {
        remove_realm(self.options).await.unwrap();
    }

    /// The server, as an administrator sees it.
    pub(crate) fn console(&self) -> Console {
        Console::of(&self.options)
    }
}

/// Plain requests to the admin REST interface, to look at and to change what the adapter has made.
pub(crate) struct Console {
    client: reqwest::Client,
    base: String,
    server: String,
    /// What an administrator signs in by: a token of the realm `master` lives for a minute only.
    sign_in: [(&'static str, String); 4],
}

impl Console {
    fn of(options: &Provision) -> Self {
        // Another test of this program may have done so before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path).unwrap();
            let ca = reqwest::Certificate::from_pem(&pem).unwrap();
            builder = builder.add_root_certificate(ca);
        }
        let server = options.server_url.trim_end_matches('/').to_owned();
        Self {
            client: builder.build().unwrap(),
            base: format!("{server}/admin/realms/{}", options.realm_name),
            server,
            sign_in: [
                ("grant_type", "password".to_owned()),
                ("client_id", "admin-cli".to_owned()),
                ("username", options.admin_user.clone()),
                ("password", options.admin_password.clone()),
            ],
        }
    }

    async fn administrator(&self) -> String {
        let address = format!(
            "{}/realms/master/protocol/openid-connect/token",
            self.server
        );
        let request = self.client.post(address).form(&self.sign_in);
        let token: Value = request.send().await.unwrap().json().await.unwrap();
        token["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path, None).await.1
    }

    pub(crate) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.administrator().await);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn make_realm(&self, realm: Value) -> u16 {
        let (realms, _) = self.base.rsplit_once('/').unwrap();
        let request = self
            .client
            .post(realms)
            .bearer_auth(self.administrator().await);
        request.json(&realm).send().await.unwrap().status().as_u16()
    }

    /// A client, by the name that people know it by.
    pub(crate) async fn client(&self, client_id: &str) -> Value {
        let found = self.get(&format!("/clients?clientId={client_id}")).await;
        found[0].clone()
    }

    /// A client that may sign people in by password: the realm has none of its own. And nobody is kept waiting: while
    /// the outcome of one sign-in is still being noted, which Keycloak does after it has answered, it refuses the next
    /// one of the same person as it refuses a wrong password.
    pub(crate) async fn allow_passwords(&self) {
        let unguarded = json!({"bruteForceProtected": false});
        let set = self.call(reqwest::Method::PUT, "", Some(unguarded)).await;
        assert_eq!(set.0, 204);
        let client = json!({
            "clientId": GRANT_CLIENT, "publicClient": true, "directAccessGrantsEnabled": true,
            "standardFlowEnabled": false, "fullScopeAllowed": true,
            "defaultClientScopes": ["basic", "riwaq"],
        });
        let made = self
            .call(reqwest::Method::POST, "/clients", Some(client))
            .await;
        assert_eq!(made.0, 201);
    }

    pub(crate) async fn password_grant(&self, login: &str, password: &str) -> (u16, Value) {
        self.token(&[
            ("grant_type", "password"),
            ("username", login),
            ("password", password),
        ])
        .await
    }

    pub(crate) async fn refresh(&self, token: &str) -> (u16, Value) {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)])
            .await
    }

    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let realm = self.base.replace("/admin/realms/", "/realms/");
        let mut form = form.to_vec();
        form.push(("client_id", GRANT_CLIENT));
        let answer = self
            .client
            .post(format!("{realm}/protocol/openid-connect/token"))
            .form(&form)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The roles that somebody was given, without Keycloak's own.
    pub(crate) async fn role_names(&self, id: Uuid) -> BTreeSet<String> {
        let mapped = self.get(&format!("/users/{id}/role-mappings/realm")).await;
        let names = mapped.as_array().unwrap().iter();
        names
            .map(|role| role["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

const GRANT_CLIENT: &str = "test-password-grant";
