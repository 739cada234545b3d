//! The role `users`.

use anyhow::Result;
use riwaq_kit::{Service, TaskGroup};
use riwaq_users::{Deps, NAME, service};

use crate::roles::Role;
use crate::wiring::Parts;

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth"],
    needs: &[],
    tables: riwaq_users::tables,
    groups: riwaq_users::groups,
    document: riwaq_users::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        events: parts.adapters.events.clone(),
        identity: parts.identity.clone(),
        accounts: parts.channel(NAME, "auth"),
        cursors: parts.cursors(NAME)?,
        tasks: TaskGroup::new(),
    };
    Ok(service(parts.config.users.clone(), deps)?)
}
