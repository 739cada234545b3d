//! Who makes the tokens of this installation, and how that issuer is reached from this process.

use anyhow::{Context, Result};
use riwaq_auth::{Elsewhere, Issuing};
use riwaq_clock::SharedClock;
use riwaq_identity::{Endpoint, IdentityConfig, RemoteIssuer, http_client};
use riwaq_kit::HttpService;

use crate::config::{Config, DirectoryEngine};

/// The public client of programs on people's machines.
pub(crate) const NATIVE_CLIENT: &str = "riwaq-cli";

/// The issuer of tokens.
#[derive(Clone)]
pub(crate) enum Issuer {
    /// Our own: the auth role, by its HTTP service, which knows where that role is.
    Own(HttpService),
    /// One elsewhere.
    Elsewhere(RemoteIssuer),
}

impl Issuer {
    /// The issuer of the configuration; `auth` reaches the auth role.
    pub(crate) fn new(config: &Config, auth: HttpService, clock: &SharedClock) -> Result<Self> {
        match config.directory.engine {
            DirectoryEngine::Local => Ok(Self::Own(auth)),
            DirectoryEngine::Keycloak => {
                let identity = keycloak(config);
                let http = http_client(identity.ca_file.as_deref()).context("identity.ca_file")?;
                Ok(Self::Elsewhere(RemoteIssuer::new(
                    &identity,
                    http,
                    clock.clone(),
                )))
            }
        }
    }

    /// The way to it: takes its addresses.
    pub(crate) fn http(&self) -> HttpService {
        match self {
            Self::Own(auth) => auth.clone(),
            Self::Elsewhere(issuer) => issuer.http(),
        }
    }

    /// Where its keys are.
    pub(crate) fn keys(&self) -> Endpoint {
        match self {
            Self::Own(_) => own_address(riwaq_auth::paths::JWKS),
            Self::Elsewhere(issuer) => issuer.keys(),
        }
    }

    /// Where it gives tokens out.
    pub(crate) fn tokens(&self) -> Endpoint {
        match self {
            Self::Own(_) => own_address(riwaq_auth::paths::TOKEN),
            Self::Elsewhere(issuer) => issuer.tokens(),
        }
    }

    /// What the auth role has to know of it.
    pub(crate) fn issuing(&self, config: &Config) -> Issuing {
        match self {
            Self::Own(_) => Issuing::Own,
            Self::Elsewhere(issuer) => Issuing::Elsewhere(Elsewhere {
                issuer: issuer.name().to_owned(),
                clients: vec![
                    config.gateway.session.client_id.clone(),
                    NATIVE_CLIENT.to_owned(),
                ],
            }),
        }
    }
}

/// The issuer's public name where none is configured: our own address, or the realm as we reach it.
pub(crate) fn name(config: &Config) -> String {
    match config.directory.engine {
        DirectoryEngine::Local => config.public_url.clone(),
        DirectoryEngine::Keycloak => realm(config),
    }
}

/// What is not said about the issuer follows from how the directory is reached: they are one server.
fn keycloak(config: &Config) -> IdentityConfig {
    let mut identity = config.identity.clone();
    if identity.internal_url.is_empty() {
        identity.internal_url = realm(config);
    }
    identity.ca_file = identity
        .ca_file
        .or_else(|| config.directory.keycloak.ca_file.clone());
    identity
}

fn realm(config: &Config) -> String {
    let keycloak = &config.directory.keycloak;
    let server = keycloak.server_url.trim_end_matches('/');
    format!("{server}/realms/{}", keycloak.realm)
}

/// An address of the auth role as its HTTP service takes it; that knows where the role is.
fn own_address(path: &str) -> Endpoint {
    format!("http://auth{path}").into()
}
