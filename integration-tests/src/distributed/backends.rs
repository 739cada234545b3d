//! What an installation is given on each real backend, the lines to it, and how it is removed.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use reqwest::Url;

use super::keycloak::Keycloak;
use super::line::Line;
use super::share::{Remover, Share, server, wanted};

/// The role of the test cluster, and its password.
const CASSANDRA_USER: &str = "cassandra";

/// The real backends, each with a part that is this installation's, and the lines to them.
#[derive(Debug)]
pub struct Backends {
    share: Share,
    keycloak: Keycloak,
    lines: Vec<Line>,
}

impl Backends {
    /// Finds all of them, and makes an installation's part where that is not the program's own work.
    ///
    /// # Errors
    /// [`NotRun`] where one is missing; when one does not answer.
    pub(crate) async fn find() -> Result<Self> {
        let keycloak = Url::parse(&wanted(riwaq_test_kit::keycloak())?)?;
        let share = Share::make(&riwaq_test_kit::cassandra_cluster()).await?;
        let nodes: Vec<&str> = share.cassandra().iter().map(String::as_str).collect();
        let lines = vec![
            Line::new("cassandra", &nodes, 10).await?,
            Line::new("rabbitmq", &[&server(share.rabbitmq())?], 20).await?,
            Line::new("s3", &[&server(share.s3())?], 30).await?,
            Line::new("opensearch", &[&server(share.opensearch())?], 40).await?,
            Line::new("keycloak", &[&server(&keycloak)?], 50).await?,
        ];
        let backends = Self {
            keycloak: Keycloak::new(&keycloak, share.tag())?,
            share,
            lines,
        };
        backends.keycloak.make_realm().await?;
        Ok(backends)
    }

    /// The line to one.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn line(&self, name: &str) -> Result<&Line> {
        let line = self.lines.iter().find(|line| line.name() == name);
        line.with_context(|| format!("no line to {name}"))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.lines.iter().map(Line::name)
    }

    /// The issuer of this installation's tokens, as Keycloak names itself: people do not go over the line.
    pub(crate) fn issuer(&self) -> String {
        self.keycloak.issuer()
    }

    /// Name and password of an administrator of Keycloak, who makes the realm.
    pub(super) fn keycloak_admin(&self) -> (&str, &str) {
        (self.keycloak.admin_user(), self.keycloak.admin_password())
    }

    /// The configuration of every port's adapter (TOML).
    pub(crate) fn settings(&self) -> Result<String> {
        let tag = self.share.tag();
        let mut toml = String::new();
        let nodes: Vec<_> = self.line("cassandra")?.ends().collect();
        let points: Vec<_> = nodes.iter().map(|(_, near)| near.to_string()).collect();
        let map: Vec<_> = nodes
            .iter()
            .map(|(node, near)| format!("\"{}\" = \"{near}\"", node.ip()))
            .collect();
        let near = |name: &str| self.line(name)?.near();
        write!(
            toml,
            r#"
[records]
engine = "cassandra"
[records.cassandra]
contact_points = {points:?}
address_map = {{ {map} }}
user = "{CASSANDRA_USER}"
keyspace = "{tag}"
replication_factor = {copies}
# Nodes and processes share one machine with whatever else is being tested there.
request_timeout_ms = 5000

[events]
engine = "rabbitmq"
[events.rabbitmq]
addresses = ["{rabbitmq}"]
virtual_host = "{tag}"
user = "{rabbitmq_user}"

[blobs]
engine = "s3"
[blobs.s3]
endpoint = "http://{s3}"
bucket = "{tag}"
access_key = "{access_key}"

[index]
engine = "opensearch"
[index.opensearch]
urls = ["http://{opensearch}"]
prefix = "{tag}"

[identity]
issuer = "{issuer}"
internal_url = "http://{keycloak}/realms/{tag}"

[directory]
engine = "keycloak"
[directory.keycloak]
server_url = "http://{keycloak}"
realm = "{tag}"
"#,
            issuer = self.issuer(),
            map = map.join(", "),
            copies = nodes.len(),
            rabbitmq = near("rabbitmq")?,
            rabbitmq_user = self.share.rabbitmq().username(),
            s3 = near("s3")?,
            access_key = self.share.s3().username(),
            opensearch = near("opensearch")?,
            keycloak = near("keycloak")?,
        )?;
        Ok(toml)
    }

    /// The secrets, as variables of the environment.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let password = |url: &Url| url.password().unwrap_or_default().to_owned();
        vec![
            ("RIWAQ_RECORDS_CASSANDRA_PASSWORD", CASSANDRA_USER.into()),
            (
                "RIWAQ_EVENTS_RABBITMQ_PASSWORD",
                password(self.share.rabbitmq()),
            ),
            ("RIWAQ_BLOBS_S3_SECRET_KEY", password(self.share.s3())),
        ]
    }

    /// Removes everything that the installation wrote.
    pub(crate) async fn remove(&self, remover: Remover) -> Result<()> {
        // Both, whichever fails.
        let removed = [
            self.share.remove(remover).await,
            self.keycloak.remove_realm().await,
        ];
        removed.into_iter().collect()
    }
}
