//! How the cluster is reached, and what is asked of it.

use std::path::PathBuf;

use riwaq_index::IndexError;
use serde::{Deserialize, Serialize};
use url::Url;

/// Longest prefix, so that every name stays far below OpenSearch's 255 bytes.
const PREFIX_BYTES: usize = 40;

/// Where OpenSearch is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses of nodes, `http://` or `https://`, asked in turn when one does not answer.
    pub urls: Vec<String>,
    /// The user to sign in as (HTTP Basic); empty: no sign-in.
    pub user: String,
    /// The user's password. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub password: String,
    /// A token to sign in with instead of a user (`Authorization: Bearer`); kept apart like the password.
    #[serde(skip)]
    pub bearer_token: String,
    /// The authorities (PEM) that a node's certificate must come from; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// What the names of this installation's indexes begin with: lower-case letters, digits, dash.
    pub prefix: String,
    /// Primary shards of each language's index; for indexes that are made from now on. One holds
    /// about 30 GB.
    pub shards: u32,
    /// Copies beside each primary shard: 1 or more in production.
    pub replicas: u32,
    /// How long to try, at start, while no node answers.
    pub connect_timeout_seconds: u64,
    /// The longest wait for one node to accept a connection.
    pub connection_timeout_ms: u64,
    /// The longest wait for the answer to a question, repetitions on other nodes included.
    pub request_timeout_ms: u64,
    /// The longest wait for one part of a write, and for making or removing an index.
    pub write_timeout_seconds: u64,
    /// Most requests under way at once; more wait.
    pub requests: usize,
    /// How often a request is sent while the cluster is too busy or a node is away.
    pub attempts: usize,
    /// Before the second try; twice as long before each further one, and a random part more.
    pub first_pause_ms: u64,
    /// Most bytes of one bulk request; a single larger document goes alone.
    pub bulk_bytes: usize,
    /// Most documents of one bulk request.
    pub bulk_documents: usize,
    /// Most bytes of an answer.
    pub response_bytes: usize,
    /// Passages of a write that was never finished are removed when a search meets them after this time.
    pub abandoned_after_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            urls: vec!["http://127.0.0.1:9200".into()],
            user: String::new(),
            password: String::new(),
            bearer_token: String::new(),
            ca_file: None,
            prefix: "riwaq".into(),
            shards: 1,
            replicas: 1,
            connect_timeout_seconds: 60,
            connection_timeout_ms: 3_000,
            request_timeout_ms: 5_000,
            write_timeout_seconds: 60,
            requests: 64,
            attempts: 5,
            first_pause_ms: 100,
            bulk_bytes: 5 * 1024 * 1024,
            bulk_documents: 1_000,
            response_bytes: 128 * 1024 * 1024,
            abandoned_after_seconds: 3_600,
        }
    }
}

impl Config {
    /// Checks what can be checked without the cluster; the nodes' addresses.
    pub(crate) fn check(&self) -> Result<Vec<Url>, IndexError> {
        let begins = self.prefix.bytes().next();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !begins.is_some_and(|first| first.is_ascii_lowercase())
            || !self.prefix.bytes().all(plain)
            || self.prefix.len() > PREFIX_BYTES
        {
            return Err(IndexError::invalid(
                "prefix",
                format!(
                    "must be lower-case letters, digits and dash, a letter first, at most {PREFIX_BYTES}"
                ),
            ));
        }
        if !self.user.is_empty() && !self.bearer_token.is_empty() {
            return Err(IndexError::invalid(
                "user",
                "a user and a bearer token cannot both be used",
            ));
        }
        for (field, value) in [
            ("shards", u64::from(self.shards)),
            ("connection_timeout_ms", self.connection_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("write_timeout_seconds", self.write_timeout_seconds),
            ("requests", self.requests as u64),
            ("attempts", self.attempts as u64),
            ("bulk_bytes", self.bulk_bytes as u64),
            ("bulk_documents", self.bulk_documents as u64),
            ("response_bytes", self.response_bytes as u64),
            ("abandoned_after_seconds", self.abandoned_after_seconds),
        ] {
            if value == 0 {
                return Err(IndexError::invalid(field, "must be at least 1"));
            }
        }
        self.nodes()
    }

    fn nodes(&self) -> Result<Vec<Url>, IndexError> {
        let refused = |message: String| IndexError::invalid("urls", message);
        if self.urls.is_empty() {
            return Err(refused("must name at least one node".into()));
        }
        let secret = !self.user.is_empty() || !self.bearer_token.is_empty();
        let mut nodes = Vec::with_capacity(self.urls.len());
        for (place, url) in (1..).zip(&self.urls) {
            let node =
                Url::parse(url).map_err(|error| refused(format!("number {place}: {error}")))?;
            if !node.username().is_empty() || node.password().is_some() {
                return Err(refused(format!(
                    "number {place}: user and password are settings of their own"
                )));
            }
            let secure = match node.scheme() {
                "https" => true,
                "http" => false,
                other => {
                    return Err(refused(format!(
                        "number {place}: {other} is not http or https"
                    )));
                }
            };
            if node.host().is_none() || node.query().is_some() || node.fragment().is_some() {
                return Err(refused(format!(
                    "number {place}: not the address of a node"
                )));
            }
            if secret && !secure && !is_loopback(&node) {
                return Err(refused(format!(
                    "number {place}: a password or token is only sent over https"
                )));
            }
            if self.ca_file.is_some() && !secure {
                return Err(refused(format!("number {place}: ca_file is for https")));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }
}

fn is_loopback(node: &Url) -> bool {
    match node.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Without the secrets: configurations end up in logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("urls", &self.urls)
            .field("user", &self.user)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_field() {
        assert!(Config::default().check().is_ok());
        assert!(refusal(|config| config.urls.clear()).starts_with("urls: "));
        assert!(refusal(|config| config.urls = vec!["ftp://x".into()]).contains("ftp"));
        assert!(refusal(|config| config.prefix = "Riwaq".into()).starts_with("prefix: "));
        assert!(refusal(|config| config.prefix = "-x".into()).starts_with("prefix: "));
        assert!(refusal(|config| config.prefix = "a*".into()).starts_with("prefix: "));
        assert!(refusal(|config| config.shards = 0).starts_with("shards: "));
        assert!(refusal(|config| config.attempts = 0).starts_with("attempts: "));
        let both = refusal(|config| {
            config.user = "riwaq".into();
            config.bearer_token = "x".into();
        });
        assert!(both.starts_with("user: "));
    }

    #[test]
    fn a_secret_is_not_sent_in_the_clear_nor_shown() {
        let message = refusal(|config| {
            config.urls = vec!["http://search.example:9200".into()];
            config.user = "riwaq".into();
            config.password = "geheim".into();
        });
        assert!(message.contains("https"), "{message}");
        let message = refusal(|config| config.urls = vec!["https://riwaq:geheim@x".into()]);
        assert!(!message.contains("geheim"), "{message}");
        let config = Config {
            password: "geheim".into(),
            bearer_token: "geheim".into(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("geheim"));
        assert!(
            !serde_json::to_string(&config)
                .expect("is written")
                .contains("geheim")
        );
    }
}
