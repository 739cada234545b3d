//! The role `courses`.

use anyhow::Result;
use riwaq_courses::{Deps, NAME, service};
use riwaq_kit::{Service, TaskGroup};

use crate::roles::Role;
use crate::wiring::Parts;

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth", "users"],
    needs: &[],
    tables: riwaq_courses::tables,
    groups: Vec::new,
    document: riwaq_courses::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        events: parts.adapters.events.clone(),
        users: parts.channel(NAME, "users"),
        identity: parts.identity.clone(),
        cursors: parts.cursors(NAME)?,
        tasks: TaskGroup::new(),
    };
    Ok(service(parts.config.courses.clone(), deps)?)
}
