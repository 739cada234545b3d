//! Publishing: each message is confirmed by the broker, and sent again until it is.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Confirmation, Connection, ExchangeKind};
use riwaq_clock::SharedClock;
use riwaq_events::{EventsError, Result};
use tokio::sync::{Mutex, Semaphore};

use crate::config::Config;
use crate::fault::{Fault, within};
use crate::link::Link;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::names::Names;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'a> {
    /// To whoever wants this type.
    Kind(&'a str),
    /// To this queue.
    Queue(&'a str),
}

/// Whether any queue took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routed {
    /// At least one has it durably.
    Yes,
    /// There is no such queue, or nobody wants the type.
    No,
}

/// One connection and one channel for all publications, apart from the consumers' connection:
/// a broker short of memory or disk stops reading from connections that publish, and
/// acknowledgements must still get through.
#[derive(Debug)]
pub(crate) struct Publisher {
    config: Arc<Config>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    exchange: ShortString,
    link: Link,
    live: Mutex<Option<Live>>,
    window: Semaphore,
}

#[derive(Debug, Clone)]
struct Live {
    connection: Arc<Connection>,
    channel: Channel,
}

/// How one sending ended without a confirmation.
enum Unconfirmed {
    Fault(Fault),
    /// The broker said that it has not stored it.
    Refused,
    /// The broker takes nothing at the moment.
    Blocked,
}

impl Publisher {
    pub(crate) fn new(
        config: Arc<Config>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        names: &Names,
        link: Link,
    ) -> Self {
        let window = Semaphore::new(config.publish_window);
        Self {
            exchange: names.exchange().into(),
            config,
            clock,
            metrics,
            link,
            live: Mutex::new(None),
            window,
        }
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// Sends until the broker confirms, or [`Config::publish_timeout_ms`] is over.
    ///
    /// # Errors
    /// `Unavailable`: unknown whether the broker has it.
    pub(crate) async fn send(&self, route: Route<'_>, message: &Message) -> Result<Routed> {
        self.send_within(route, message, self.config.publish_timeout())
            .await
    }

    /// As [`Publisher::send`] with a limit of its own.
    pub(crate) async fn send_within(
        &self,
        route: Route<'_>,
        message: &Message,
        limit: Duration,
    ) -> Result<Routed> {
        let deadline = self.clock.monotonic().saturating_add(limit);
        let _place = tokio::time::timeout(limit, self.window.acquire())
            .await
            .map_err(|_| {
                EventsError::Unavailable("too many publications wait for their confirmation".into())
            })?
            .map_err(|_| EventsError::Unavailable("the bus is closed".into()))?;
        self.metrics.unconfirmed.increment(1.0);
        let _counted = Counted(&self.metrics);
        let mut pause = FIRST_PAUSE;
        loop {
            let reason = match self.attempt(route, message, deadline).await {
                Ok(routed) => return Ok(routed),
                Err(Unconfirmed::Fault(fault)) => fault.to_string(),
                Err(Unconfirmed::Refused) => "the broker could not store it".to_owned(),
                Err(Unconfirmed::Blocked) => {
                    "the broker takes no events: it is short of memory or disk".to_owned()
                }
            };
            if self.left(deadline).is_zero() {
                return Err(EventsError::Unavailable(reason));
            }
            tracing::debug!(reason, "publishing again");
            self.metrics.repeated.increment(1);
            self.clock.sleep(pause.min(self.left(deadline))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn left(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.clock.monotonic())
    }

    async fn attempt(
        &self,
        route: Route<'_>,
        message: &Message,
        deadline: Duration,
    ) -> std::result::Result<Routed, Unconfirmed> {
        let left = self.left(deadline);
        let live = match tokio::time::timeout(left, self.live()).await {
            Ok(live) => live.map_err(Unconfirmed::Fault)?,
            Err(_) => return Err(Unconfirmed::Fault(Fault::Late("connect"))),
        };
        // What is written now would lie in the socket and be published once more after our retry.
        if live.connection.status().blocked() {
            return Err(Unconfirmed::Blocked);
        }
        let outcome = self.confirmed(&live, route, message, deadline).await;
        if let Err(Unconfirmed::Fault(_) | Unconfirmed::Blocked) = &outcome {
            self.forget(&live).await;
        }
        outcome
    }

    async fn confirmed(
        &self,
        live: &Live,
        route: Route<'_>,
        message: &Message,
        deadline: Duration,
    ) -> std::result::Result<Routed, Unconfirmed> {
        let (exchange, key) = match route {
            Route::Kind(kind) => (self.exchange.clone(), crate::names::key(kind)),
            Route::Queue(queue) => (ShortString::default(), queue.to_owned()),
        };
        // Without `mandatory` the broker confirms what it throws away just the same.
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let exchange_of = async {
            live.channel
                .basic_publish(
                    exchange,
                    key.into(),
                    options,
                    &message.body,
                    message.properties.clone(),
                )
                .await?
                .await
        };
        tokio::pin!(exchange_of);
        loop {
            let limit = self.config.request_timeout().min(self.left(deadline));
            match tokio::time::timeout(limit, &mut exchange_of).await {
                Ok(Ok(Confirmation::Ack(None))) => return Ok(Routed::Yes),
                Ok(Ok(Confirmation::Ack(Some(_)))) => return Ok(Routed::No),
                Ok(Ok(Confirmation::Nack(_) | Confirmation::NotRequested)) => {
                    return Err(Unconfirmed::Refused);
                }
                Ok(Err(error)) => return Err(Unconfirmed::Fault(error.into())),
                // It is in the broker's socket: to send it again would only double it.
                Err(_) if live.connection.status().blocked() => {
                    if self.left(deadline).is_zero() {
                        return Err(Unconfirmed::Blocked);
                    }
                }
                Err(_) => return Err(Unconfirmed::Fault(Fault::Late("publish"))),
            }
        }
    }

    async fn live(&self) -> std::result::Result<Live, Fault> {
        let mut live = self.live.lock().await;
        if let Some(known) = live.as_ref()
            && known.channel.status().connected()
            && known.connection.status().connected()
        {
            return Ok(known.clone());
        }
        *live = None;
        let connection = self.link.connection().await?;
        match self.open(&connection).await {
            Ok(channel) => {
                let fresh = Live {
                    connection,
                    channel,
                };
                *live = Some(fresh.clone());
                Ok(fresh)
            }
            Err(fault) => {
                self.link.forget(&connection).await;
                Err(fault)
            }
        }
    }

    async fn open(&self, connection: &Connection) -> std::result::Result<Channel, Fault> {
        let limit = self.config.request_timeout();
        let channel = within(limit, "open a channel", connection.create_channel()).await?;
        let confirm = channel.confirm_select(ConfirmSelectOptions::default());
        within(limit, "ask for confirmations", confirm).await?;
        declare_exchange(&channel, &self.exchange, limit).await?;
        Ok(channel)
    }

    async fn forget(&self, broken: &Live) {
        {
            let mut live = self.live.lock().await;
            if live
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(&known.connection, &broken.connection))
            {
                *live = None;
            }
        }
        self.link.forget(&broken.connection).await;
    }
}

/// The exchange is direct: a type is matched as a whole, whatever characters it has.
pub(crate) async fn declare_exchange(
    channel: &Channel,
    exchange: &ShortString,
    limit: Duration,
) -> std::result::Result<(), Fault> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declare = channel.exchange_declare(
        exchange.clone(),
        ExchangeKind::Direct,
        options,
        FieldTable::default(),
    );
    within(limit, "declare the exchange", declare).await
}

struct Counted<'a>(&'a Metrics);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.unconfirmed.decrement(1.0);
    }
}
