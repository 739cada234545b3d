//! Queues that a broker remembers without their files.
//!
//! Killed with -9 half a second after a quorum queue was made, RabbitMQ 3.10 finds its record and not its files (see
//! [`crate::declare`]). It makes a new, empty member for it that was never elected and never will be: the log says "leader not
//! known". The queue looks like any other: it is `running`, may be looked at and declared again. But nothing that is published
//! to it is ever confirmed, and what is bound beside it is not either.
//!
//! Such a queue is deleted, to be made anew. AMQP does not tell it from one whose other members are away, with events in them; so
//! only queues are asked for here that nobody was promised anything about.

use std::time::Duration;

use futures::future::try_join_all;
use lapin::options::BasicGetOptions;

use crate::bus::Bus;
use crate::fault::{Fault, INTERNAL_ERROR, NOT_FOUND, within};
use crate::link::Link;

/// How long a queue may take to say what is in it, in limits of one answer: a broker that has just started is busy.
const PATIENCE: u32 = 3;

impl Bus {
    /// Deletes those of the queues that have no leader; says whether there were any. Only under the lock, and only for queues
    /// that nobody relies on.
    pub(crate) async fn delete_leaderless(&self, queues: &[String]) -> Result<bool, Fault> {
        if queues.is_empty() {
            return Ok(false);
        }
        // The broker ends the connection of who waits for such a queue.
        let asking = self.consuming.apart();
        let limit = self.config.request_timeout() * PATIENCE;
        let asked = queues.iter().map(|queue| has_leader(&asking, queue, limit));
        let mut found = Vec::new();
        for (queue, has_leader) in queues.iter().zip(try_join_all(asked).await?) {
            if !has_leader {
                found.push(queue);
            }
        }
        drop(asking);
        let deleting = self.consuming.apart();
        let deleted = found.iter().map(|queue| self.delete_one(&deleting, queue));
        try_join_all(deleted).await?;
        Ok(!found.is_empty())
    }

    async fn delete_one(&self, link: &Link, queue: &str) -> Result<(), Fault> {
        tracing::warn!(
            queue,
            "a queue without a leader, made when the broker was killed, is made anew; nobody relied on it"
        );
        let channel = link.channel().await?;
        self.topology.delete(&channel, queue).await.map(drop)
    }
}

/// Whether a queue answers whoever reads it. What is read goes back when the channel is closed.
async fn has_leader(link: &Link, queue: &str, limit: Duration) -> Result<bool, Fault> {
    let channel = link.channel().await?;
    let get = channel.basic_get(queue.into(), BasicGetOptions::default());
    match within(limit, "read a queue", get).await {
        Ok(_) => {
            let close = channel.close(200, "OK".into());
            within(limit, "close a channel", close).await?;
            Ok(true)
        }
        Err(Fault::Late(_)) => Ok(false),
        Err(fault) if fault.code() == Some(INTERNAL_ERROR) => Ok(false),
        // Somebody deleted it meanwhile: it is made with the others.
        Err(fault) if fault.code() == Some(NOT_FOUND) => Ok(false),
        Err(fault) => Err(fault),
    }
}
