//! `riwaq migrate`: the records' schema.

use anyhow::Result;

use crate::adapters;
use crate::cli::{Listen, Sources};
use crate::config::Config;
use crate::{host, roles};

pub(crate) async fn run(sources: &Sources) -> Result<()> {
    let config = Config::load(sources, &Listen::default())?;
    let records = adapters::records(&config, &host::clock()).await?;
    let report = records.migrate(&roles::migration_plan()?).await?;
    if report.from == report.to {
        crate::print(&format!("the records are at schema {} already", report.to));
    } else {
        crate::print(&format!(
            "the records went from schema {} to {}",
            report.from, report.to
        ));
    }
    Ok(())
}
