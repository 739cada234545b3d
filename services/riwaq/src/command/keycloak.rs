//! `riwaq keycloak`: the realm on a Keycloak server.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use riwaq_directory_keycloak::{Provision, provision};

use crate::adapters;
use crate::cli::{Keycloak, Listen};
use crate::config::Config;
use crate::roles::ROLES;
use crate::secrets::Secrets;
use crate::wiring::{PORTAL_SECRET, client_secret};

pub(crate) async fn run(command: Keycloak) -> Result<()> {
    let Keycloak::Provision {
        sources,
        admin_user,
        backchannel_logout_url,
        school_name,
        second_factor,
    } = command;
    let config = Config::load(&sources, &Listen::default())?;
    if config.public_url.is_empty() {
        bail!("public_url is not set: Keycloak must know where people come back to");
    }
    let secrets = Secrets::load(config.secrets.master_key.as_ref(), Some(&config.data_dir))?;
    let keycloak = &config.directory.keycloak;
    let report = provision(Provision {
        server_url: keycloak.server_url.clone(),
        ca_file: keycloak.ca_file.clone(),
        admin_user,
        admin_password: password()?,
        realm_name: keycloak.realm.clone(),
        public_url: config.public_url.clone(),
        client_secrets: client_secrets(&config, &secrets),
        backchannel_logout_url,
        school_name,
        second_factor_roles: second_factor
            .into_iter()
            .filter(|role| !role.is_empty())
            .collect(),
        ..Provision::default()
    })
    .await
    .with_context(|| format!("the realm {} at {}", keycloak.realm, keycloak.server_url))?;
    let what = if report.created {
        "made"
    } else {
        "brought up to date"
    };
    crate::print(&format!("the realm at {} was {what}", report.realm_url));
    for added in &report.added {
        crate::print(&format!("added: {added}"));
    }
    Ok(())
}

/// What every role, the portal and the directory sign in with, from the master key of the installation.
fn client_secrets(config: &Config, secrets: &Secrets) -> BTreeMap<String, String> {
    let roles = ROLES.iter().map(|role| {
        (
            format!("riwaq-{}", role.name),
            client_secret(secrets, role.name),
        )
    });
    let portal = match &config.gateway.session.client_secret {
        Some(secret) => secret.clone(),
        None => secrets.derive_text(PORTAL_SECRET),
    };
    let directory = adapters::client_secret(config, secrets);
    roles
        .chain([
            (
                config.gateway.session.client_id.clone(),
                portal.expose().to_owned(),
            ),
            (
                config.directory.keycloak.client_id.clone(),
                directory.expose().to_owned(),
            ),
        ])
        .collect()
}

/// The administrator's password, never from the command line, where every process of the machine could read it.
fn password() -> Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("reading the administrator's password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("the administrator's password is expected on the first line of standard input");
    }
    Ok(password.to_owned())
}
