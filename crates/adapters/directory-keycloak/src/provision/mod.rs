//! The realm of this repository, brought to a server: made where it is not there, otherwise brought up to the
//! file. What the file says wins; what it does not mention (people, LDAP, identity providers, keys) stays.
//! Repeating it changes nothing.

mod clients;
mod flows;
mod realm;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use riwaq_clock::SystemClock;
use serde_json::Value;
use url::Url;

use crate::admin::{Admin, Repeatable};
use crate::config::{ConfigError, check_server_url, is_realm_name};
use crate::error::CallError;
use crate::http::{Http, Limits};
use crate::token::{Grant, Tokens};

/// Where the auth role is told that a session has ended at Keycloak, beneath the public address, unless
/// [`Provision::backchannel_logout_url`] says otherwise.
pub const BACKCHANNEL_LOGOUT_PATH: &str = "/auth/backchannel-logout";
/// The shortest secret that a client may be given, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// What [`provision`] needs to know.
#[derive(Clone)]
pub struct Provision {
    /// Keycloak's address, without the realm.
    pub server_url: String,
    /// The authority (PEM) that signed Keycloak's certificate. None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// An administrator of the server, in the realm `master`.
    pub admin_user: String,
    /// That administrator's password.
    pub admin_password: String,
    /// The realm's name.
    pub realm_name: String,
    /// Riwaq's public address: where people come back to.
    pub public_url: String,
    /// The secrets of confidential clients, by client id (`riwaq-portal`, `riwaq-directory`, `riwaq-<role>`); at
    /// least [`MIN_SECRET_BYTES`]. A client without one here keeps the one it has, or gets one of Keycloak's making.
    pub client_secrets: BTreeMap<String, String>,
    /// Where Keycloak tells that a session has ended, if its way to the gateway is not the public one.
    pub backchannel_logout_url: Option<String>,
    /// The school's name, as the sign-in page shows it. None: the one that was given before, at first `Riwaq`.
    pub school_name: Option<String>,
    /// Roles whose holders sign in with a second factor: any of the file's. Other roles get it in Keycloak's console, by
    /// the role `second-factor` of the portal's client among their associated roles.
    pub second_factor_roles: BTreeSet<String>,
    /// The longest wait for one answer, in milliseconds: making a realm takes seconds.
    pub request_timeout_ms: u64,
}

impl Default for Provision {
    fn default() -> Self {
        Self {
            server_url: String::new(),
            ca_file: None,
            admin_user: String::new(),
            admin_password: String::new(),
            realm_name: "riwaq".into(),
            public_url: String::new(),
            client_secrets: BTreeMap::new(),
            backchannel_logout_url: None,
            school_name: None,
            second_factor_roles: ["teacher", "admin"].map(str::to_owned).into(),
            request_timeout_ms: 60_000,
        }
    }
}

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionReport {
    /// Whether the realm was made; otherwise it was there and was brought up to the file.
    pub created: bool,
    /// The realm's address: the issuer of its tokens, where Keycloak has no other name for itself.
    pub realm_url: String,
    /// What was missing in a realm that was there, such as `client riwaq-cli`, sorted.
    pub added: Vec<String>,
    /// Clients whose secret is the one that was given, sorted.
    pub secrets_set: Vec<String>,
}

/// Why a realm was not provisioned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// A value that cannot work. Nothing was changed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server does not answer, refuses our administrator, or refuses a step. Repeating is safe.
    #[error("{0}")]
    Server(String),
}

impl From<CallError> for ProvisionError {
    fn from(error: CallError) -> Self {
        // Here nobody is named, and an operator reads it: the server's own sentence helps.
        let sentence = error.refusal().message;
        if sentence.is_empty() {
            Self::Server(error.to_string())
        } else {
            Self::Server(format!("{error}: {sentence}"))
        }
    }
}

/// Makes the realm, or brings it up to the file. May be repeated, also by several at once.
///
/// # Errors
/// Values that cannot work; what the server refuses.
pub async fn provision(options: Provision) -> Result<ProvisionReport, ProvisionError> {
    options.check()?;
    let admin = options.admin()?;
    admin.sign_in().await?;
    let mut wanted = realm::wanted(&options)?;
    let path = format!("/admin/realms/{}", options.realm_name);
    let mut report = ProvisionReport {
        created: false,
        realm_url: format!(
            "{}/realms/{}",
            options.server_url.trim_end_matches('/'),
            options.realm_name
        ),
        added: Vec::new(),
        secrets_set: options.client_secrets.keys().cloned().collect(),
    };
    let found: Option<Value> = admin.find("get_realm", &path, &[]).await?;
    if found.is_none() && create(&admin, &wanted).await? {
        report.created = true;
        return Ok(report);
    }
    if options.school_name.is_none()
        && let Some(settings) = wanted.as_object_mut()
    {
        // The name that was given before stays.
        settings.retain(|name, _| !name.starts_with("displayName"));
    }
    report.added = update::update(&admin, &path, &wanted).await?;
    Ok(report)
}

/// Removes a realm with everybody in it. For tests, and for trials that are over.
///
/// # Errors
/// Values that cannot work; what the server refuses. A realm that is not there is no error.
pub async fn remove_realm(options: Provision) -> Result<(), ProvisionError> {
    options.check()?;
    let admin = options.admin()?;
    let path = format!("/admin/realms/{}", options.realm_name);
    let nothing: Option<&()> = None;
    match admin
        .change("delete_realm", Method::DELETE, &path, nothing)
        .await
    {
        Err(error) if !error.is(StatusCode::NOT_FOUND) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether it was made; not so if somebody else has made it meanwhile.
async fn create(admin: &Admin, wanted: &Value) -> Result<bool, CallError> {
    let call = crate::admin::Call {
        operation: "create_realm",
        method: Method::POST,
        path: "/admin/realms",
        query: &[],
        body: Some(wanted),
        repeatable: Repeatable::No,
    };
    match admin.call(call).await {
        Ok(_) => Ok(true),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Provision {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |field, message: &str| {
            Err(ConfigError {
                field,
                message: message.to_owned(),
            })
        };
        check_server_url(&self.server_url)?;
        if !is_realm_name(&self.realm_name) || self.realm_name == "master" {
            return refuse(
                "realm_name",
                "1 to 64 of letters, digits, - and _; not master",
            );
        }
        for (field, url) in [
            ("public_url", Some(&self.public_url)),
            (
                "backchannel_logout_url",
                self.backchannel_logout_url.as_ref(),
            ),
        ] {
            let Some(url) = url else { continue };
            if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
                return refuse(field, "is no http or https address");
            }
        }
        match self
            .client_secrets
            .iter()
            .find(|(_, secret)| secret.len() < MIN_SECRET_BYTES)
        {
            Some((client, _)) => Err(ConfigError {
                field: "client_secrets",
                message: format!("{client}: at least {MIN_SECRET_BYTES} bytes"),
            }),
            None => Ok(()),
        }
    }

    fn admin(&self) -> Result<Admin, ConfigError> {
        let limits = Limits {
            connect: Duration::from_secs(5),
            request: Duration::from_millis(self.request_timeout_ms),
            at_once: 4,
        };
        let http = Http::new(
            &self.server_url,
            self.ca_file.as_deref(),
            &limits,
            SystemClock::shared(),
        )?;
        let grant = Grant::Administrator {
            user: self.admin_user.clone(),
            password: self.admin_password.clone(),
        };
        Ok(Admin::new(http, Tokens::new("master", grant)))
    }
}

/// Without password and secrets.
impl std::fmt::Debug for Provision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provision")
            .field("server_url", &self.server_url)
            .field("realm_name", &self.realm_name)
            .field("public_url", &self.public_url)
            .field("clients", &self.client_secrets.keys())
            .finish_non_exhaustive()
    }
}
