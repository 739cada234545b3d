//! Helm and kubeconform, built once into the cache.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::render::{Rendered, Variant};
use super::schemas;
use crate::backends::golang;
use crate::backends::versions::{HELM, KUBECONFORM, KUBERNETES};
use crate::{paths, process};

pub(crate) struct Tools {
    helm: PathBuf,
    kubeconform: PathBuf,
    schemas: PathBuf,
}

impl Tools {
    /// Builds what is missing.
    pub(crate) fn install() -> Result<Self> {
        Ok(Self {
            helm: golang::built("helm", &HELM)?,
            kubeconform: golang::built("kubeconform", &KUBECONFORM)?,
            schemas: schemas::install()?,
        })
    }

    /// Helm's own rules, warnings included.
    pub(crate) fn lint(&self) -> Result<()> {
        for variant in super::render::variants() {
            let mut helm = self.helm(&["lint", "--strict", "--quiet"]);
            helm.arg(paths::root().join(variant.chart()))
                .args(variant.flags());
            process::output(&mut helm).with_context(|| format!("lint with {}", variant.name))?;
        }
        Ok(())
    }

    /// What Helm would send to a cluster.
    pub(crate) fn render(&self, variant: &Variant) -> Result<Rendered> {
        let mut helm = self.template(variant);
        Rendered::parse(&process::output(&mut helm)?)
    }

    /// Why Helm would send nothing; an error where it would.
    pub(crate) fn refusal(&self, variant: &Variant) -> Result<Option<String>> {
        let output = self.template(variant).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((!output.status.success()).then_some(said))
    }

    /// Every manifest against the schemas of its kind, with the one that Helm does not make; one without a schema
    /// fails.
    pub(crate) fn validate(&self, tried: &[(Variant, Rendered)]) -> Result<()> {
        let folder = paths::target().join(format!("chart-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        for (variant, rendered) in tried {
            let texts = rendered.documents.iter().map(|one| one.text.as_str());
            let file = folder.join(format!("{}.yaml", variant.name));
            fs::write(file, texts.collect::<Vec<_>>().join("\n---\n"))?;
        }
        let location = format!(
            "{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
            self.schemas.display()
        );
        let mut kubeconform = Command::new(&self.kubeconform);
        kubeconform
            .args(["-strict", "-output", "text", "-schema-location"])
            .arg(location)
            .arg(&folder)
            .arg(paths::root().join("k8s/namespace.yaml"))
            .stdin(Stdio::null());
        let output = kubeconform.output().context("cannot start kubeconform")?;
        fs::remove_dir_all(&folder)?;
        if !output.status.success() {
            bail!(
                "manifests that no API server would take:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn template(&self, variant: &Variant) -> Command {
        let mut helm = self.helm(&["template", variant.release]);
        helm.arg(paths::root().join(variant.chart()))
            .args(variant.flags());
        helm
    }

    fn helm(&self, args: &[&str]) -> Command {
        let mut helm = Command::new(&self.helm);
        helm.args(args)
            .args(["--namespace", "riwaq", "--kube-version"])
            .arg(KUBERNETES.version)
            .stdin(Stdio::null());
        helm
    }
}
