//! The part of each real backend that is one installation's: nobody else's is touched, and it is removed as a whole.

use std::pin::Pin;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use riwaq_test_kit::{Backend, Client};
use serde_json::json;
use uuid::Uuid;

use crate::NotRun;
use crate::scenario::variable;

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

/// A keyspace, a bucket, a virtual host and a prefix of indices, all called [`Self::tag`]. The program makes them, but for
/// the virtual host.
#[derive(Debug)]
pub struct Share {
    tag: String,
    cassandra: Vec<String>,
    s3: Url,
    rabbitmq: Url,
    rabbitmq_management: Url,
    opensearch: Url,
}

impl Share {
    /// One on the servers that run, with the records on these nodes.
    ///
    /// # Errors
    /// [`NotRun`] where a server is missing; when RabbitMQ does not make the virtual host.
    pub async fn make(cassandra: &Backend<String>) -> Result<Self> {
        let cassandra = wanted(cassandra.clone())?;
        let management = variable("RIWAQ_TEST_RABBITMQ_MANAGEMENT");
        let tag = Uuid::new_v4().simple().to_string();
        let share = Self {
            tag: format!("it{}", &tag[..12]),
            cassandra: cassandra.split(',').map(str::to_owned).collect(),
            s3: Url::parse(&wanted(riwaq_test_kit::s3())?)?,
            rabbitmq: Url::parse(&wanted(riwaq_test_kit::rabbitmq())?)?,
            rabbitmq_management: Url::parse(
                &management.context("RIWAQ_TEST_RABBITMQ_MANAGEMENT is not set")?,
            )?,
            opensearch: Url::parse(&wanted(riwaq_test_kit::opensearch())?)?,
        };
        share.make_virtual_host().await?;
        Ok(share)
    }

    /// What each part is called.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Cassandra's nodes, `host:port`.
    #[must_use]
    pub fn cassandra(&self) -> &[String] {
        &self.cassandra
    }

    /// The object storage, with keys.
    #[must_use]
    pub fn s3(&self) -> &Url {
        &self.s3
    }

    /// The broker, with a user.
    #[must_use]
    pub fn rabbitmq(&self) -> &Url {
        &self.rabbitmq
    }

    /// The index.
    #[must_use]
    pub fn opensearch(&self) -> &Url {
        &self.opensearch
    }

    /// Removes everything that the installation wrote.
    ///
    /// # Errors
    /// When something cannot be removed; the rest is.
    pub async fn remove(&self, remover: Remover) -> Result<()> {
        let leftovers = Leftovers {
            cassandra: self.cassandra.clone(),
            keyspace: self.tag.clone(),
            s3: self.s3.clone(),
            bucket: self.tag.clone(),
        };
        let removed = [
            remover(leftovers).await,
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

pub(super) fn wanted(backend: Backend<String>) -> Result<String> {
    match backend {
        Backend::Ready(address) => Ok(address),
        Backend::NotRun => Err(NotRun.into()),
    }
}

/// Host and port.
pub(super) fn server(url: &Url) -> Result<String> {
    let host = url.host_str().context("no host")?;
    let port = url.port_or_known_default().or(match url.scheme() {
        "amqp" => Some(5672),
        _ => None,
    });
    Ok(format!("{host}:{}", port.context("no port")?))
}
