//! One connection that is made again when it is lost.
//!
//! lapin can recover by itself; this crate does without, because its recovery cannot be bounded in
//! time and gives up on what the broker refuses once. Here a connection is never mended: whoever
//! finds it broken has it forgotten, and the next who needs one makes a new one. What lived on the
//! old one (channels, consumers) is made again by its owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};
use riwaq_clock::SharedClock;
use riwaq_events::{EventsError, Result};
use tokio::sync::Mutex;

use crate::config::{Config, invalid, split};
use crate::fault::{Fault, within};

/// How to reach the broker.
#[derive(Clone)]
pub(crate) struct Target {
    uris: Vec<AMQPUri>,
    tls: OwnedTLSConfig,
    config: Arc<Config>,
}

impl Target {
    /// Reads the certificate authority, once.
    pub(crate) fn new(config: Arc<Config>) -> Result<Self> {
        let cert_chain = match &config.ca_file {
            None => None,
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| invalid("ca_file", format!("{}: {error}", path.display())))?,
            ),
        };
        let uris = config
            .addresses
            .iter()
            .map(|address| split(address).map(|(host, port)| uri(&config, host, port)))
            .collect::<Result<_>>()?;
        Ok(Self {
            uris,
            tls: OwnedTLSConfig {
                identity: None,
                cert_chain,
            },
            config,
        })
    }
}

fn uri(config: &Config, host: String, port: u16) -> AMQPUri {
    AMQPUri {
        scheme: if config.tls {
            AMQPScheme::AMQPS
        } else {
            AMQPScheme::AMQP
        },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: config.user.clone(),
                password: config.password.clone(),
            },
            host,
            port,
        },
        vhost: config.virtual_host.clone(),
        query: AMQPQueryString {
            frame_max: Some(config.frame_max_bytes),
            heartbeat: Some(config.heartbeat_seconds),
            ..AMQPQueryString::default()
        },
    }
}

/// A connection for one purpose. See the module's page.
pub(crate) struct Link {
    target: Target,
    /// Shown by the broker's tools.
    name: String,
    current: Mutex<Option<Arc<Connection>>>,
    next_node: AtomicUsize,
    open: metrics::Gauge,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(target: Target, purpose: &str, open: metrics::Gauge) -> Self {
        let name = format!("{} {purpose} {}", target.config.prefix, std::process::id());
        Self {
            target,
            name,
            current: Mutex::new(None),
            next_node: AtomicUsize::new(0),
            open,
        }
    }

    /// The connection; a new one if there is none that works. One caller makes it, the others wait.
    pub(crate) async fn connection(&self) -> std::result::Result<Arc<Connection>, Fault> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref() {
            if connection.status().connected() {
                return Ok(Arc::clone(connection));
            }
            *current = None;
            self.open.decrement(1.0);
        }
        let mut last = Fault::Late("connect");
        for _ in 0..self.target.uris.len() {
            match self.connect().await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *current = Some(Arc::clone(&connection));
                    self.open.increment(1.0);
                    return Ok(connection);
                }
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn connect(&self) -> std::result::Result<Connection, Fault> {
        let at = self.next_node.fetch_add(1, Ordering::Relaxed) % self.target.uris.len();
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let builder = DefaultConnectionBuilder::new()?
            .with_uri(self.target.uris[at].clone())
            .with_properties(properties)
            .with_tls_config(self.target.tls.clone());
        within(
            self.target.config.connection_timeout(),
            "connect",
            builder.connect(),
        )
        .await
    }

    /// A new channel.
    pub(crate) async fn channel(&self) -> std::result::Result<Channel, Fault> {
        let connection = self.connection().await?;
        let limit = self.target.config.request_timeout();
        let channel = within(limit, "open a channel", connection.create_channel()).await;
        if let Err(Fault::Late(_)) = &channel {
            self.forget(&connection).await;
        }
        channel
    }

    /// Gives this connection up: nobody else gets it, and it is closed once its last user lets go.
    pub(crate) async fn forget(&self, broken: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, broken))
        {
            *current = None;
            self.open.decrement(1.0);
        }
    }

    /// Connects, trying again while no node answers.
    pub(crate) async fn first(&self, clock: &SharedClock) -> Result<()> {
        let patience = std::time::Duration::from_secs(self.target.config.connect_timeout_seconds);
        let deadline = clock.monotonic().saturating_add(patience);
        let addresses = self.target.config.addresses.join(", ");
        loop {
            match self.connection().await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.is_final() => {
                    return Err(invalid("rabbitmq", format!("{addresses}: {fault}")));
                }
                Err(fault) if clock.monotonic() >= deadline => {
                    return Err(EventsError::Unavailable(format!("{addresses}: {fault}")));
                }
                Err(fault) => tracing::warn!(%fault, addresses, "RabbitMQ does not answer yet"),
            }
            clock.sleep(std::time::Duration::from_millis(250)).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.current.get_mut().take().is_some() {
            self.open.decrement(1.0);
        }
    }
}
