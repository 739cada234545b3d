//! What the handles on one bus share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lapin::BasicProperties;
use riwaq_clock::SharedClock;
use riwaq_events::{EventsError, Group, Result};
use tokio::sync::watch;

use crate::config::Config;
use crate::link::{Link, Target};
use crate::member::Shared;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::publisher::{Publisher, Route};
use crate::topology::Topology;
use crate::wanted::Wanted;

/// One connection that publishes, one that consumes, and what this process knows of the groups.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) topology: Topology,
    pub(crate) publisher: Publisher,
    pub(crate) consuming: Link,
    pub(crate) wanted: Wanted,
    known: Mutex<Known>,
    /// Events on their way back or aside, by group.
    unsettled: watch::Sender<BTreeMap<String, usize>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The types of the groups that this process declared.
    groups: BTreeMap<String, BTreeSet<String>>,
    members: Vec<Weak<Shared>>,
    /// By the name of the lock.
    turns: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

impl Bus {
    pub(crate) fn new(config: Config, clock: SharedClock) -> Result<Self> {
        config.check()?;
        let config = Arc::new(config);
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
        let names = Names::new(&config.prefix);
        let target = Target::new(Arc::clone(&config))?;
        let open = || metrics.connections.clone();
        let publisher = Publisher::new(
            Arc::clone(&config),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            &names,
            Link::new(target.clone(), "publishes", open()),
        );
        Ok(Self {
            consuming: Link::new(target, "consumes", open()),
            topology: Topology::new(
                names,
                &config.retry,
                config.request_timeout(),
                Duration::from_secs(config.broadcast_expiry_seconds),
            ),
            publisher,
            wanted: Wanted::default(),
            config,
            clock,
            metrics,
            known: Mutex::default(),
            unsettled: watch::Sender::new(BTreeMap::new()),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group has these types, as far as this process knows.
    pub(crate) fn remember(&self, group: &Group) {
        let mut known = self.known();
        let types = known.groups.entry(group.name.clone()).or_default();
        types.extend(group.types.iter().cloned());
    }

    /// Groups and types that this process declared.
    pub(crate) fn groups(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.known().groups.clone()
    }

    /// Forgets types, and the group when none is left.
    pub(crate) fn forget(&self, group: &Group) {
        let mut known = self.known();
        if let Some(types) = known.groups.get_mut(&group.name) {
            types.retain(|kind| !group.types.contains(kind));
            if types.is_empty() {
                known.groups.remove(&group.name);
            }
        }
    }

    pub(crate) fn joined(&self, member: &Arc<Shared>) {
        let mut known = self.known();
        known.members.retain(|member| member.strong_count() > 0);
        known.members.push(Arc::downgrade(member));
    }

    /// The live members of a group in this process.
    pub(crate) fn members(&self, group: &str) -> Vec<Arc<Shared>> {
        let members = self.known().members.clone();
        let mut members: Vec<_> = members.iter().filter_map(Weak::upgrade).collect();
        members.retain(|member| member.group() == group);
        members
    }

    /// Who holds a lock of the installation in this process.
    pub(crate) fn turn(&self, lock: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.known().turns.entry(lock.to_owned()).or_default())
    }

    /// Keeps a message that is no event, for the operator.
    pub(crate) async fn park(&self, properties: BasicProperties, body: Vec<u8>) -> Result<()> {
        self.metrics.unreadable.increment(1);
        let channel = self.consuming.channel().await?;
        self.topology.declare_unreadable(&channel).await?;
        let message = Message { properties, body };
        let queue = self.topology.names.unreadable();
        self.publisher
            .send(Route::Queue(&queue), &message)
            .await
            .map(drop)
    }

    /// Notes that so many events of a group are being given back or put aside.
    pub(crate) fn unsettled(self: &Arc<Self>, group: &str, events: usize) -> Unsettled {
        self.unsettled
            .send_modify(|counts| *counts.entry(group.to_owned()).or_default() += events);
        Unsettled {
            bus: Arc::clone(self),
            group: group.to_owned(),
            events,
        }
    }

    /// How many of a group are.
    pub(crate) fn unsettled_in(&self, group: &str) -> usize {
        self.unsettled
            .borrow()
            .get(group)
            .copied()
            .unwrap_or_default()
    }

    /// Waits until nothing is, or for one publication's time.
    pub(crate) async fn settled(&self) -> Result<()> {
        let mut counts = self.unsettled.subscribe();
        let quiet = counts.wait_for(|counts| counts.values().all(|count| *count == 0));
        match tokio::time::timeout(self.config.publish_timeout(), quiet).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(EventsError::Unavailable(
                "deliveries could not be given back in time".into(),
            )),
        }
    }
}

/// Counts as unsettled until dropped.
#[derive(Debug)]
pub(crate) struct Unsettled {
    bus: Arc<Bus>,
    group: String,
    events: usize,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.bus.unsettled.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.group) {
                *count = count.saturating_sub(self.events);
            }
        });
    }
}
