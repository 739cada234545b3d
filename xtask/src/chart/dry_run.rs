//! What a real API server says to everything that the chart can be rendered to: `kubectl apply --dry-run=server`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::render::{self, Document};
use super::schemas;
use super::tools::Tools;
use crate::paths;

/// Asks it about every variant and every committed manifest; a warning about a pod of ours is a finding, too.
pub(crate) fn run(kubectl: impl Fn() -> Command) -> Result<()> {
    let tools = Tools::install()?;
    let apply = |file: &Path, extra: &[&str]| {
        let mut kubectl = kubectl();
        kubectl.args(["apply", "--namespace", "riwaq"]).args(extra);
        said(kubectl.arg("--filename").arg(file))
    };
    let here = |path: &str| paths::root().join(path);
    // The kind that Kubernetes itself does not have; its definition is too large for an annotation.
    apply(&schemas::routes()?, &["--server-side"])?;
    apply(&here("k8s/namespace.yaml"), &[])?;
    let folder = paths::target().join(format!("dry-run-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut findings = Vec::new();
    let mut manifests = 0;
    for variant in render::variants() {
        let rendered = tools.render(&variant)?;
        manifests += rendered.documents.len();
        let file = folder.join("manifests.yaml");
        // A pod is refused before its account is there, also where nothing is written.
        for account in &rendered.documents {
            if account.kind() == "ServiceAccount" {
                fs::write(&file, &account.text)?;
                apply(&file, &[])?;
            }
        }
        fs::write(&file, joined(&rendered.documents))?;
        let said = apply(&file, &["--dry-run=server"]).with_context(|| variant.name.clone())?;
        let warnings = said.lines().filter(|line| line.starts_with("Warning:"));
        let ours = warnings.filter(|_| variant.is_ours());
        findings.extend(ours.map(|line| format!("{}: {line}", variant.name)));
    }
    for file in [
        "k8s/all/riwaq.yaml",
        "k8s/roles/1-migrate.yaml",
        "k8s/roles/2-riwaq.yaml",
    ] {
        apply(&here(file), &["--dry-run=server"]).context(file)?;
    }
    fs::remove_dir_all(folder)?;
    if !findings.is_empty() {
        bail!("the API server warns:\n{}", findings.join("\n"));
    }
    println!("chart: a real API server takes all {manifests} manifests");
    Ok(())
}

fn joined(documents: &[Document]) -> String {
    let texts: Vec<&str> = documents.iter().map(|one| one.text.as_str()).collect();
    texts.join("\n---\n")
}

/// What it complained of, though it took it.
fn said(kubectl: &mut Command) -> Result<String> {
    let output = kubectl.output().context("cannot start kubectl")?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{complaint}");
    }
    Ok(complaint)
}
