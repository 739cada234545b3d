//! The role `auth`.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use riwaq_auth::{Auth, ConfiguredClient, Deps, DevMail, DevMailbox, MasterSecret};
use riwaq_events::Group;
use riwaq_kit::{ApiResult, Service, TaskGroup};
use riwaq_mail_folder::FolderMail;

use crate::adapters::Need;
use crate::roles::{ROLES, Role};
use crate::wiring::{PORTAL_SECRET, Parts, client_secret};

const NAME: &str = "auth";
/// How many mails `GET /dev/mail` shows.
const SHOWN_MAILS: usize = 100;

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["users"],
    needs: &[Need::Directory, Need::Mail],
    tables: riwaq_auth::tables,
    groups,
    document: riwaq_auth::openapi,
    build,
};

fn groups() -> Vec<Group> {
    vec![Group::new(
        riwaq_auth::MAIL_GROUP,
        [riwaq_auth::MAIL_REQUESTED],
    )]
}

fn build(parts: &Parts) -> Result<Service> {
    Ok(auth(parts)?.service())
}

/// The service's own handle, which also does what operators ask.
pub(crate) fn auth(parts: &Parts) -> Result<Auth> {
    let mut config = parts.config.auth.clone();
    config.public_url.clone_from(&parts.config.public_url);
    let mailbox = parts.adapters.mail_folder.clone();
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        events: parts.adapters.events.clone(),
        directory: parts.adapters.directory()?,
        mail: parts.adapters.mail()?,
        mailbox: mailbox.map(|folder| Arc::new(FolderMailbox(folder)) as Arc<dyn DevMailbox>),
        users: parts.channel(NAME, "users"),
        identity: parts.identity.clone(),
        tasks: TaskGroup::new(),
        secret: MasterSecret::new(&parts.secrets.derive("auth"))?,
        clients: clients(parts)?,
        issuing: parts.issuer.issuing(&parts.config),
    };
    // Of the clients given here only the portal's addresses can be wrong, and they come from one setting.
    let public_url = &parts.config.public_url;
    Auth::new(config, deps)
        .with_context(|| format!("the auth role, with public_url = \"{public_url}\""))
}

/// The clients that need no registration: every role, the portal and the command line.
fn clients(parts: &Parts) -> Result<Vec<ConfiguredClient>> {
    let secrets = &parts.secrets;
    let mut clients: Vec<ConfiguredClient> = ROLES
        .iter()
        .map(|role| ConfiguredClient::Service {
            name: role.name.to_owned(),
            secret: client_secret(secrets, role.name),
        })
        .collect();
    let public = &parts.config.public_url;
    clients.push(ConfiguredClient::Portal {
        client_id: parts.config.gateway.session.client_id.clone(),
        secret: secrets.derive_text(PORTAL_SECRET).expose().to_owned(),
        redirect_uris: vec![format!("{public}{}", riwaq_gateway::CALLBACK)],
        post_logout_redirect_uris: vec![format!("{public}/")],
    });
    clients.push(ConfiguredClient::Native {
        client_id: crate::issuer::NATIVE_CLIENT.to_owned(),
        name: "Riwaq".to_owned(),
    });
    Ok(clients)
}

/// Shows the mails of a development installation.
struct FolderMailbox(FolderMail);

#[async_trait]
impl DevMailbox for FolderMailbox {
    async fn list(&self) -> ApiResult<Vec<DevMail>> {
        let mails = self.0.list(SHOWN_MAILS).await?;
        Ok(mails
            .into_iter()
            .map(|mail| DevMail {
                id: mail.id,
                to: mail.to,
                subject: mail.subject,
                text: mail.text,
                html: mail.html,
                links: mail.links,
                at: mail.at,
            })
            .collect())
    }
}
