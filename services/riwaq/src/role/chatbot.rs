//! The role `chatbot`.

use anyhow::Result;
use riwaq_chatbot::{Deps, NAME, service};
use riwaq_kit::{Service, TaskGroup};

use crate::roles::Role;
use crate::wiring::Parts;

pub(crate) const ROLE: Role = Role {
    name: NAME,
    asks: &["auth", "users", "search"],
    needs: &[],
    tables: riwaq_chatbot::tables,
    groups: Vec::new,
    document: riwaq_chatbot::openapi,
    build,
};

fn build(parts: &Parts) -> Result<Service> {
    let deps = Deps {
        clock: parts.clock.clone(),
        store: parts.adapters.store(),
        search: parts.channel(NAME, "search"),
        identity: parts.identity.clone(),
        cursors: parts.cursors(NAME)?,
        tasks: TaskGroup::new(),
    };
    Ok(service(parts.config.chatbot.clone(), deps)?)
}
