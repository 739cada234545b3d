//! The realm as code, on a real Keycloak over TLS: imported, people made by the directory's adapter, signed in by a
//! stock OpenID Connect client, and told off by back channel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use riwaq_clock::SystemClock;
use riwaq_directory::{AccountStatus, Directory, LoginName, NewAccount, Password};
use riwaq_directory_keycloak::provision::remove_realm;
use riwaq_directory_keycloak::{Config, KeycloakDirectory, Provision, provision, tables};
use riwaq_records::{Memory, Store};
use riwaq_test_kit::{Backend, authority, keycloak_tls, python};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_the_realm_as_code() -> Result<()> {
    let _machine = crate::machine::shared().await;
    let (Backend::Ready(server), Backend::Ready(ca), Backend::Ready(python)) =
        (keycloak_tls(), authority(), python())
    else {
        return Ok(());
    };
    let back_channel = TcpListener::bind("127.0.0.1:0").await?;
    let options = options(&server, PathBuf::from(&ca), &back_channel)?;
    let report = provision(options.clone()).await?;
    ensure!(report.created);
    let directory = directory(&options).await?;
    let student = make(&directory, "student", "student").await?;
    make(&directory, "teacher", "teacher").await?;
    make(&directory, "victim", "student").await?;

    let script = format!("{}/python/keycloak_sign_in.py", env!("CARGO_MANIFEST_DIR"));
    let secret = |client: &str| options.client_secrets[client].clone();
    let output = tokio::process::Command::new(python)
        .args([&script, &report.realm_url, &ca])
        .args([secret("riwaq-portal"), secret("riwaq-users")])
        .args([PASSWORD, &student.to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}\n{errors}");
    ensure!(said.contains("keycloak: every step held"), "{said}");

    // The student's sessions are still there; ending them is told to the portal.
    directory.end_sessions(student).await?;
    let told = tokio::time::timeout(PATIENCE, logout_token(&back_channel)).await??;
    ensure!(told["aud"] == "riwaq-portal", "{told}");
    ensure!(told["sub"] == student.to_string(), "{told}");
    ensure!(told["sid"].is_string(), "{told}");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    ensure!(told["events"][event].is_object(), "{told}");
    remove_realm(options).await?;
    Ok(())
}

fn options(server: &str, ca_file: PathBuf, back_channel: &TcpListener) -> Result<Provision> {
    let mut url = reqwest::Url::parse(server)?;
    let (user, password) = (
        url.username().to_owned(),
        url.password().unwrap_or_default().to_owned(),
    );
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let clients = ["riwaq-directory", "riwaq-portal", "riwaq-users"];
    let secrets = clients.map(|client| {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        (client.to_owned(), secret)
    });
    Ok(Provision {
        server_url: url.to_string(),
        ca_file: Some(ca_file),
        admin_user: user,
        admin_password: password,
        realm_name: format!("signin-{}", Uuid::new_v4().simple()),
        public_url: "https://riwaq.example".into(),
        client_secrets: BTreeMap::from(secrets),
        backchannel_logout_url: Some(format!("http://{}/told", back_channel.local_addr()?)),
        ..Provision::default()
    })
}

async fn directory(options: &Provision) -> Result<KeycloakDirectory> {
    let config = Config {
        server_url: options.server_url.clone(),
        realm: options.realm_name.clone(),
        client_secret: options.client_secrets["riwaq-directory"].clone(),
        ca_file: options.ca_file.clone(),
        // A test machine is busy.
        request_timeout_ms: 30_000,
        turn_seconds: 180,
        ..Config::default()
    };
    let store = Store::new(Arc::new(Memory::with_tables(tables())?));
    Ok(KeycloakDirectory::open(&config, store, SystemClock::shared()).await?)
}

async fn make(directory: &KeycloakDirectory, name: &str, role: &str) -> Result<Uuid> {
    let account = NewAccount {
        id: Uuid::new_v4(),
        email: LoginName::email(&format!("{name}@example.org"))?,
        username: Some(LoginName::username(name)?),
        roles: BTreeSet::from([role.to_owned()]),
        status: AccountStatus::Active,
        password: Some(Password::new(PASSWORD)?),
    };
    Ok(directory.create(account).await?.id)
}

/// What the next request to the back channel says, answered with 200. Its signature is the auth service's affair.
async fn logout_token(back_channel: &TcpListener) -> Result<Value> {
    let (mut connection, _) = back_channel.accept().await?;
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = connection.read(&mut buffer).await?;
        ensure!(n > 0, "it ended: {}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse::<usize>().ok())
            .with_context(|| format!("no length: {head}"))?;
        if body.len() < length {
            continue;
        }
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await?;
        let token = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("logout_token="));
        let payload = token.and_then(|token| token.split('.').nth(1));
        let payload = payload.with_context(|| format!("no logout token: {body}"))?;
        return Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?);
    }
}
