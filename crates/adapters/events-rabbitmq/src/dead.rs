//! A group's dead letters, in a queue that nobody consumes.
//!
//! A queue can be looked at only by taking everything out of it. Here nothing is ever out of it: a
//! [`Pass`] receives all messages without acknowledging them and lets go of its channel, which puts
//! them back; so does a crash. Only what was replayed (and confirmed by the group's queue) or is to
//! be discarded is acknowledged. Two passes at once would hide the letters from each other, so a pass
//! holds a lock.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use riwaq_events::{CloudEvent, DeadLetter, DeadLetterPage, EventsError, Group, Result, limits};

use crate::bus::Bus;
use crate::config::invalid;
use crate::fault::{Fault, within};
use crate::lock::Lock;
use crate::message::{DeadMark, decode, encode};
use crate::publisher::{Route, Routed};
use crate::topology::found;

/// Received in one go; between two goes the broker may rest.
const CHUNK: u16 = 1_000;
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// One dead letter in a pass.
struct Letter {
    delivery: u64,
    event: CloudEvent,
    attempts: u32,
    mark: DeadMark,
}

/// All dead letters of a group, once. Whoever has it has them alone.
struct Pass<'a> {
    bus: &'a Bus,
    queue: String,
    channel: Channel,
    chunk: Option<lapin::Consumer>,
    chunks: u32,
    left_in_chunk: u64,
    /// Not yet received.
    left: u64,
    /// Received and not answered: they go back.
    kept: u64,
    lock: Lock,
}

impl<'a> Pass<'a> {
    /// None when the group has no dead letters, or never had.
    async fn begin(bus: &'a Bus, group: &str) -> Result<Option<Self>> {
        let queue = bus.topology.names.dead(group);
        if bus
            .topology
            .waiting(&bus.consuming, &queue)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let patience = Duration::from_secs(bus.config.operator_timeout_seconds);
        let busy = format!("another operator works on the dead letters of {group}");
        let lock = bus
            .lock(bus.topology.names.lock(group), patience, &busy)
            .await?;
        let channel = bus.consuming.channel().await?;
        let left = match found(bus.topology.count(&channel, &queue).await)? {
            None | Some(0) => {
                lock.release(bus).await;
                return Ok(None);
            }
            Some(left) => left,
        };
        Ok(Some(Self {
            bus,
            queue,
            channel,
            chunk: None,
            chunks: 0,
            left_in_chunk: 0,
            left,
            kept: 0,
            lock,
        }))
    }

    /// The next letter, in the order of the queue.
    async fn next(&mut self) -> Result<Option<Letter>> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            if self.left_in_chunk == 0 {
                self.open_chunk().await?;
            }
            let limit = self.bus.config.request_timeout();
            let Some(chunk) = &mut self.chunk else {
                return Ok(None);
            };
            let delivery = match tokio::time::timeout(limit, chunk.next()).await {
                Ok(Some(Ok(delivery))) => delivery,
                Ok(Some(Err(error))) => return Err(Fault::from(error).into()),
                Ok(None) => return Ok(None),
                Err(_) => return Err(Fault::Late("read the dead letters").into()),
            };
            self.left -= 1;
            self.left_in_chunk -= 1;
            let read = decode(&delivery.properties, &delivery.data);
            if let Ok(incoming) = read
                && let Some(mark) = incoming.dead
            {
                self.kept += 1;
                return Ok(Some(Letter {
                    delivery: delivery.delivery_tag,
                    event: incoming.event,
                    attempts: incoming.attempts,
                    mark,
                }));
            }
            // Somebody else's message: out of the way, and kept.
            self.bus.park(delivery.properties, delivery.data).await?;
            self.acknowledge(delivery.delivery_tag).await?;
        }
    }

    async fn open_chunk(&mut self) -> Result<()> {
        let limit = self.bus.config.request_timeout();
        if self.chunks > 0 {
            let cancel = self
                .channel
                .basic_cancel(self.tag().into(), BasicCancelOptions::default());
            within(limit, "cancel", cancel).await?;
        } else {
            let qos = self.channel.basic_qos(CHUNK, BasicQosOptions::default());
            within(limit, "set the prefetch", qos).await?;
        }
        self.chunks += 1;
        let consume = self.channel.basic_consume(
            self.queue.as_str().into(),
            self.tag().into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        self.chunk = Some(within(limit, "consume", consume).await?);
        self.left_in_chunk = self.left.min(CHUNK.into());
        Ok(())
    }

    fn tag(&self) -> String {
        format!("riwaq-pass-{:06}", self.chunks)
    }

    /// Takes a letter out of the queue for good.
    async fn remove(&mut self, letter: &Letter) -> Result<()> {
        self.acknowledge(letter.delivery).await?;
        self.kept -= 1;
        Ok(())
    }

    async fn acknowledge(&self, delivery: u64) -> Result<()> {
        let ack = self.channel.basic_ack(delivery, BasicAckOptions::default());
        let limit = self.bus.config.request_timeout();
        Ok(within(limit, "acknowledge", ack).await?)
    }

    /// Puts back what was not removed, and waits until the broker has done so: the next look would
    /// miss some otherwise.
    async fn end(self) -> Result<()> {
        let limit = self.bus.config.request_timeout();
        let expected = self.kept + self.left;
        within(
            limit,
            "close the channel",
            self.channel.close(200, "OK".into()),
        )
        .await?;
        let channel = self.bus.consuming.channel().await?;
        let deadline = self.bus.clock.monotonic().saturating_add(limit);
        let mut pause = FIRST_LOOK;
        while self.bus.topology.count(&channel, &self.queue).await? < expected {
            if self.bus.clock.monotonic() >= deadline {
                tracing::warn!(
                    queue = self.queue,
                    "the broker takes long to put letters back"
                );
                break;
            }
            self.bus.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
        self.lock.release(self.bus).await;
        Ok(())
    }
}

impl Bus {
    pub(crate) async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        check(after, limit)?;
        let Some(mut pass) = Pass::begin(self, group).await? else {
            return Ok(DeadLetterPage::default());
        };
        // The page and one more, to know whether there is more.
        let mut page: BTreeMap<String, Letter> = BTreeMap::new();
        while let Some(letter) = pass.next().await? {
            if after.is_none_or(|after| letter.mark.id.as_str() > after) {
                page.insert(letter.mark.id.clone(), letter);
                if page.len() > limit + 1 {
                    page.pop_last();
                }
            }
        }
        pass.end().await?;
        if page.len() <= limit {
            let items = page
                .into_values()
                .map(|letter| listed(group, letter))
                .collect();
            return Ok(DeadLetterPage { items, next: None });
        }
        page.pop_last();
        let next = page.last_key_value().map(|(id, _)| id.clone());
        let items = page
            .into_values()
            .map(|letter| listed(group, letter))
            .collect();
        Ok(DeadLetterPage { items, next })
    }

    /// Gives letters back to the group: this one, or all. Returns how many.
    pub(crate) async fn replay(&self, group: &str, id: Option<&str>) -> Result<u64> {
        let Some(mut pass) = Pass::begin(self, group).await? else {
            return Ok(0);
        };
        let mut replayed = 0;
        while let Some(letter) = pass.next().await? {
            if id.is_none_or(|id| id == letter.mark.id) {
                self.revive(group, &letter.event).await?;
                pass.remove(&letter).await?;
                replayed += 1;
                if id.is_some() {
                    break;
                }
            }
        }
        pass.end().await?;
        Ok(replayed)
    }

    async fn revive(&self, group: &str, event: &CloudEvent) -> Result<()> {
        let message = encode(event, 0, None)?;
        let queue = self.topology.names.work(group, &event.kind);
        if self.publisher.send(Route::Queue(&queue), &message).await? == Routed::Yes {
            return Ok(());
        }
        // The type was taken from the group meanwhile; the operator wants it back.
        self.declare(&[Group::new(group, [event.kind.as_str()])])
            .await?;
        match self.publisher.send(Route::Queue(&queue), &message).await? {
            Routed::Yes => Ok(()),
            Routed::No => Err(EventsError::Unavailable(format!(
                "there is no queue {queue}"
            ))),
        }
    }

    /// Throws away the letters that match; returns how many.
    pub(crate) async fn discard(
        &self,
        group: &str,
        matches: impl Fn(&str, &CloudEvent) -> bool + Send,
    ) -> Result<u64> {
        let Some(mut pass) = Pass::begin(self, group).await? else {
            return Ok(0);
        };
        let mut discarded = 0;
        while let Some(letter) = pass.next().await? {
            if matches(&letter.mark.id, &letter.event) {
                pass.remove(&letter).await?;
                discarded += 1;
            }
        }
        pass.end().await?;
        Ok(discarded)
    }
}

fn listed(group: &str, letter: Letter) -> DeadLetter {
    DeadLetter {
        id: letter.mark.id,
        group: group.to_owned(),
        event: letter.event,
        attempts: letter.attempts,
        reason: letter.mark.reason,
        died_at: letter.mark.died_at,
    }
}

fn check(after: Option<&str>, limit: usize) -> Result<()> {
    if limit == 0 || limit > limits::MAX_PAGE {
        return Err(invalid(
            "limit",
            format!("must be 1 to {}", limits::MAX_PAGE),
        ));
    }
    let well_formed = |id: &str| {
        id.len() <= 64
            && id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    match after {
        Some(after) if !well_formed(after) => {
            Err(invalid("after", "is not an id of a dead letter"))
        }
        _ => Ok(()),
    }
}
