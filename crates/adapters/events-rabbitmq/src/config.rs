//! How the broker is reached.

use std::path::PathBuf;
use std::time::Duration;

use riwaq_events::{EventsError, Result, RetryPolicy};
use serde::{Deserialize, Serialize};

/// A delivery may be held for 25 minutes at most: the broker itself takes it away after 30
/// (`consumer_timeout`), and ends the channel with it.
const MAX_VISIBILITY_SECONDS: u64 = 1_500;
const MAX_PREFIX_BYTES: usize = 30;

/// Where RabbitMQ is, and the limits of talking to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Nodes of the cluster as `host:port`, tried in turn. Several, so that one may be away.
    pub addresses: Vec<String>,
    /// The virtual host of this installation.
    pub virtual_host: String,
    /// The user to sign in as.
    pub user: String,
    /// The user's password. Not part of what is read and printed: the program keeps its secrets apart.
    #[serde(skip)]
    pub password: String,
    /// Whether to speak TLS (`amqps`). The nodes' certificates must name the hosts of `addresses`.
    pub tls: bool,
    /// Authorities (PEM) that a node's certificate may come from, besides those of the system. Only with `tls`.
    pub ca_file: Option<PathBuf>,
    /// What the names of exchange and queues begin with: lower-case letters, digits, `-`, `_`.
    pub prefix: String,
    /// When failed deliveries come back and when they are given up. One delay queue for each step
    /// of each event type of each group.
    pub retry: RetryPolicy,
    /// How often both sides show that they live; a side that is silent for twice as long is given up.
    pub heartbeat_seconds: u16,
    /// The longest wait for one node to accept a connection.
    pub connection_timeout_ms: u64,
    /// How long to try, at start, while no node answers.
    pub connect_timeout_seconds: u64,
    /// The longest wait for one answer of the broker, a confirmation included.
    pub request_timeout_ms: u64,
    /// How long a publication is tried again, on new connections, before it is reported as unavailable.
    pub publish_timeout_ms: u64,
    /// How long the first event of a type that was wanted and is not any more is tried again, before it is
    /// dropped: a broker that lost a binding is told of it again by the group that subscribes again.
    pub unwanted_grace_ms: u64,
    /// How long whoever declares a group for the first time waits until the broker has written it down. 0 only where it
    /// keeps its metadata in Khepri, which writes before it confirms.
    pub declaration_settle_ms: u64,
    /// The most publications that wait for their confirmation at once; more wait for a place.
    pub publish_window: usize,
    /// The most events of one type that a member of a group holds, in hand or on the way to it.
    pub prefetch: u16,
    /// A member that does not ask for so long gives back what was on the way to it.
    pub linger_ms: u64,
    /// An event that came back so often because its member's connection or process ended, and not
    /// because it was refused, is made a dead letter: it probably kills its consumers. Events that
    /// were only on the way to such a member count as well: much larger than `retry.max_attempts`.
    pub max_redeliveries: u32,
    /// How long a replica's broadcast queue outlives the replica's connection.
    pub broadcast_expiry_seconds: u64,
    /// How long an operator's command waits for another that works on the same dead letters.
    pub operator_timeout_seconds: u64,
    /// The largest frame that is asked for; the broker may ask for less.
    pub frame_max_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: vec!["127.0.0.1:5672".into()],
            virtual_host: "/".into(),
            user: "guest".into(),
            password: String::new(),
            tls: false,
            ca_file: None,
            prefix: "riwaq".into(),
            retry: RetryPolicy::default(),
            heartbeat_seconds: 10,
            connection_timeout_ms: 5_000,
            connect_timeout_seconds: 60,
            request_timeout_ms: 5_000,
            publish_timeout_ms: 15_000,
            unwanted_grace_ms: 10_000,
            declaration_settle_ms: 3_000,
            publish_window: 1_024,
            prefetch: 64,
            linger_ms: 100,
            max_redeliveries: 100,
            broadcast_expiry_seconds: 300,
            operator_timeout_seconds: 30,
            frame_max_bytes: 131_072,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        self.retry.validate()?;
        if self.retry.visibility_timeout_seconds > MAX_VISIBILITY_SECONDS {
            return Err(invalid(
                "visibility_timeout_seconds",
                format!(
                    "must be at most {MAX_VISIBILITY_SECONDS}: the broker takes a delivery away after 30 minutes"
                ),
            ));
        }
        if self.addresses.is_empty() {
            return Err(invalid("addresses", "must name at least one node"));
        }
        for address in &self.addresses {
            split(address)?;
        }
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if self.prefix.is_empty()
            || self.prefix.len() > MAX_PREFIX_BYTES
            || !self.prefix.bytes().all(plain)
        {
            return Err(invalid(
                "prefix",
                format!("must be 1 to {MAX_PREFIX_BYTES} of: lower-case letters, digits, '-', '_'"),
            ));
        }
        if self.ca_file.is_some() && !self.tls {
            return Err(invalid("ca_file", "is of no use without tls"));
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<()> {
        let limits: [(&'static str, u64, u64, u64); 13] = [
            ("heartbeat_seconds", self.heartbeat_seconds.into(), 2, 600),
            (
                "connection_timeout_ms",
                self.connection_timeout_ms,
                1,
                600_000,
            ),
            ("request_timeout_ms", self.request_timeout_ms, 1, 600_000),
            ("publish_timeout_ms", self.publish_timeout_ms, 1, 600_000),
            ("unwanted_grace_ms", self.unwanted_grace_ms, 0, 600_000),
            (
                "declaration_settle_ms",
                self.declaration_settle_ms,
                0,
                60_000,
            ),
            ("publish_window", count(self.publish_window), 1, 65_535),
            ("prefetch", self.prefetch.into(), 1, 10_000),
            ("linger_ms", self.linger_ms, 1, 60_000),
            (
                "max_redeliveries",
                self.max_redeliveries.into(),
                1,
                1_000_000,
            ),
            (
                "broadcast_expiry_seconds",
                self.broadcast_expiry_seconds,
                1,
                7 * 24 * 3600,
            ),
            (
                "operator_timeout_seconds",
                self.operator_timeout_seconds,
                1,
                3_600,
            ),
            (
                "frame_max_bytes",
                self.frame_max_bytes.into(),
                8_192,
                16 * 1024 * 1024,
            ),
        ];
        for (field, value, least, most) in limits {
            if value < least || value > most {
                return Err(invalid(field, format!("must be {least} to {most}")));
            }
        }
        Ok(())
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) const fn publish_timeout(&self) -> Duration {
        Duration::from_millis(self.publish_timeout_ms)
    }

    pub(crate) const fn connection_timeout(&self) -> Duration {
        Duration::from_millis(self.connection_timeout_ms)
    }

    pub(crate) const fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

/// Host and port of `host:port` or `[v6]:port`.
pub(crate) fn split(address: &str) -> Result<(String, u16)> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then_some((host.to_owned(), port.parse().ok()?))
    });
    parts.ok_or_else(|| invalid("addresses", format!("{address:?} is not host:port")))
}

pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> EventsError {
    EventsError::InvalidInput {
        field,
        message: message.into(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Without the password: configurations end up in logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("addresses", &self.addresses)
            .field("virtual_host", &self.virtual_host)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_what_cannot_is_refused_by_name() {
        Config::default().check().unwrap();
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            match config.check() {
                Err(EventsError::InvalidInput { field, .. }) => field,
                other => panic!("not refused: {other:?}"),
            }
        };
        assert_eq!(refused(|c| c.addresses.clear()), "addresses");
        assert_eq!(
            refused(|c| c.addresses = vec!["localhost".into()]),
            "addresses"
        );
        assert_eq!(
            refused(|c| c.addresses = vec!["host:99999".into()]),
            "addresses"
        );
        assert_eq!(refused(|c| c.prefix = "a:b".into()), "prefix");
        assert_eq!(refused(|c| c.ca_file = Some("ca.pem".into())), "ca_file");
        assert_eq!(refused(|c| c.prefetch = 0), "prefetch");
        assert_eq!(refused(|c| c.publish_window = 0), "publish_window");
        assert_eq!(refused(|c| c.retry.max_attempts = 0), "max_attempts");
        assert_eq!(
            refused(|c| c.retry.visibility_timeout_seconds = 1_501),
            "visibility_timeout_seconds"
        );
    }

    #[test]
    fn hosts_may_be_addresses_of_version_6() {
        assert_eq!(split("[::1]:5672").unwrap(), ("::1".to_owned(), 5672));
        assert_eq!(
            split("mq.example:5671").unwrap(),
            ("mq.example".to_owned(), 5671)
        );
    }

    #[test]
    fn the_password_is_neither_read_nor_printed() {
        let config = Config {
            password: "s3cret".into(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!serde_json::to_string(&config).unwrap().contains("s3cret"));
        assert!(serde_json::from_str::<Config>(r#"{"password": "x"}"#).is_err());
    }
}
