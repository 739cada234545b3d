//! The role `search`.

use anyhow::{Context, Result};
use riwaq_kit::{Service, TaskGroup};
use riwaq_search::{Deps, NAME, service};

use crate::adapters::Need;
use crate::roles::Role;
use crate::wiring::Parts;

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth", "users", "courses", "files"],
    needs: &[Need::Index],
    tables: Vec::new,
    groups: riwaq_search::groups,
    document: riwaq_search::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    Ok(service(&config(parts)?, deps(parts)?)?)
}

/// What the service and its rebuild by command need.
pub(crate) fn deps(parts: &Parts) -> Result<Deps> {
    Ok(Deps {
        clock: parts.clock.clone(),
        index: parts.adapters.index()?,
        events: parts.adapters.events.clone(),
        files: parts.channel(NAME, "files"),
        courses: parts.channel(NAME, "courses"),
        identity: parts.identity.clone(),
        cursor_key: parts.cursors(NAME)?,
        tasks: TaskGroup::new(),
    })
}

/// With this very program as the confined child.
pub(crate) fn config(parts: &Parts) -> Result<riwaq_search::Config> {
    let mut config = parts.config.search.clone();
    if config.extraction.program.as_os_str().is_empty() {
        config.extraction.program = std::env::current_exe().context("this program's own path")?;
    }
    Ok(config)
}
