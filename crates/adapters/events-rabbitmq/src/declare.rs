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

use std::time::Duration;

use riwaq_events::{EventsError, Group, Result};

use crate::bus::Bus;
use crate::fault::{Fault, INTERNAL_ERROR};

const BUSY: &str = "another process declares event groups";
const AGAIN: Duration = Duration::from_millis(250);

/// A group's name, and types of it.
type Wanted<'a> = (&'a str, Vec<&'a str>);

fn wanted(group: &Group) -> Wanted<'_> {
    let kinds = group.types.iter().map(String::as_str).collect();
    (group.name.as_str(), kinds)
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
    /// Declares groups with their types and remembers them. What is published from now on reaches them.
    pub(crate) async fn declare(&self, groups: &[Group]) -> Result<()> {
        let wanted: Vec<Wanted<'_>> = groups.iter().map(wanted).collect();
        self.declare_all(&wanted).await?;
        groups.iter().for_each(|group| self.remember(group));
        Ok(())
    }

    /// As [`Bus::declare`] for some types of a group.
    pub(crate) async fn declare_kinds(&self, group: &str, kinds: &[&str]) -> Result<()> {
        self.declare_all(&[(group, kinds.to_vec())]).await
    }

    async fn declare_all(&self, wanted: &[Wanted<'_>]) -> Result<()> {
        let deadline = self.clock.monotonic() + self.config.publish_timeout();
        loop {
            match self.try_to_declare(wanted).await {
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

    async fn try_to_declare(&self, wanted: &[Wanted<'_>]) -> std::result::Result<(), Refusal> {
        let young = self.young(wanted).await?;
        if young.is_empty() {
            return Ok(());
        }
        let patience = Duration::from_secs(self.config.connect_timeout_seconds);
        let lock = self.topology.names.declaring();
        let lock = self
            .lock(lock, patience, BUSY)
            .await
            .map_err(Refusal::Busy)?;
        let declared = self.declare_young(young).await;
        lock.release(self).await;
        Ok(declared?)
    }

    /// Binds those that are settled, and gives the others.
    async fn young<'a>(
        &self,
        wanted: &[Wanted<'a>],
    ) -> std::result::Result<Vec<Wanted<'a>>, Fault> {
        let mut young = Vec::new();
        for (group, kinds) in wanted {
            if self.is_settled(group, kinds).await? {
                self.bind(group, kinds).await?;
            } else {
                young.push((*group, kinds.clone()));
            }
        }
        Ok(young)
    }

    /// Under the lock. The bindings of a group come after its queues: what they let in finds all the rest. The broker
    /// is waited for once.
    async fn declare_young(&self, young: Vec<Wanted<'_>>) -> std::result::Result<(), Fault> {
        // Somebody else may have done it meanwhile.
        let young = self.young(&young).await?;
        if young.is_empty() {
            return Ok(());
        }
        let topology = &self.topology;
        let channel = self.consuming.channel().await?;
        for (group, kinds) in &young {
            for kind in kinds {
                topology.unmark(&channel, group, kind).await?;
            }
            topology.make_queues(&self.consuming, group, kinds).await?;
            self.bind(group, kinds).await?;
        }
        let settle = Duration::from_millis(self.config.declaration_settle_ms);
        self.clock.sleep(settle).await;
        for (group, kinds) in &young {
            for kind in kinds {
                topology.mark(&channel, group, kind).await?;
            }
        }
        Ok(())
    }

    /// Whether all of the queues are there, and for so long that the broker has written them and their bindings down.
    async fn is_settled(&self, group: &str, kinds: &[&str]) -> std::result::Result<bool, Fault> {
        let topology = &self.topology;
        let mut look = topology.look(&self.consuming);
        if look.at(&topology.names.dead(group)).await?.is_none() {
            return Ok(false);
        }
        for kind in kinds {
            if !look.is_marked(group, kind).await? {
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
