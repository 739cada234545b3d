//! The port on top of the parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use riwaq_events::{
    CloudEvent, Consumer, DeadLetterPage, Events, EventsError, Group, GroupDepth, Result,
    Subscription,
};

use crate::broadcast::Replica;
use crate::bus::Bus;
use crate::config::Config;
use crate::member::Member;
use crate::message::encode;
use crate::publisher::Route;

/// An [`Events`] in a virtual host of RabbitMQ. Clones are handles on the same connections.
///
/// [`Events::depths`] knows the groups that this handle declared or subscribed to, and counts what
/// other processes were sent but have not acknowledged nowhere: AMQP does not tell.
#[derive(Debug, Clone)]
pub struct RabbitmqEvents {
    bus: Arc<Bus>,
}

impl RabbitmqEvents {
    /// Connects, trying again while no node answers.
    ///
    /// # Errors
    /// `InvalidInput` for a configuration that cannot work, a refused user, an unknown virtual host and
    /// an untrusted certificate among it; `Unavailable` when no node answered in
    /// [`Config::connect_timeout_seconds`].
    pub async fn connect(config: Config, clock: SharedClock) -> Result<Self> {
        let bus = Bus::new(config, Arc::clone(&clock))?;
        bus.publisher.link().first(&clock).await?;
        bus.consuming.first(&clock).await?;
        Ok(Self { bus: Arc::new(bus) })
    }

    async fn depth(&self, group: String, kinds: BTreeSet<String>) -> Result<Option<GroupDepth>> {
        let topology = &self.bus.topology;
        let mut look = topology.look(&self.bus.consuming);
        let mut depth = GroupDepth {
            dead: 0,
            ready: 0,
            delayed: 0,
            in_flight: 0,
            group,
        };
        let Some(dead) = look.at(&topology.names.dead(&depth.group)).await? else {
            return Ok(None);
        };
        depth.dead = dead;
        for kind in kinds {
            let work = topology.names.work(&depth.group, &kind);
            let Some(ready) = look.at(&work).await? else {
                continue;
            };
            depth.ready += ready;
            for delay in topology.delays(&depth.group, &kind) {
                depth.delayed += look.at(&delay).await?.unwrap_or(0);
            }
        }
        for member in self.bus.members(&depth.group) {
            let (here, held) = member.counts();
            depth.ready += wide(here);
            depth.in_flight += wide(held);
        }
        depth.in_flight += wide(self.bus.unsettled_in(&depth.group));
        Ok(Some(depth))
    }

    async fn retire(&self, group: &Group) -> Result<u64> {
        let bus = &self.bus;
        let topology = &bus.topology;
        let mut gone = 0;
        let channel = bus.consuming.channel().await?;
        for kind in &group.types {
            // First nothing more comes in, then nothing is handed out, then it goes.
            let work = topology.names.work(&group.name, kind);
            bus.wanted.remove(kind);
            topology.unmark(&channel, &group.name, kind).await?;
            topology.unbind(&channel, &work, kind).await?;
            for member in bus.members(&group.name) {
                gone += wide(member.retire(kind));
            }
            bus.settled().await?;
            gone += topology.delete(&channel, &work).await?;
            for delay in topology.delays(&group.name, kind) {
                gone += topology.delete(&channel, &delay).await?;
            }
        }
        let retired = |_: &str, event: &CloudEvent| group.types.contains(&event.kind);
        gone += bus.discard(&group.name, retired).await?;
        bus.forget(group);
        Ok(gone)
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        Ok(match subscription {
            Subscription::Group(group) => Box::new(Member::join(&self.bus, group).await?),
            Subscription::Broadcast { replica, types } => {
                Box::new(Replica::listen(&self.bus, replica, types).await?)
            }
        })
    }
}

#[async_trait]
impl Events for RabbitmqEvents {
    async fn declare_group(&self, group: &Group) -> Result<()> {
        self.declare_groups(std::slice::from_ref(group)).await
    }

    async fn declare_groups(&self, groups: &[Group]) -> Result<()> {
        groups.iter().try_for_each(Group::validate)?;
        let metrics = &self.bus.metrics;
        metrics.of("declare", self.bus.declare(groups)).await
    }

    async fn retire_group(&self, group: &Group) -> Result<u64> {
        group.validate()?;
        let metrics = &self.bus.metrics;
        metrics.of("retire", self.retire(group)).await
    }

    async fn publish(&self, event: CloudEvent) -> Result<()> {
        let publish = async {
            let message = encode(&event, 0, None)?;
            self.bus.publish(&event.kind, &message).await
        };
        self.bus.metrics.of("publish", publish).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.validate()?;
        let metrics = &self.bus.metrics;
        metrics.of("subscribe", self.join(subscription)).await
    }

    async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        check_group(group)?;
        let list = self.bus.dead_letters(group, after, limit);
        self.bus.metrics.of("dead_letters", list).await
    }

    async fn replay(&self, group: &str, id: &str) -> Result<()> {
        check_group(group)?;
        let replay = async { one(self.bus.replay(group, Some(id)).await?, group, id) };
        self.bus.metrics.of("replay", replay).await
    }

    async fn replay_all(&self, group: &str) -> Result<u64> {
        check_group(group)?;
        let replay = self.bus.replay(group, None);
        self.bus.metrics.of("replay", replay).await
    }

    async fn discard(&self, group: &str, id: &str) -> Result<()> {
        check_group(group)?;
        let discard = async {
            let gone = self.bus.discard(group, |found, _| found == id).await?;
            one(gone, group, id)
        };
        self.bus.metrics.of("discard", discard).await
    }

    async fn depths(&self) -> Result<Vec<GroupDepth>> {
        let all = async {
            let mut depths = Vec::new();
            for (group, kinds) in self.bus.groups() {
                depths.extend(self.depth(group, kinds).await?);
            }
            Ok(depths)
        };
        self.bus.metrics.of("depths", all).await
    }

    /// Publishes something to a queue that is not there and waits for the confirmation: a broker that is short of
    /// memory or disk answers everything else.
    async fn ping(&self) -> Result<()> {
        let ping = async {
            let event = CloudEvent::new("ping", "/riwaq", "ping", self.bus.clock.now());
            let message = encode(&event, 0, None)?;
            let nobody = self.bus.topology.names.ping();
            let (route, limit) = (Route::Queue(&nobody), self.bus.config.request_timeout());
            self.bus
                .publisher
                .send_within(route, &message, limit)
                .await?;
            self.bus.consuming.connection().await?;
            Ok(())
        };
        self.bus.metrics.of("ping", ping).await
    }
}

/// A name that cannot be a group's must not reach a queue's name either.
fn check_group(group: &str) -> Result<()> {
    Group::new(group, ["any"]).validate()
}

fn one(count: u64, group: &str, id: &str) -> Result<()> {
    if count > 0 {
        return Ok(());
    }
    Err(EventsError::NoSuchDeadLetter {
        group: group.to_owned(),
        id: id.to_owned(),
    })
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
