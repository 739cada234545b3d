//! The realm of an installation.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use riwaq_test_kit::Client;
use serde_json::json;

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

    /// An empty realm that names itself by the server's own address, whichever address it is reached by: programs
    /// reach it over a line that people do not go over.
    pub(super) async fn make_realm(&self) -> Result<()> {
        let realm = json!({
            "realm": self.realm, "enabled": true, "attributes": {"frontendUrl": self.server},
        });
        let answer = self.admin().await?.post("/admin/realms", &realm).await?;
        answer.expect(201).context("Keycloak, a new realm")?;
        Ok(())
    }

    pub(super) async fn remove_realm(&self) -> Result<()> {
        let path = format!("/admin/realms/{}", self.realm);
        let answer = self.admin().await?.delete(&path).await?;
        ensure!(
            matches!(answer.status, 204 | 404),
            "Keycloak: {} {}",
            answer.status,
            answer.text()
        );
        Ok(())
    }

    async fn admin(&self) -> Result<Client> {
        let client = Client::new(&self.server);
        let path = "/realms/master/protocol/openid-connect/token";
        let form = format!(
            "grant_type=password&client_id=admin-cli&username={}&password={}",
            self.user, self.password
        );
        let request = client
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let token = client.send(request).await?.expect(200)?;
        let token = token["access_token"].as_str().context("no token")?;
        Ok(client.with_token(token))
    }
}
