//! Exchange, queues and bindings: what is declared, and how it is taken away.
//!
//! Every queue that must not lose anything is a quorum queue. A delay queue gives its messages back
//! with the at-least-once strategy: it keeps them until the group's queue has confirmed them
//! (RabbitMQ documentation, "Quorum Queues", "At-least-once dead lettering").

use std::time::Duration;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind, Queue};
use riwaq_events::RetryPolicy;

use crate::fault::{Fault, NOT_FOUND, within};
use crate::link::Link;
use crate::names::{Names, key};
use crate::publisher::declare_exchange;

type Outcome<T> = Result<T, Fault>;

/// RabbitMQ 4 drops a message of a quorum queue that came back 20 times, unless told otherwise.
/// This crate counts itself.
const NEVER: i32 = i32::MAX;
/// What a replica's queue keeps while the replica's connection is away; the oldest go first.
pub(crate) const REPLICA_BACKLOG: u32 = 10_000;

/// Declares what this crate needs, by the names of one installation.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) names: Names,
    /// The steps of the backoff in seconds, each once.
    steps: Vec<u64>,
    limit: Duration,
    broadcast_expiry: Duration,
}

impl Topology {
    pub(crate) fn new(
        names: Names,
        retry: &RetryPolicy,
        limit: Duration,
        broadcast_expiry: Duration,
    ) -> Self {
        let mut steps = retry.backoff_seconds.clone();
        steps.sort_unstable();
        steps.dedup();
        Self {
            names,
            steps,
            limit,
            broadcast_expiry,
        }
    }

    /// The delay queues of a type in a group.
    pub(crate) fn delays(&self, group: &str, kind: &str) -> Vec<String> {
        let name = |step: &u64| self.names.delay(group, kind, *step);
        self.steps.iter().map(name).collect()
    }

    /// The queue of a type in a group, and its delay queues.
    pub(crate) fn queues(&self, group: &str, kind: &str) -> Vec<String> {
        let mut queues = self.delays(group, kind);
        queues.insert(0, self.names.work(group, kind));
        queues
    }

    /// Every queue that a group needs for these types, where it is missing.
    pub(crate) async fn make_queues(
        &self,
        link: &Link,
        group: &str,
        kinds: &[&str],
    ) -> Outcome<()> {
        let mut look = self.look(link);
        look.make(&self.names.dead(group), quorum()).await?;
        for kind in kinds {
            let work = self.names.work(group, kind);
            look.make(&work, quorum()).await?;
            for step in &self.steps {
                let delay = self.names.delay(group, kind, *step);
                look.make(&delay, delay_arguments(&work, *step)).await?;
            }
        }
        Ok(())
    }

    /// Lets events of these types into the group's queues.
    pub(crate) async fn bind_group(
        &self,
        channel: &Channel,
        group: &str,
        kinds: &[&str],
    ) -> Outcome<()> {
        let exchange: ShortString = self.names.exchange().into();
        declare_exchange(channel, &exchange, self.limit).await?;
        for kind in kinds {
            self.bind(channel, &self.names.work(group, kind), kind)
                .await?;
        }
        Ok(())
    }

    /// Notes that the broker has written down what the group has for this type.
    pub(crate) async fn mark(&self, channel: &Channel, group: &str, kind: &str) -> Outcome<()> {
        let mark: ShortString = self.names.settled(group, kind).into();
        declare_exchange(channel, &mark, self.limit).await
    }

    /// Takes the note away. No such note: nothing.
    pub(crate) async fn unmark(&self, channel: &Channel, group: &str, kind: &str) -> Outcome<()> {
        let mark = self.names.settled(group, kind);
        let delete = channel.exchange_delete(mark.into(), ExchangeDeleteOptions::default());
        within(self.limit, "delete an exchange", delete).await
    }

    /// A queue for messages that are no events.
    pub(crate) async fn declare_unreadable(&self, channel: &Channel) -> Outcome<()> {
        self.declare(channel, &self.names.unreadable(), quorum())
            .await
            .map(drop)
    }

    /// A replica's queue. Durable, because RabbitMQ 4 deprecates queues that are neither durable nor
    /// exclusive, and an exclusive one does not outlive its connection; classic, because a replica
    /// that lost its node's queue reloads its state anyway.
    pub(crate) async fn declare_replica(
        &self,
        channel: &Channel,
        queue: &str,
        kinds: &[String],
    ) -> Outcome<()> {
        let exchange: ShortString = self.names.exchange().into();
        declare_exchange(channel, &exchange, self.limit).await?;
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("classic".into()),
        );
        arguments.insert("x-expires".into(), milliseconds(self.broadcast_expiry));
        arguments.insert(
            "x-max-length".into(),
            AMQPValue::LongLongInt(REPLICA_BACKLOG.into()),
        );
        arguments.insert(
            "x-overflow".into(),
            AMQPValue::LongString("drop-head".into()),
        );
        self.declare(channel, queue, arguments).await?;
        for kind in kinds {
            self.bind(channel, queue, kind).await?;
        }
        Ok(())
    }

    async fn declare(
        &self,
        channel: &Channel,
        queue: &str,
        arguments: FieldTable,
    ) -> Outcome<Queue> {
        let declare =
            channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
        within(self.limit, "declare a queue", declare).await
    }

    async fn bind(&self, channel: &Channel, queue: &str, kind: &str) -> Outcome<()> {
        let bind = channel.queue_bind(
            queue.into(),
            self.names.exchange().into(),
            key(kind).into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        within(self.limit, "bind a queue", bind).await
    }

    pub(crate) async fn unbind(&self, channel: &Channel, queue: &str, kind: &str) -> Outcome<()> {
        let unbind = channel.queue_unbind(
            queue.into(),
            self.names.exchange().into(),
            key(kind).into(),
            FieldTable::default(),
        );
        within(self.limit, "unbind a queue", unbind).await
    }

    /// Deletes a queue; returns how many messages waited in it. No such queue: none.
    pub(crate) async fn delete(&self, channel: &Channel, queue: &str) -> Outcome<u64> {
        let delete = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        within(self.limit, "delete a queue", delete)
            .await
            .map(u64::from)
    }

    /// A look at one queue; none if there is no such queue.
    pub(crate) async fn waiting(&self, link: &Link, queue: &str) -> Outcome<Option<u64>> {
        self.look(link).at(queue).await
    }

    /// For looking at several queues.
    pub(crate) const fn look<'a>(&'a self, link: &'a Link) -> Look<'a> {
        Look {
            topology: self,
            link,
            channel: None,
        }
    }

    /// How many messages wait in a queue that exists; otherwise the channel is lost.
    pub(crate) async fn count(&self, channel: &Channel, queue: &str) -> Outcome<u64> {
        let options = QueueDeclareOptions::durable().passive();
        let look = channel.queue_declare(queue.into(), options, FieldTable::default());
        let found = within(self.limit, "look at a queue", look).await?;
        Ok(found.message_count().into())
    }
}

/// Looks at queues and exchanges, on one channel as long as they are there: the broker closes
/// the channel of whoever asks for another.
pub(crate) struct Look<'a> {
    topology: &'a Topology,
    link: &'a Link,
    channel: Option<Channel>,
}

impl Look<'_> {
    /// Makes a queue where it is missing.
    async fn make(&mut self, queue: &str, arguments: FieldTable) -> Outcome<()> {
        if self.at(queue).await?.is_some() {
            return Ok(());
        }
        let channel = self.link.channel().await?;
        self.topology.declare(&channel, queue, arguments).await?;
        self.channel = Some(channel);
        Ok(())
    }

    /// Whether what a group has for this type was noted as written down.
    pub(crate) async fn is_marked(&mut self, group: &str, kind: &str) -> Outcome<bool> {
        let channel = self.channel().await?;
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let mark = self.topology.names.settled(group, kind);
        let direct = ExchangeKind::Direct;
        let look = channel.exchange_declare(mark.into(), direct, options, FieldTable::default());
        let found = found(within(self.topology.limit, "look at an exchange", look).await)?;
        if found.is_some() {
            self.channel = Some(channel);
        }
        Ok(found.is_some())
    }

    /// How many messages wait in a queue; none if there is no such queue.
    pub(crate) async fn at(&mut self, queue: &str) -> Outcome<Option<u64>> {
        let channel = self.channel().await?;
        let count = found(self.topology.count(&channel, queue).await)?;
        if count.is_some() {
            self.channel = Some(channel);
        }
        Ok(count)
    }

    async fn channel(&mut self) -> Outcome<Channel> {
        match self.channel.take() {
            Some(channel) => Ok(channel),
            None => self.link.channel().await,
        }
    }
}

/// Turns "no such queue" into none.
pub(crate) fn found<T>(outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.code() == Some(NOT_FOUND) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(NEVER));
    arguments
}

/// The message is routed by the default exchange straight into the group's queue. `reject-publish` is
/// what the at-least-once strategy asks for; without a length limit it never rejects.
fn delay_arguments(work: &str, seconds: u64) -> FieldTable {
    let mut arguments = quorum();
    let text = |value: &str| AMQPValue::LongString(value.into());
    arguments.insert(
        "x-message-ttl".into(),
        milliseconds(Duration::from_secs(seconds)),
    );
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(work));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn milliseconds(duration: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
