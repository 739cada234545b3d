//! `riwaq doctor`: tries every backend, and prints finding, why and remedy.

use std::borrow::Cow;

use anyhow::{Result, bail};

use crate::cli::{Listen, Sources};
use crate::config::Config;

mod backends;
mod certificates;
mod endpoints;
mod here;
mod listener;
mod reach;
mod skew;

/// What one check found.
pub(super) struct Finding {
    /// What was looked at.
    what: String,
    /// What was found, or what is wrong and why.
    result: Result<String>,
    /// What to do about it.
    remedy: Cow<'static, str>,
}

impl Finding {
    fn new(
        what: impl Into<String>,
        result: Result<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            what: what.into(),
            result,
            remedy: remedy.into(),
        }
    }
}

/// Every check is made, whatever the others found: an operator wants the whole picture at once.
pub(crate) async fn run(sources: &Sources) -> Result<()> {
    let config = Config::load(sources, &Listen::default())?;
    let mut findings = here::findings(&config);
    findings.extend(backends::findings(&config).await);
    findings.extend(listener::findings(&config).await);
    let (endpoints, unreached) = reach::reached(endpoints::all(&config)).await;
    findings.extend(unreached);
    findings.extend(certificates::findings(&endpoints).await);
    findings.extend(skew::findings(&endpoints).await);
    report(&findings)
}

fn report(findings: &[Finding]) -> Result<()> {
    let width = findings
        .iter()
        .map(|finding| finding.what.len())
        .max()
        .unwrap_or_default();
    let mut bad = 0;
    for finding in findings {
        let what = &finding.what;
        match &finding.result {
            Ok(found) => crate::print(&format!("ok      {what:width$}  {found}")),
            Err(error) => {
                bad += 1;
                crate::print(&format!("FAILED  {what:width$}  {error:#}"));
                crate::print(&format!(
                    "        {:width$}  remedy: {}",
                    "", finding.remedy
                ));
            }
        }
    }
    if bad > 0 {
        bail!("{bad} findings need attention");
    }
    Ok(())
}
