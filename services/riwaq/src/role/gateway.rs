//! The role `gateway`.

use anyhow::{Context, Result};
use riwaq_gateway::{Deps, service};
use riwaq_kit::Service;
use url::Url;

use crate::roles::Role;
use crate::wiring::{PORTAL_SECRET, Parts};

const NAME: &str = "gateway";

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth", "users", "courses", "files", "search", "chatbot"],
    needs: &[],
    tables: riwaq_gateway::tables,
    groups: Vec::new,
    document: riwaq_gateway::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    let mut config = parts.config.gateway.clone();
    if config.session.client_secret.is_none() {
        config.session.client_secret = Some(parts.secrets.derive_text(PORTAL_SECRET));
    }
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        identity: parts.identity.clone(),
        upstreams: parts
            .upstreams
            .iter()
            .map(|(role, http)| (*role, http.clone()))
            .collect(),
        issuer_http: parts.issuer.http(),
        issuer: parts.config.identity.issuer.clone(),
        public_url: Url::parse(&parts.config.public_url).context("public_url")?,
        session_secret: parts.secrets.derive("sessions of browsers").to_vec(),
        metrics_token: parts.config.server.metrics_token.clone(),
        documents: crate::roles::documents(),
        tasks: parts.tasks.clone(),
    };
    Ok(service(config, deps)?)
}
