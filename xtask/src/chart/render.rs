//! The chart as Helm renders it, with the values that are tried and those that must be refused.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::tools::Tools;
use super::{CHART, TRIAL};
use crate::paths;

/// One way to install the chart.
pub(crate) struct Variant {
    pub(crate) name: String,
    chart: &'static str,
    pub(crate) release: &'static str,
    /// Files of values, from the root of the repository.
    files: Vec<PathBuf>,
    /// `--set`.
    set: Vec<String>,
}

impl Variant {
    fn new(name: &str, files: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            chart: CHART,
            release: "riwaq",
            files: files.iter().map(PathBuf::from).collect(),
            set: Vec::new(),
        }
    }

    fn with(mut self, set: &str) -> Self {
        self.set.push(set.to_owned());
        self
    }

    /// The chart's folder, from the root of the repository.
    pub(crate) const fn chart(&self) -> &'static str {
        self.chart
    }

    /// Whether what runs is Riwaq, and not a server of somebody else's.
    pub(crate) fn is_ours(&self) -> bool {
        self.chart == CHART
    }

    pub(crate) fn flags(&self) -> Vec<OsString> {
        let files = self.files.iter().flat_map(|file| {
            [
                OsString::from("--values"),
                paths::root().join(file).into_os_string(),
            ]
        });
        let set = self
            .set
            .iter()
            .flat_map(|one| [OsString::from("--set"), OsString::from(one)]);
        files.chain(set).collect()
    }
}

const ALL: &str = "charts/riwaq/examples/all.yaml";
const ROLES: &str = "charts/riwaq/examples/roles.yaml";

/// The ways that are checked. `everything` switches on what the examples leave off.
pub(crate) fn variants() -> Vec<Variant> {
    let mut servers = Variant::new("servers for a trial", &[]);
    servers.chart = TRIAL;
    let mut named = Variant::new("a name that is no label", &[ROLES]);
    named.release = "2025.ent";
    vec![
        servers,
        named,
        Variant::new("trial", &["charts/riwaq/examples/trial.yaml"]),
        Variant::new("the defaults", &[]),
        Variant::new("all", &[ALL]),
        Variant::new("roles", &[ROLES]),
        Variant::new(
            "all, everything",
            &[ALL, "xtask/src/chart/variants/all.yaml"],
        ),
        Variant::new(
            "roles, everything",
            &[ROLES, "xtask/src/chart/variants/roles.yaml"],
        ),
        Variant::new(
            "roles, TLS of its own",
            &[ROLES, "xtask/src/chart/variants/roles-tls.yaml"],
        ),
    ]
}

/// Values that cannot work, and what the message must name.
fn refused() -> Vec<(Variant, &'static str)> {
    let all = || Variant::new("refused", &[ALL]);
    let roles = || Variant::new("refused", &[ROLES]);
    vec![
        (all().with("modes=all"), "modes"),
        (all().with("mode=some"), "mode"),
        (all().with("drain.delaySeconds=five"), "delaySeconds"),
        (all().with("publicUrl=riwaq.school.example"), "publicUrl"),
        (
            all().with("publicUrl=http://riwaq.school.example"),
            "publicUrl",
        ),
        (
            all().with("publicUrl=http://127.0.0.1.example"),
            "publicUrl",
        ),
        (
            all().with("publicUrl=https://school.example/ent"),
            "publicUrl",
        ),
        (
            all().with("publicUrl=https://ENT.school.example"),
            "publicUrl",
        ),
        (
            Variant::new("refused", &[]).with("tls.existingSecret=edge"),
            "publicUrl",
        ),
        (
            all().with("config.records.engine=cassandra"),
            "demo.enabled",
        ),
        (
            all().with("config.directory.engine=keycloak"),
            "demo.enabled",
        ),
        (
            roles()
                .with("config.directory.engine=keycloak")
                .with("tests.accountsSecret=accounts"),
            "tests.accountsSecret",
        ),
        (
            all().with("podLabels.app\\.kubernetes\\.io/name=mine"),
            "podLabels",
        ),
        (all().with("tls.existingSecret=edge"), "tls.existingSecret"),
        (
            Variant::new("refused", &[])
                .with("publicUrl=https://riwaq.school.example")
                .with("tls.existingSecret=edge")
                .with("httpRoute.enabled=true")
                .with("httpRoute.parentRefs[0].name=public"),
            "tls.existingSecret",
        ),
        (
            all().with("service.externalTrafficPolicy=Global"),
            "externalTrafficPolicy",
        ),
        (all().with("config.records_engine=sqlite"), "records_engine"),
        (
            all().with("config.server.drain_seconds=3"),
            "config.server.drain_seconds",
        ),
        (
            roles().with("config.records.cassandra_password=open"),
            "cassandra-password",
        ),
        (
            roles().with("config.gateway.session.client_secret=open"),
            "portal-client-secret",
        ),
        (roles().with("existingSecret="), "existingSecret"),
        (
            roles().with("config.records.engine=sqlite"),
            "config.records.engine",
        ),
        (
            roles().with("config.mail.engine=folder"),
            "config.mail.engine",
        ),
        (
            roles().with("config.mail.engine=null"),
            "config.mail.engine",
        ),
        (roles().with("roles.gateway.replica=2"), "replica"),
        (
            roles().with("httpRoute.enabled=true"),
            "httpRoute.parentRefs",
        ),
    ]
}

/// What is wrong with the chart's refusals.
pub(crate) fn refusals(tools: &Tools) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (variant, named) in refused() {
        match tools.refusal(&variant)? {
            None => findings.push(format!("{:?} is taken", variant.set)),
            Some(said) if said.contains(named) => {}
            Some(said) => findings.push(format!(
                "{:?} is refused without {named}: {said}",
                variant.set
            )),
        }
    }
    Ok(findings)
}

/// One manifest.
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) value: Value,
}

impl Document {
    pub(crate) fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn hook(&self) -> &str {
        self.value["metadata"]["annotations"]["helm.sh/hook"]
            .as_str()
            .unwrap_or_default()
    }
}

/// What came of one variant.
pub(crate) struct Rendered {
    pub(crate) documents: Vec<Document>,
}

impl Rendered {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut documents = Vec::new();
        for part in format!("\n{text}").split("\n---\n") {
            let lines: Vec<&str> = part.lines().map(str::trim_end).collect();
            let text = lines.join("\n").trim_matches('\n').to_owned();
            let value = Value::deserialize(serde_norway::Deserializer::from_str(&text))
                .with_context(|| format!("not YAML:\n{text}"))?;
            if !value.is_null() {
                documents.push(Document { text, value });
            }
        }
        if documents.is_empty() {
            bail!("Helm rendered nothing");
        }
        Ok(Self { documents })
    }
}

/// The manifests for whoever has no Helm, as they are committed. Helm's tests are not among them.
pub(crate) fn committed(tools: &Tools) -> Result<Vec<(PathBuf, String)>> {
    let all = tools.render(&Variant::new("all", &[ALL]))?;
    let roles = tools.render(&Variant::new("roles", &[ROLES]))?;
    let is_first = |one: &&Document| one.hook().starts_with("pre-install");
    let is_plain = |one: &&Document| one.hook().is_empty();
    let k8s = Path::new("k8s");
    Ok(vec![
        (
            k8s.join("all/riwaq.yaml"),
            text(ALL, all.documents.iter().filter(is_plain)),
        ),
        (
            k8s.join("roles/1-migrate.yaml"),
            text(ROLES, roles.documents.iter().filter(is_first)),
        ),
        (
            k8s.join("roles/2-riwaq.yaml"),
            text(ROLES, roles.documents.iter().filter(is_plain)),
        ),
    ])
}

fn text<'a>(values: &str, documents: impl Iterator<Item = &'a Document>) -> String {
    let mut text =
        format!("# Made by `cargo xtask chart` from {CHART} with {values}: change those.\n");
    for document in documents {
        text.push_str("---\n");
        text.push_str(&document.text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_comments_alone_are_none() {
        let text =
            "---\n# Source: a\nkind: A\nmetadata: {name: x}\n---\n# nothing\n---\nkind: B   \n";
        let rendered = Rendered::parse(text).unwrap();
        let kinds: Vec<&str> = rendered.documents.iter().map(Document::kind).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert_eq!(rendered.documents[0].name(), "x");
        assert!(Rendered::parse("---\n# nothing\n").is_err());
    }
}
