//! The realm of an installation.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use riwaq_test_kit::Client;

/// A Keycloak server and the name of this installation's realm on it.
#[derive(Debug)]
pub(super) struct Keycloak {
    server: String,
    user: String,
    password: String,
    realm: String,
}

impl Keycloak {
    pub(super) fn new(url: &Url, realm: &str) -> Result<Self> {
        Ok(Self {
            server: format!(
                "http://{}:{}",
                url.host_str().context("no host")?,
                url.port_or_known_default().context("no port")?
            ),
            user: url.username().to_owned(),
            password: url.password().unwrap_or_default().to_owned(),
            realm: realm.to_owned(),
        })
    }

    pub(super) fn admin_user(&self) -> &str {
        &self.user
    }

    pub(super) fn admin_password(&self) -> &str {
        &self.password
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server, self.realm)
    }

    pub(super) async fn remove_realm(&self) -> Result<()> {
        let client = Client::new(&self.server);
        let token_path = "/realms/master/protocol/openid-connect/token";
        let form = format!(
            "grant_type=password&client_id=admin-cli&username={}&password={}",
            self.user, self.password
        );
        let request = client
            .request(Method::POST, token_path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let token = client.send(request).await?.expect(200)?;
        let token = token["access_token"].as_str().context("no token")?;
        let path = format!("/admin/realms/{}", self.realm);
        let answer = client.with_token(token).delete(&path).await?;
        ensure!(
            matches!(answer.status, 204 | 404),
            "Keycloak: {} {}",
            answer.status,
            answer.text()
        );
        Ok(())
    }
}
