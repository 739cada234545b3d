//! What an installation is given on each real backend, the lines to it, and how it is removed.

use std::fmt::Write as _;
use std::pin::Pin;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use riwaq_test_kit::{Backend, Client};
use serde_json::json;
use uuid::Uuid;

use super::keycloak::Keycloak;
use super::line::Line;
use crate::NotRun;
use crate::scenario::variable;

/// The role of the test cluster, and its password.
const CASSANDRA_USER: &str = "cassandra";

/// What drivers are needed for to remove.
#[derive(Debug, Clone)]
pub struct Leftovers {
    /// Cassandra's nodes, `host:port`.
    pub cassandra: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// The object storage, with keys: `http://access:secret@host:port`.
    pub s3: Url,
    /// The bucket.
    pub bucket: String,
}

/// Removes what drivers are needed for.
pub type Remover = fn(Leftovers) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The real backends, each with a part that is this installation's, and the lines to them.
#[derive(Debug)]
pub struct Backends {
    tag: String,
    cassandra: Vec<String>,
    s3: Url,
    rabbitmq: Url,
    rabbitmq_management: Url,
    opensearch: Url,
    keycloak: Keycloak,
    lines: Vec<Line>,
}

impl Backends {
    /// Finds all of them, and makes an installation's part where that is not the program's own work.
    ///
    /// # Errors
    /// [`NotRun`] where one is missing; when one does not answer.
    pub(crate) async fn find() -> Result<Self> {
        let cassandra = wanted(riwaq_test_kit::cassandra_cluster())?;
        let s3 = Url::parse(&wanted(riwaq_test_kit::s3())?)?;
        let rabbitmq = Url::parse(&wanted(riwaq_test_kit::rabbitmq())?)?;
        let opensearch = Url::parse(&wanted(riwaq_test_kit::opensearch())?)?;
        let keycloak = Url::parse(&wanted(riwaq_test_kit::keycloak())?)?;
        let management = variable("RIWAQ_TEST_RABBITMQ_MANAGEMENT")
            .context("RIWAQ_TEST_RABBITMQ_MANAGEMENT is not set, and RIWAQ_TEST_RABBITMQ is")?;
        let cassandra: Vec<String> = cassandra.split(',').map(str::to_owned).collect();
        let nodes: Vec<&str> = cassandra.iter().map(String::as_str).collect();
        let lines = vec![
            Line::new("cassandra", &nodes, 10).await?,
            Line::new("rabbitmq", &[&server(&rabbitmq)?], 20).await?,
            Line::new("s3", &[&server(&s3)?], 30).await?,
            Line::new("opensearch", &[&server(&opensearch)?], 40).await?,
            Line::new("keycloak", &[&server(&keycloak)?], 50).await?,
        ];
        let tag = Uuid::new_v4().simple().to_string();
        let tag = format!("it{}", &tag[..12]);
        let backends = Self {
            keycloak: Keycloak::new(&keycloak, &tag)?,
            tag,
            cassandra,
            s3,
            rabbitmq,
            rabbitmq_management: Url::parse(&management)?,
            opensearch,
            lines,
        };
        backends.make_virtual_host().await?;
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
        let tag = &self.tag;
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
            rabbitmq_user = self.rabbitmq.username(),
            s3 = near("s3")?,
            access_key = self.s3.username(),
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
            ("RIWAQ_EVENTS_RABBITMQ_PASSWORD", password(&self.rabbitmq)),
            ("RIWAQ_BLOBS_S3_SECRET_KEY", password(&self.s3)),
        ]
    }

    /// Removes everything that the installation wrote.
    pub(crate) async fn remove(&self, remover: Remover) -> Result<()> {
        let leftovers = Leftovers {
            cassandra: self.cassandra.clone(),
            keyspace: self.tag.clone(),
            s3: self.s3.clone(),
            bucket: self.tag.clone(),
        };
        // All of them, whichever fails.
        let removed = [
            remover(leftovers).await,
            self.keycloak.remove_realm().await,
            self.remove_virtual_host().await,
            self.remove_indices().await,
        ];
        removed.into_iter().collect()
    }

    async fn make_virtual_host(&self) -> Result<()> {
        let tag = &self.tag;
        self.manage(Method::PUT, &format!("/api/vhosts/{tag}"))
            .await?;
        let user = self.rabbitmq.username();
        self.manage(Method::PUT, &format!("/api/permissions/{tag}/{user}"))
            .await
    }

    async fn remove_virtual_host(&self) -> Result<()> {
        self.manage(Method::DELETE, &format!("/api/vhosts/{}", self.tag))
            .await
    }

    async fn manage(&self, method: Method, path: &str) -> Result<()> {
        let url = &self.rabbitmq_management;
        let client = Client::new(&format!("http://{}", server(url)?));
        let body = json!({"configure": ".*", "write": ".*", "read": ".*"});
        let is_permission = path.contains("permissions");
        let request = client
            .request(method, path)
            .basic_auth(url.username(), url.password());
        let request = if is_permission {
            request.json(&body)
        } else {
            request
        };
        let answer = client.send(request).await?;
        ensure!(
            (200..300).contains(&answer.status),
            "RabbitMQ, {path}: {} {}",
            answer.status,
            answer.text()
        );
        Ok(())
    }

    async fn remove_indices(&self) -> Result<()> {
        let client = Client::new(&format!("http://{}", server(&self.opensearch)?));
        let answer = client.delete(&format!("/{}*", self.tag)).await?;
        ensure!(
            answer.status == 200,
            "OpenSearch: {} {}",
            answer.status,
            answer.text()
        );
        Ok(())
    }
}

fn wanted(backend: Backend<String>) -> Result<String> {
    match backend {
        Backend::Ready(address) => Ok(address),
        Backend::NotRun => Err(NotRun.into()),
    }
}

/// Host and port.
fn server(url: &Url) -> Result<String> {
    let host = url.host_str().context("no host")?;
    let port = url.port_or_known_default().or(match url.scheme() {
        "amqp" => Some(5672),
        _ => None,
    });
    Ok(format!("{host}:{}", port.context("no port")?))
}
