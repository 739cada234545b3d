//! The port on top of the connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::address::{AddressError, Envelope};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::commands::Noop;
use lettre::transport::smtp::extension::ClientId;
use riwaq_calls::Calls;
use riwaq_clock::SharedClock;
use riwaq_mail::{Address, Mail, MailError, Message, Result, mime};

use crate::config::{Encryption, SetupError, SmtpConfig};
use crate::pool::{Pool, Target};

/// What the metrics call this backend.
const BACKEND: &str = "smtp";
const OUTCOMES: &[&str] = &["ok", "invalid", "temporary", "permanent"];

/// A [`Mail`] over SMTP. Clones share the connections.
#[derive(Clone)]
pub struct SmtpMail {
    pool: Arc<Pool>,
    calls: Arc<Calls>,
    clock: SharedClock,
    server: Arc<str>,
}

impl fmt::Debug for SmtpMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMail")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl SmtpMail {
    /// Mail over this server. Connects only when something is sent.
    ///
    /// # Errors
    /// [`SetupError`] names the setting.
    pub fn new(
        config: &SmtpConfig,
        password: Option<&str>,
        clock: SharedClock,
    ) -> std::result::Result<Self, SetupError> {
        config.validate(password)?;
        let password = password.filter(|password| !password.is_empty());
        let target = Target {
            host: config.host.clone(),
            port: config.port,
            encryption: config.encryption,
            tls: tls(config)?,
            credentials: password
                .map(|password| Credentials::new(config.username.clone(), password.to_owned())),
            hello: hello(config),
            timeout: Duration::from_secs(config.timeout_seconds),
        };
        let idle_timeout = Duration::from_secs(config.idle_timeout_seconds);
        let max_connections = usize::try_from(config.max_connections).unwrap_or(1);
        let pool = Arc::new(Pool::new(
            target,
            Arc::clone(&clock),
            idle_timeout,
            max_connections,
        ));
        Ok(Self {
            pool,
            calls: Arc::new(Calls::new(BACKEND, OUTCOMES, Arc::clone(&clock))),
            clock,
            server: format!("{}:{}", config.host, config.port).into(),
        })
    }
}

fn hello(config: &SmtpConfig) -> ClientId {
    if config.hello_name.is_empty() {
        ClientId::default()
    } else {
        ClientId::Domain(config.hello_name.clone())
    }
}

fn tls(config: &SmtpConfig) -> std::result::Result<Option<TlsParameters>, SetupError> {
    if config.encryption == Encryption::None {
        return Ok(None);
    }
    let mut parameters = TlsParameters::builder(config.host.clone());
    if !config.ca_certificate_pem.is_empty() {
        let certificate = Certificate::from_pem(config.ca_certificate_pem.as_bytes())
            .map_err(|error| SetupError::new("ca_certificate_pem", error.to_string()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = parameters
        .build()
        .map_err(|error| SetupError::new("ca_certificate_pem", error.to_string()))?;
    Ok(Some(parameters))
}

#[async_trait]
impl Mail for SmtpMail {
    async fn send(&self, message: &Message) -> Result<()> {
        let sending = self.send_one(message);
        self.calls.of("send", sending, outcome).await
    }

    async fn ping(&self) -> Result<()> {
        self.calls.of("ping", self.try_command(), outcome).await
    }
}

impl SmtpMail {
    async fn send_one(&self, message: &Message) -> Result<()> {
        message.validate()?;
        let (from, to) = (
            address("from", &message.from.address)?,
            address("to", &message.to.address)?,
        );
        let envelope = Envelope::new(Some(from), vec![to]).map_err(|error| MailError::Invalid {
            field: "to",
            message: error.to_string(),
        })?;
        let bytes = mime::encode(message, self.clock.now());
        let mut lent = self.pool.lend().await?;
        lent.exchange(async |connection| connection.send(&envelope, &bytes).await)
            .await?;
        lent.give_back();
        Ok(())
    }

    async fn try_command(&self) -> Result<()> {
        let mut lent = self.pool.lend().await?;
        lent.exchange(async |connection| connection.command(Noop).await)
            .await?;
        lent.give_back();
        Ok(())
    }
}

/// What the metrics call it.
fn outcome(result: &Result<()>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(MailError::Invalid { .. }) => "invalid",
        Err(MailError::Temporary { .. }) => "temporary",
        Err(MailError::Permanent { .. }) => "permanent",
    }
}

/// The port's addresses are stricter than lettre's: this fails only if that ever changes.
fn address(field: &'static str, address: &Address) -> Result<lettre::Address> {
    let parsed = address.as_str().parse();
    parsed.map_err(|error: AddressError| MailError::Invalid {
        field,
        message: error.to_string(),
    })
}
