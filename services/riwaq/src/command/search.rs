//! `riwaq search rebuild`: the index anew from courses and files.

use anyhow::Result;
use riwaq_search::Rebuild;

use super::operator::Operator;
use crate::cli::Search;
use crate::role;

pub(crate) async fn run(command: Search) -> Result<()> {
    let Search::Rebuild { sources } = command;
    let operator = Operator::open(&sources).await?;
    let parts = &operator.host.parts;
    let rebuild = Rebuild::new(&role::search::config(parts)?, &role::search::deps(parts)?)?;
    let done = rebuild.run().await?;
    crate::print(&format!(
        "{} files and {} courses are in the index, {} are not",
        done.files, done.courses, done.failed
    ));
    Ok(())
}
