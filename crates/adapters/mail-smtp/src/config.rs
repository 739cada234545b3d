//! Which server, and how to speak to it.

use serde::{Deserialize, Serialize};

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Plain, then upgraded before anything is said (RFC 3207); refused if the server cannot.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314), usually on port 465.
    Tls,
    /// None at all: for a server on this machine.
    None,
}

/// A mail server. The password is given apart, so that this can be printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its name; the certificate must be for it.
    pub host: String,
    /// Its port: 587 with STARTTLS, 465 with TLS, 25 between servers.
    pub port: u16,
    /// `starttls`, `tls` or `none`.
    pub encryption: Encryption,
    /// Who signs in; empty: nobody does.
    pub username: String,
    /// How long connecting with sign-in may take, and how long handing over one message, in
    /// seconds.
    pub timeout_seconds: u64,
    /// The most connections at once.
    pub max_connections: u32,
    /// An idle connection is closed after so long, in seconds.
    pub idle_timeout_seconds: u64,
    /// The name that we greet with; empty: this machine's.
    pub hello_name: String,
    /// One more certificate authority in PEM, for a server with a certificate of the school's
    /// own; empty: only the public ones.
    pub ca_certificate_pem: String,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            encryption: Encryption::default(),
            username: String::new(),
            timeout_seconds: 30,
            max_connections: 4,
            idle_timeout_seconds: 60,
            hello_name: String::new(),
            ca_certificate_pem: String::new(),
        }
    }
}

/// Why mail cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SetupError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl SetupError {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

impl SmtpConfig {
    pub(crate) fn validate(&self, password: Option<&str>) -> Result<(), SetupError> {
        if self.host.trim().is_empty() {
            return Err(SetupError::new("host", "must not be empty"));
        }
        if self.port == 0 {
            return Err(SetupError::new("port", "must not be 0"));
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err(SetupError::new("timeout_seconds", "must be 1 to 600"));
        }
        if !(1..=64).contains(&self.max_connections) {
            return Err(SetupError::new("max_connections", "must be 1 to 64"));
        }
        if self.username.is_empty() != password.is_none_or(str::is_empty) {
            return Err(SetupError::new(
                "username",
                "a user name and a password go together",
            ));
        }
        let local = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if self.encryption == Encryption::None && !self.username.is_empty() && !local {
            return Err(SetupError::new(
                "encryption",
                "a password is not sent to another machine in clear",
            ));
        }
        Ok(())
    }
}
