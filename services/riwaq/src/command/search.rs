//! `riwaq search rebuild`: the index anew from courses and files.

use anyhow::Result;
use riwaq_search::Rebuild;

use super::operator;
use crate::cli::Search;
use crate::config::Config;
use crate::role;
use crate::roles::{PUBLIC, ROLES, Role};

pub(crate) async fn run(command: Search) -> Result<()> {
    let Search::Rebuild { sources } = command;
    let host = operator::build(&sources, here).await?;
    let parts = &host.parts;
    let rebuild = Rebuild::new(&role::search::config(parts)?, &role::search::deps(parts)?)?;
    let done = rebuild.run().await?;
    crate::print(&format!(
        "{} files and {} courses are in the index, {} are not",
        done.files, done.courses, done.failed
    ));
    Ok(())
}

/// Where the other roles are processes of their own they are asked, as search asks them. Otherwise they are all here.
fn here(config: &Config) -> Vec<&'static Role> {
    if config.peers.files.is_empty() {
        ROLES.iter().filter(|role| role.name != PUBLIC).collect()
    } else {
        vec![&role::search::ROLE]
    }
}
