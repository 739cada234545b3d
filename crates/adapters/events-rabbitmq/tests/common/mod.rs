//! A bus of its own on the shared broker: a prefix that nobody else uses, cleared afterwards.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use riwaq_clock::{SharedClock, SystemClock};
use riwaq_events::conformance::{self, Factory, Fixture};
use riwaq_events::{Events, Group};
use riwaq_events_rabbitmq::{Config, RabbitmqEvents};
use url::Url;

/// A configuration for the server at `amqp[s]://user:password@host:port/vhost`.
pub(crate) fn config(url: &str) -> Config {
    let url = Url::parse(url).unwrap();
    let vhost = url.path().trim_start_matches('/').replace("%2f", "/");
    Config {
        addresses: vec![format!(
            "{}:{}",
            url.host_str().unwrap(),
            url.port().unwrap()
        )],
        virtual_host: if vhost.is_empty() { "/".into() } else { vhost },
        user: url.username().to_owned(),
        password: url.password().unwrap().to_owned(),
        tls: url.scheme() == "amqps",
        prefix: prefix(),
        retry: conformance::policy(),
        // Nobody kills the shared broker.
        declaration_settle_ms: 0,
        ..Config::default()
    }
}

/// Nobody else's.
pub(crate) fn prefix() -> String {
    format!("t-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

/// A bus that a test may open, close and open again.
pub(crate) struct Bus {
    pub(crate) url: String,
    pub(crate) config: Config,
    clock: SharedClock,
    first: Option<RabbitmqEvents>,
    second: Option<RabbitmqEvents>,
}

impl Bus {
    pub(crate) async fn fresh(url: &str) -> Self {
        let config = config(url);
        let mut bus = Self {
            url: url.to_owned(),
            config,
            clock: SystemClock::shared(),
            first: None,
            second: None,
        };
        bus.open().await;
        bus
    }

    pub(crate) async fn handle(&self) -> RabbitmqEvents {
        RabbitmqEvents::connect(self.config.clone(), Arc::clone(&self.clock))
            .await
            .unwrap()
    }

    async fn open(&mut self) {
        self.first = Some(self.handle().await);
        self.second = Some(self.handle().await);
    }
}

#[async_trait]
impl Fixture for Bus {
    async fn events(&self) -> Arc<dyn Events> {
        Arc::new(self.first.clone().unwrap())
    }

    async fn second(&self) -> Arc<dyn Events> {
        Arc::new(self.second.clone().unwrap())
    }

    async fn reopen(&mut self) {
        (self.first, self.second) = (None, None);
        self.open().await;
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn clock(&self) -> SharedClock {
        Arc::clone(&self.clock)
    }

    /// A busy machine.
    fn slack(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// Fresh buses, and what they leave behind.
pub(crate) struct Buses {
    pub(crate) url: String,
    prefixes: std::sync::Mutex<Vec<String>>,
}

impl Buses {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefixes: std::sync::Mutex::default(),
        }
    }

    pub(crate) async fn clear(&self) {
        let prefixes = self.prefixes.lock().unwrap().clone();
        for prefix in prefixes {
            clear(&self.url, &prefix, &groups()).await;
        }
    }
}

#[async_trait]
impl Factory for Buses {
    async fn fresh(&self) -> Box<dyn Fixture> {
        let bus = Bus::fresh(&self.url).await;
        self.prefixes
            .lock()
            .unwrap()
            .push(bus.config.prefix.clone());
        Box::new(bus)
    }
}

/// The groups of the port's suite.
fn groups() -> Vec<Group> {
    let kinds = ["riwaq.test.thing.changed", "riwaq.test.other.changed"];
    vec![
        Group::new("test.group", kinds),
        Group::new("test.other-group", kinds),
        Group::new("odd_Group-1.x", ["riwaq.*.#.';\"é"]),
    ]
}

/// Takes away everything that these groups left under a prefix.
pub(crate) async fn clear(url: &str, prefix: &str, groups: &[Group]) {
    let mut config = config(url);
    prefix.clone_into(&mut config.prefix);
    config.ca_file = None;
    let events = RabbitmqEvents::connect(config, SystemClock::shared())
        .await
        .unwrap();
    for group in groups {
        events.retire_group(group).await.unwrap();
    }
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut queues = vec![format!("{prefix}:unreadable")];
    queues.extend(
        groups
            .iter()
            .map(|group| format!("{prefix}:dead:{}", group.name)),
    );
    for queue in queues {
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    channel
        .exchange_delete(
            format!("{prefix}:events").into(),
            ExchangeDeleteOptions::default(),
        )
        .await
        .unwrap();
    connection.close(200, "OK".into()).await.unwrap();
}
