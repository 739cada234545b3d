//! Configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

/// Where Keycloak is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Keycloak's address as this process reaches it, without the realm: `https://sso.example.edu`.
    pub server_url: String,
    /// The realm.
    pub realm: String,
    /// The client whose service account may administer people and roles of the realm.
    pub client_id: String,
    /// That client's secret. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub client_secret: String,
    /// The authority (PEM) that signed Keycloak's certificate. None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The longest wait for one answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long to try, at start, while Keycloak does not answer.
    pub open_timeout_seconds: u64,
    /// Requests under way at the same time; more wait for their turn.
    pub max_requests: usize,
    /// The longest wait for the turn to change an account that others change, in milliseconds.
    pub turn_timeout_ms: u64,
    /// How long an account stays closed for changes after one whose end is not known, in seconds. At least six times
    /// the longest wait for an answer, so that nothing of it is still under way then.
    pub turn_seconds: u64,
    /// Passwords are kept elsewhere (a read-only LDAP federation) and cannot be set here.
    pub passwords_read_only: bool,
    /// Login names are kept elsewhere (a read-only LDAP federation) and cannot be changed here.
    pub login_names_read_only: bool,
}

/// A value of the configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigError {
    /// The field, from the section of this directory.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_url: "http://127.0.0.1:8180".into(),
            realm: "riwaq".into(),
            client_id: "riwaq-directory".into(),
            client_secret: String::new(),
            ca_file: None,
            connect_timeout_ms: 2_000,
            request_timeout_ms: 5_000,
            open_timeout_seconds: 60,
            max_requests: 32,
            turn_timeout_ms: 10_000,
            turn_seconds: 30,
            passwords_read_only: false,
            login_names_read_only: false,
        }
    }
}

impl Config {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first field that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let check = |good: bool, field, message: &str| {
            if good {
                Ok(())
            } else {
                Err(ConfigError {
                    field,
                    message: message.to_owned(),
                })
            }
        };
        check_server_url(&self.server_url)?;
        check(
            is_realm_name(&self.realm),
            "realm",
            "1 to 64 of letters, digits, - and _",
        )?;
        check(!self.client_id.is_empty(), "client_id", "is empty")?;
        check(
            !self.client_secret.is_empty(),
            "client_secret",
            "is not set",
        )?;
        check(
            (1..=120_000).contains(&self.connect_timeout_ms),
            "connect_timeout_ms",
            "from 1 to 120000",
        )?;
        check(
            (1..=120_000).contains(&self.request_timeout_ms),
            "request_timeout_ms",
            "from 1 to 120000",
        )?;
        check(
            (1..=4096).contains(&self.max_requests),
            "max_requests",
            "from 1 to 4096",
        )?;
        check(self.turn_timeout_ms > 0, "turn_timeout_ms", "at least 1")?;
        check(
            self.turn_seconds.saturating_mul(1000) >= self.request_timeout_ms.saturating_mul(6),
            "turn_seconds",
            "at least six times request_timeout_ms",
        )
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

pub(crate) fn check_server_url(text: &str) -> Result<(), ConfigError> {
    let refuse = |message: String| {
        Err(ConfigError {
            field: "server_url",
            message,
        })
    };
    match Url::parse(text) {
        Err(error) => refuse(error.to_string()),
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            refuse("is no http or https address".into())
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            refuse("must not hold a user or a password".into())
        }
        Ok(_) => Ok(()),
    }
}

pub(crate) fn is_realm_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Without the secret: configurations end up in logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("server_url", &self.server_url)
            .field("realm", &self.realm)
            .field("client_id", &self.client_id)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Config {
        Config {
            client_secret: "a secret".into(),
            ..Config::default()
        }
    }

    #[test]
    fn nonsense_names_its_field() {
        good().check().unwrap();
        let field = |config: Config| config.check().unwrap_err().field;
        let with = |change: fn(&mut Config)| {
            let mut config = good();
            change(&mut config);
            config
        };
        assert_eq!(field(Config::default()), "client_secret");
        assert_eq!(
            field(with(|c| c.server_url = "ldap://x".into())),
            "server_url"
        );
        assert_eq!(
            field(with(|c| c.server_url = "https://a:b@x".into())),
            "server_url"
        );
        assert_eq!(field(with(|c| c.realm = "../master".into())), "realm");
        assert_eq!(field(with(|c| c.max_requests = 0)), "max_requests");
        assert_eq!(field(with(|c| c.turn_seconds = 29)), "turn_seconds");
    }

    #[test]
    fn the_secret_is_neither_printed_nor_written() {
        let config = good();
        assert!(!format!("{config:?}").contains("a secret"));
        assert!(!serde_json::to_string(&config).unwrap().contains("a secret"));
    }
}
