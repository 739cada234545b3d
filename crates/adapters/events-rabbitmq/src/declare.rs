//! Declaring a group so that a broker that is killed a moment later remembers it.
//!
//! RabbitMQ 3.x confirms a declaration before it has written it down (read in 3.10.8 and Erlang/OTP 25, and seen):
//!
//! | what | is written | by |
//! |---|---|---|
//! | that there is an exchange, a queue, a binding | up to two seconds later | the write cache of Mnesia's log (`disk_log`) |
//! | which files belong to a quorum queue | when no other was made or deleted for half a second | `ra_directory` (`dets`) |
//!
//! Events are written before they are confirmed, but that does not help: killed before its queue is written down, the
//! broker makes it anew, and empty. So whoever declares something new waits for both, and does so alone in the whole
//! installation, or there would be no half second. Then it leaves a mark, an exchange that nothing is bound to: who
//! finds the mark need not wait. Mnesia's log is written in order, so a mark that survived stands for all before it.
//!
//! Killed while the first declaration goes on, the broker may know a queue and not its files. Such a queue is made anew by the
//! next declaration ([`crate::leaderless`]), but only where nobody can rely on it: before anybody may, a second mark says so. It
//! is left when the files are written down, and so early that it is written down itself when the declaration returns.

use std::time::Duration;

use riwaq_events::{EventsError, Group, Result};

use crate::bus::Bus;
use crate::fault::{Fault, INTERNAL_ERROR};

const BUSY: &str = "another process declares event groups";
const AGAIN: Duration = Duration::from_millis(250);

/// Which part of the wait is for files; the rest is for the mark that is left then. Of 3 s: 1 s and 2 s.
const FILES_SHARE: u32 = 3;

/// What nobody relies on yet.
#[derive(Debug, Default)]
struct Young {
    queues: Vec<String>,
    /// The marks that are to be left before anybody does.
    promises: Vec<String>,
}

/// Why a group is not declared.
enum Refusal {
    Fault(Fault),
    /// The lock was not to be had.
    Busy(EventsError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Bus {
    /// Declares a group's types and remembers them. What is published from now on reaches the group.
    pub(crate) async fn declare(&self, group: &Group) -> Result<()> {
        let kinds: Vec<&str> = group.types.iter().map(String::as_str).collect();
        self.declare_kinds(&group.name, &kinds).await?;
        self.remember(group);
        Ok(())
    }

    /// As [`Bus::declare`] for some types of a group.
    pub(crate) async fn declare_kinds(&self, group: &str, kinds: &[&str]) -> Result<()> {
        let deadline = self.clock.monotonic() + self.config.publish_timeout();
        loop {
            match self.try_to_declare(group, kinds).await {
                // A queue of this name was deleted a moment ago, and its files are still being removed.
                Err(Refusal::Fault(fault))
                    if fault.code() == Some(INTERNAL_ERROR)
                        && self.clock.monotonic() < deadline =>
                {
                    self.clock.sleep(AGAIN).await;
                }
                Err(Refusal::Fault(fault)) => return Err(fault.into()),
                Err(Refusal::Busy(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_to_declare(
        &self,
        group: &str,
        kinds: &[&str],
    ) -> std::result::Result<(), Refusal> {
        if self.is_settled(group, kinds).await? {
            return Ok(self.bind(group, kinds).await?);
        }
        let patience = Duration::from_secs(self.config.connect_timeout_seconds);
        let lock = self.topology.names.declaring();
        let lock = self
            .lock(lock, patience, BUSY)
            .await
            .map_err(Refusal::Busy)?;
        let declared = self.declare_young(group, kinds).await;
        lock.release(self).await;
        Ok(declared?)
    }

    /// Under the lock. The bindings come after the queues: what they let in finds all the rest.
    async fn declare_young(&self, group: &str, kinds: &[&str]) -> std::result::Result<(), Fault> {
        // Somebody else may have done it meanwhile.
        if self.is_settled(group, kinds).await? {
            return self.bind(group, kinds).await;
        }
        let topology = &self.topology;
        let mut young = self.young(group, kinds).await?;
        let channel = self.consuming.channel().await?;
        for kind in kinds {
            let mark = topology.names.settled(group, kind);
            topology.unmark(&channel, mark).await?;
        }
        let link = &self.consuming;
        let made = topology.make_queues(link, group, kinds).await?;
        young.queues.retain(|queue| !made.contains(queue));
        if self.delete_leaderless(&young.queues).await? {
            topology.make_queues(link, group, kinds).await?;
        }
        self.bind(group, kinds).await?;
        let settle = Duration::from_millis(self.config.declaration_settle_ms);
        let files = settle / FILES_SHARE;
        self.clock.sleep(files).await;
        for mark in young.promises {
            topology.mark(&channel, mark).await?;
        }
        self.clock.sleep(settle - files).await;
        for kind in kinds {
            let mark = topology.names.settled(group, kind);
            topology.mark(&channel, mark).await?;
        }
        Ok(())
    }

    /// What of these nobody was promised yet. Under the lock.
    async fn young(&self, group: &str, kinds: &[&str]) -> std::result::Result<Young, Fault> {
        let (topology, names) = (&self.topology, &self.topology.names);
        let mut look = topology.look(&self.consuming);
        let mut young = Young::default();
        for kind in kinds {
            let promise = names.promised(group, Some(kind));
            if look.is_marked(promise.clone()).await? {
                continue;
            }
            // Of a version that left the one mark only.
            if look.is_marked(names.settled(group, kind)).await? {
                let channel = self.consuming.channel().await?;
                topology.mark(&channel, promise).await?;
                continue;
            }
            young.promises.push(promise);
            young.queues.extend(topology.queues(group, kind));
        }
        // Dead letters belong to all of the group's types, those of other declarations among them.
        let promise = names.promised(group, None);
        if !look.is_marked(promise.clone()).await? {
            if young.promises.len() == kinds.len() {
                young.queues.push(names.dead(group));
            }
            young.promises.push(promise);
        }
        Ok(young)
    }

    /// Whether all of the queues are there, and for so long that the broker has written them and their bindings down.
    async fn is_settled(&self, group: &str, kinds: &[&str]) -> std::result::Result<bool, Fault> {
        let topology = &self.topology;
        let mut look = topology.look(&self.consuming);
        if look.at(&topology.names.dead(group)).await?.is_none() {
            return Ok(false);
        }
        for kind in kinds {
            if !look.is_marked(topology.names.settled(group, kind)).await? {
                return Ok(false);
            }
            for queue in topology.queues(group, kind) {
                if look.at(&queue).await?.is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Again each time: somebody may have unbound them.
    async fn bind(&self, group: &str, kinds: &[&str]) -> std::result::Result<(), Fault> {
        let channel = self.consuming.channel().await?;
        self.topology.bind_group(&channel, group, kinds).await
    }
}
