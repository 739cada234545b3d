//! A replica that hears everything while it lives.
//!
//! Its queue carries a name that the replica chose, and outlives the connection by
//! [`crate::Config::broadcast_expiry_seconds`]: what is published during a reconnect is heard. When
//! the queue did not survive, or overflowed, the replica is told that it missed something.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, message::Delivery as Received};
use riwaq_events::dispatch::{BroadcastConsumer, Inbox};
use riwaq_events::{Consumer, Delivery, Result};
use tokio::sync::Notify;

use crate::bus::Bus;
use crate::fault::{Fault, within};
use crate::message::decode;
use crate::topology::{REPLICA_BACKLOG, found};

const WINDOW: u16 = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The receiving end of a broadcast subscription.
#[derive(Debug)]
pub(crate) struct Replica {
    inner: BroadcastConsumer,
    gone: Arc<Notify>,
}

impl Replica {
    pub(crate) async fn listen(
        bus: &Arc<Bus>,
        replica: String,
        kinds: Vec<String>,
    ) -> Result<Self> {
        let (clock, retry) = (Arc::clone(&bus.clock), bus.config.retry.clone());
        let inbox = Arc::new(Inbox::new(replica.clone(), kinds.clone(), clock, retry));
        let gone = Arc::new(Notify::new());
        let mut pump = Pump {
            bus: Arc::clone(bus),
            queue: bus.topology.names.replica(&replica, uuid::Uuid::new_v4()),
            replica,
            kinds,
            inbox: Arc::clone(&inbox),
            gone: Arc::clone(&gone),
        };
        let open = pump.open().await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with its consumer, which cannot wait when it is dropped"
        )]
        tokio::spawn(pump.run(open));
        Ok(Self {
            inner: BroadcastConsumer::new(inbox),
            gone,
        })
    }
}

#[async_trait]
impl Consumer for Replica {
    async fn next(&mut self) -> Result<Delivery> {
        self.inner.next().await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}

/// Moves what arrives into the inbox, which drops the oldest when nobody reads it.
struct Pump {
    bus: Arc<Bus>,
    replica: String,
    kinds: Vec<String>,
    queue: String,
    inbox: Arc<Inbox>,
    gone: Arc<Notify>,
}

struct Open {
    channel: Channel,
    deliveries: lapin::Consumer,
}

impl Pump {
    async fn run(mut self, mut open: Open) {
        let gone = Arc::clone(&self.gone);
        loop {
            let reason = tokio::select! {
                () = gone.notified() => return self.close(&open.channel).await,
                reason = self.receive(&mut open) => reason,
            };
            tracing::warn!(
                reason,
                replica = self.replica,
                "a broadcast subscription broke"
            );
            let mut pause = FIRST_PAUSE;
            open = loop {
                tokio::select! {
                    () = gone.notified() => return,
                    () = self.bus.clock.sleep(pause) => {}
                }
                match self.reopen().await {
                    Ok(open) => break open,
                    Err(fault) => tracing::debug!(%fault, "no broadcast subscription yet"),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            };
        }
    }

    /// Until the subscription breaks.
    async fn receive(&self, open: &mut Open) -> String {
        loop {
            match open.deliveries.next().await {
                Some(Ok(delivery)) => self.accept(&open.channel, delivery).await,
                Some(Err(error)) => return error.to_string(),
                None => return "the broker ended the subscription".to_owned(),
            }
        }
    }

    async fn accept(&self, channel: &Channel, delivery: Received) {
        match decode(&delivery.properties, &delivery.data) {
            Ok(incoming) => self.inbox.push(Arc::new(incoming.event)),
            Err(error) => {
                self.bus.metrics.unreadable.increment(1);
                tracing::error!(%error, replica = self.replica, "a broadcast message is no event");
            }
        }
        let ack = channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default());
        // A failure shows in the stream of deliveries.
        drop(ack.now_or_never());
    }

    /// Declares the queue, with the same name if it is there or can be, and subscribes to it.
    async fn open(&mut self) -> std::result::Result<Open, Fault> {
        let limit = self.bus.config.request_timeout();
        let channel = self.bus.consuming.channel().await?;
        let topology = &self.bus.topology;
        topology
            .declare_replica(&channel, &self.queue, &self.kinds)
            .await?;
        let qos = channel.basic_qos(WINDOW, BasicQosOptions::default());
        within(limit, "set the prefetch", qos).await?;
        let consume = channel.basic_consume(
            self.queue.as_str().into(),
            "riwaq".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let deliveries = within(limit, "consume", consume).await?;
        Ok(Open {
            channel,
            deliveries,
        })
    }

    async fn reopen(&mut self) -> std::result::Result<Open, Fault> {
        let waiting = {
            let channel = self.bus.consuming.channel().await?;
            found(self.bus.topology.count(&channel, &self.queue).await)?
        };
        if waiting.is_none() {
            // Expired, or on a node that is down and keeps the name.
            let unique = uuid::Uuid::new_v4();
            self.queue = self.bus.topology.names.replica(&self.replica, unique);
        }
        let open = self.open().await?;
        if waiting.is_none_or(|waiting| waiting >= u64::from(REPLICA_BACKLOG)) {
            self.inbox.miss(1);
        }
        Ok(open)
    }

    /// The queue would go by itself; sooner is tidier.
    async fn close(&self, channel: &Channel) {
        if let Err(fault) = self.bus.topology.delete(channel, &self.queue).await {
            tracing::debug!(%fault, queue = self.queue, "left to expire");
        }
    }
}
