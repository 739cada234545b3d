//! The Helm chart: what is made from it and for it, and whether all of it agrees.
//!
//! Made are the chart's README, the arrows between roles and the manifests in `k8s/`. Checked are the chart by Helm's own
//! lint, every manifest by the strict schemas of Kubernetes, and by rules of this house (`rules`).

mod arrows;
mod dry_run;
mod files;
mod readme;
mod render;
mod rules;
mod schemas;
mod tools;
mod values;

use anyhow::{Result, bail};
use clap::Args;

pub(crate) use dry_run::run as dry_run;
use files::Files;
use tools::Tools;

use crate::backends::{golang, versions};

/// The chart.
pub(crate) const CHART: &str = "charts/riwaq";
/// Servers for a trial of it.
pub(crate) const TRIAL: &str = "charts/riwaq-trial";

/// What to do with the chart.
#[derive(Args)]
pub(crate) struct Options {
    /// Write nothing; fail where what is committed is not what would be written
    #[arg(long)]
    check: bool,
}

/// Makes what is made from the chart, then holds it against its rules.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = Tools::install()?;
    let mut files = Files::new(options.check);
    for chart in [CHART, TRIAL] {
        values::check(chart)?;
    }
    // Before anything is rendered: the network policies come from it.
    files.put(&arrows::file(), &arrows::text()?)?;
    for chart in [CHART, TRIAL] {
        files.put(&readme::file(chart), &readme::text(chart)?)?;
    }
    for (path, text) in render::committed(&tools)? {
        files.put(&path, &text)?;
    }
    files.finish()?;
    verify(&tools)
}

/// Helm, built when it is missing.
pub(crate) fn helm() -> Result<std::path::PathBuf> {
    golang::built("helm", &versions::HELM)
}

/// What CI runs.
pub(crate) fn check() -> Result<()> {
    run(&Options { check: true })
}

fn verify(tools: &Tools) -> Result<()> {
    tools.lint()?;
    let mut findings = render::refusals(tools)?;
    let (mut manifests, arrows) = (0, arrows::read()?);
    let mut tried = Vec::new();
    for variant in render::variants() {
        let rendered = tools.render(&variant)?;
        manifests += rendered.documents.len();
        let found = rules::check(&rendered.documents, &arrows, variant.is_ours());
        findings.extend(
            found
                .into_iter()
                .map(|text| format!("{}: {text}", variant.name)),
        );
        tried.push((variant, rendered));
    }
    tools.validate(&tried)?;
    for finding in &findings {
        println!("chart: {finding}");
    }
    if !findings.is_empty() {
        bail!("the chart breaks {} rules", findings.len());
    }
    println!("chart: {manifests} manifests valid");
    Ok(())
}
