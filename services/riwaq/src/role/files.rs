//! The role `files`.

use anyhow::{Context, Result};
use riwaq_files::{Deps, service};
use riwaq_kit::Service;
use url::Url;

use crate::adapters::Need;
use crate::roles::Role;
use crate::wiring::Parts;

const NAME: &str = "files";

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth", "users", "courses"],
    needs: &[Need::Blobs],
    tables: riwaq_files::tables,
    groups: Vec::new,
    document: riwaq_files::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        events: parts.adapters.events.clone(),
        blobs: parts.adapters.blobs()?,
        courses: parts.channel(NAME, "courses"),
        identity: parts.identity.clone(),
        links: parts.link_signer()?,
        cursors: parts.cursors(NAME)?,
        public_url: Url::parse(&parts.config.public_url).context("public_url")?,
    };
    Ok(service(parts.config.files.clone(), deps)?)
}
