//! A member's state, its channel, and what becomes of an answered delivery.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use riwaq_events::{CloudEvent, EventsError, Result, limits};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::sync::mpsc::UnboundedSender;

use super::state::{Fetched, Held, Lane, State, Take};
use crate::bus::{Bus, Unsettled};
use crate::message::{DeadMark, encode};
use crate::publisher::{Route, Routed};

/// What the keeper is told by those who cannot wait.
pub(super) enum Command {
    /// A delivery was dropped unanswered.
    Dropped(Held, Unsettled),
    /// The member is gone; this is what it held.
    Leave(Vec<Held>, Unsettled),
}

/// One life of a member: as long as its channel lives.
#[derive(Debug)]
pub(crate) struct Shared {
    bus: Arc<Bus>,
    group: String,
    kinds: Vec<String>,
    channel: Channel,
    state: Mutex<State>,
    arrived: Notify,
    pub(super) asked: Notify,
    commands: UnboundedSender<Command>,
}

impl Shared {
    pub(super) fn new(
        bus: &Arc<Bus>,
        group: &riwaq_events::Group,
        channel: Channel,
        commands: UnboundedSender<Command>,
    ) -> Self {
        Self {
            bus: Arc::clone(bus),
            group: group.name.clone(),
            kinds: group.types.clone(),
            channel,
            state: Mutex::new(State::new(bus.config.prefetch)),
            arrived: Notify::new(),
            asked: Notify::new(),
            commands,
        }
    }

    pub(super) const fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(super) fn kinds(&self) -> &[String] {
        &self.kinds
    }

    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn arrived(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    /// Something arrived, or nothing will any more.
    pub(super) fn announce(&self) {
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Take {
        let visibility = self.bus.config.retry.visibility_timeout();
        let taken = self.state().take(self.bus.clock.monotonic(), visibility);
        if matches!(taken, Take::Nothing) {
            self.asked.notify_one();
        }
        taken
    }

    pub(super) fn stop_asking(&self) {
        if self.state().stop_asking(self.bus.clock.monotonic()) {
            self.asked.notify_one();
        }
    }

    /// Waiting here, and in somebody's hand.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.state().counts()
    }

    /// Forgets a type that is being taken from the group; returns how many of its events were here.
    pub(crate) fn retire(&self, kind: &str) -> usize {
        let lane: Option<Lane> = self.kinds.iter().position(|known| known == kind);
        lane.map_or(0, |lane| self.state().retire(lane))
    }

    pub(super) fn ack(&self, delivery: u64) -> Result<()> {
        let held = {
            let mut state = self.state();
            let held = state.let_go(delivery).ok_or(EventsError::NotHeld)?;
            let handled_in = self.bus.clock.monotonic().saturating_sub(held.since);
            state.adapt(handled_in, self.bus.config.linger());
            held
        };
        self.settle(held.fetched.delivery)
    }

    /// Acknowledges at the broker. Does not wait until it is written: the port promises nothing that
    /// would be worth the wait.
    pub(super) fn settle(&self, delivery: u64) -> Result<()> {
        let ack = self.channel.basic_ack(delivery, BasicAckOptions::default());
        match ack.now_or_never() {
            Some(Err(error)) => Err(EventsError::Unavailable(error.to_string())),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Gives it back to the broker as it was, at once.
    pub(super) fn requeue(&self, delivery: u64) {
        let options = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        // Whatever comes of it: when the channel is lost, the broker has it back anyway.
        drop(self.channel.basic_nack(delivery, options).now_or_never());
    }

    pub(super) async fn nack(&self, delivery: u64, reason: &str) -> Result<()> {
        let held = {
            let mut state = self.state();
            let held = state.let_go(delivery).ok_or(EventsError::NotHeld)?;
            let handled_in = self.bus.clock.monotonic().saturating_sub(held.since);
            state.adapt(handled_in, self.bus.config.linger());
            held
        };
        let _unsettled = self.bus.unsettled(&self.group, 1);
        self.failed(&held, reason).await
    }

    /// A receipt was dropped. Nothing to do when it had been answered.
    pub(super) fn dropped(&self, delivery: u64) {
        let Some(held) = self.state().let_go(delivery) else {
            return;
        };
        let command = Command::Dropped(held, self.bus.unsettled(&self.group, 1));
        // A keeper that is gone has lost its channel, so the broker has the event back.
        drop(self.commands.send(command));
    }

    /// The member is gone: nothing is held from here on.
    pub(super) fn leave(&self) {
        let held = self.state().let_go_all();
        let unsettled = self.bus.unsettled(&self.group, held.len());
        drop(self.commands.send(Command::Leave(held, unsettled)));
    }

    /// A delivery failed: off to its delay queue, or to the dead letters.
    ///
    /// The copy is confirmed before the original is acknowledged, so a crash in between makes two of
    /// one and never none of one.
    pub(super) async fn failed(&self, held: &Held, reason: &str) -> Result<()> {
        let attempts = held.attempt();
        if attempts >= self.bus.config.retry.max_attempts {
            return self.bury(&held.fetched, attempts, reason).await;
        }
        let seconds = self.bus.config.retry.backoff(attempts).as_secs();
        let kind = &held.fetched.event.kind;
        let queue = self.bus.topology.names.delay(&self.group, kind, seconds);
        self.replace(&held.fetched, &queue, attempts, None).await
    }

    /// A delivery was given back unanswered: to the group at once, counted.
    pub(super) async fn returned(&self, held: &Held) -> Result<()> {
        let attempts = held.attempt();
        if attempts >= self.bus.config.retry.max_attempts {
            let reason = format!("delivered {attempts} times without an answer");
            return self.bury(&held.fetched, attempts, &reason).await;
        }
        let kind = &held.fetched.event.kind;
        let queue = self.bus.topology.names.work(&self.group, kind);
        self.replace(&held.fetched, &queue, attempts, None).await
    }

    /// Makes it a dead letter.
    pub(super) async fn bury(&self, fetched: &Fetched, attempts: u32, reason: &str) -> Result<()> {
        let died_at = self.bus.clock.now();
        let dead = DeadMark {
            id: letter_id(died_at.timestamp_micros()),
            reason: cut(reason).to_owned(),
            died_at,
        };
        let queue = self.bus.topology.names.dead(&self.group);
        self.replace(fetched, &queue, attempts, Some(&dead)).await
    }

    async fn replace(
        &self,
        fetched: &Fetched,
        queue: &str,
        attempts: u32,
        dead: Option<&DeadMark>,
    ) -> Result<()> {
        let delivery = fetched.delivery;
        match self.move_to(&fetched.event, queue, attempts, dead).await {
            Ok(()) => self.settle(delivery),
            Err(error) => {
                self.requeue(delivery);
                Err(error)
            }
        }
    }

    async fn move_to(
        &self,
        event: &CloudEvent,
        queue: &str,
        attempts: u32,
        dead: Option<&DeadMark>,
    ) -> Result<()> {
        let message = encode(event, attempts, dead)?;
        let publisher = &self.bus.publisher;
        if publisher.send(Route::Queue(queue), &message).await? == Routed::Yes {
            return Ok(());
        }
        // The queue is not there. Either the type was taken from the group, and its events with it,
        // or somebody deleted this one queue only.
        let topology = &self.bus.topology;
        let work = topology.names.work(&self.group, &event.kind);
        if topology
            .waiting(&self.bus.consuming, &work)
            .await?
            .is_none()
        {
            return Err(EventsError::NotHeld);
        }
        let kinds = [event.kind.as_str()];
        self.bus.declare_kinds(&self.group, &kinds).await?;
        match publisher.send(Route::Queue(queue), &message).await? {
            Routed::Yes => Ok(()),
            Routed::No => Err(EventsError::Unavailable(format!(
                "there is no queue {queue}"
            ))),
        }
    }
}

/// Sorts by time: dead letters are listed in this order.
fn letter_id(died_at_micros: i64) -> String {
    let micros = u64::try_from(died_at_micros).unwrap_or(0);
    format!("{micros:016x}-{:08x}", uuid::Uuid::new_v4().as_fields().0)
}

/// The first [`limits::MAX_REASON_BYTES`], whole characters only.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(limits::MAX_REASON_BYTES)]
}
