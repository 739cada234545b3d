//! The task of a member: receives, watches the time and gives back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use riwaq_events::{Group, Result};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::shared::{Command, Shared};
use super::state::{Fetched, Held, Lane, Tag};
use crate::bus::{Bus, Unsettled};
use crate::fault::{Fault, within};
use crate::message::decode;

/// Something from a subscription; none: it ended.
type Item = (Tag, Lane, Option<lapin::Result<Delivery>>);

/// Why a keeper stops.
enum Stop {
    /// The channel is of no more use.
    Broken(String),
    /// The member is gone.
    Left(Vec<Held>, Unsettled),
}

/// Opens a member's channel and starts its keeper.
pub(super) async fn start(bus: &Arc<Bus>, group: &Group) -> Result<Arc<Shared>> {
    bus.declare(std::slice::from_ref(group)).await?;
    let channel = bus.consuming.channel().await?;
    let (sender, commands) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(bus, group, channel, sender));
    bus.joined(&shared);
    let keeper = Keeper {
        shared: Arc::clone(&shared),
        commands,
        streams: SelectAll::new(),
        settling: FuturesUnordered::new(),
        watching: false,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with its member or its channel; a member cannot wait when it is dropped"
    )]
    tokio::spawn(keeper.run());
    Ok(shared)
}

struct Keeper {
    shared: Arc<Shared>,
    commands: UnboundedReceiver<Command>,
    streams: SelectAll<BoxStream<'static, Item>>,
    settling: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Whether the time since somebody asked is watched.
    watching: bool,
}

impl Keeper {
    async fn run(mut self) {
        let stop = loop {
            let shared = Arc::clone(&self.shared);
            let wait = self.wait();
            let mut ticked = false;
            let event = tokio::select! {
                Some(command) = self.commands.recv() => self.command(command),
                Some(item) = self.streams.next() => self.received(item),
                () = shared.asked.notified() => Ok(()),
                Some(()) = self.settling.next() => Ok(()),
                () = sleep(&shared, wait) => {
                    ticked = true;
                    Ok(())
                }
            };
            let outcome = match event {
                Ok(()) => self.tend(ticked).await,
                Err(stop) => Err(stop),
            };
            if let Err(stop) = outcome {
                break stop;
            }
        };
        match stop {
            Stop::Broken(reason) => {
                tracing::warn!(reason, group = self.shared.group(), "a subscription broke");
                self.shared.state().end(reason);
                self.shared.announce();
            }
            Stop::Left(held, unsettled) => {
                self.leave(held).await;
                drop(unsettled);
            }
        }
        // Frees what a broken channel still had in hand, and ends the subscriptions of one that left.
        drop(self.shared.channel().close(200, "OK".into()).now_or_never());
    }

    /// Until when nothing is to be done.
    fn wait(&self) -> Option<Duration> {
        let now = self.shared.bus().clock.monotonic();
        let linger = self.watching.then(|| self.shared.bus().config.linger());
        let deadline = self.shared.state().next_deadline();
        let left = deadline.map(|deadline| deadline.saturating_sub(now));
        linger.into_iter().chain(left).min()
    }

    fn command(&self, command: Command) -> std::result::Result<(), Stop> {
        match command {
            Command::Dropped(held, unsettled) => {
                self.fail(held, "dropped without an answer", unsettled);
                Ok(())
            }
            Command::Leave(held, unsettled) => Err(Stop::Left(held, unsettled)),
        }
    }

    /// Puts a failed delivery aside, in the background.
    fn fail(&self, held: Held, reason: &'static str, unsettled: Unsettled) {
        let shared = Arc::clone(&self.shared);
        let work = async move {
            if let Err(error) = shared.failed(&held, reason).await {
                tracing::warn!(%error, group = shared.group(), "a failed delivery comes again at once");
            }
            drop(unsettled);
        };
        self.settling.push(work.boxed());
    }

    fn received(&self, (tag, lane, delivery): Item) -> std::result::Result<(), Stop> {
        match delivery {
            None if self.shared.state().tag_ended(tag) => Ok(()),
            None => Err(Stop::Broken(
                "the broker ended the subscription: its queue was deleted or lost its node".into(),
            )),
            Some(Err(error)) => Err(Stop::Broken(error.to_string())),
            Some(Ok(delivery)) => {
                self.accept(tag, lane, delivery);
                Ok(())
            }
        }
    }

    fn accept(&self, tag: Tag, lane: Lane, delivery: Delivery) {
        let incoming = match decode(&delivery.properties, &delivery.data) {
            Ok(incoming) => incoming,
            Err(error) => return self.park(delivery, error.to_string()),
        };
        let fetched = Fetched {
            delivery: delivery.delivery_tag,
            lane,
            tag,
            event: Arc::new(incoming.event),
            attempts: incoming.attempts,
        };
        if incoming.redeliveries >= self.shared.bus().config.max_redeliveries {
            return self.bury(fetched, incoming.redeliveries);
        }
        self.shared.state().arrived(fetched);
        self.shared.announce();
    }

    /// It came back so often that it probably kills whoever handles it.
    fn bury(&self, fetched: Fetched, redeliveries: u32) {
        let shared = Arc::clone(&self.shared);
        let unsettled = shared.bus().unsettled(shared.group(), 1);
        let work = async move {
            let reason = format!(
                "came back {redeliveries} times because its member's connection or process ended"
            );
            let attempts = fetched.attempts.saturating_add(1);
            if let Err(error) = shared.bury(&fetched, attempts, &reason).await {
                tracing::warn!(%error, group = shared.group(), "a dead letter was not written");
            }
            drop(unsettled);
        };
        self.settling.push(work.boxed());
    }

    /// Somebody else's message: kept aside for the operator, out of the way of the events.
    fn park(&self, delivery: Delivery, reason: String) {
        let shared = Arc::clone(&self.shared);
        let work = async move {
            let tag = delivery.delivery_tag;
            tracing::error!(reason, group = shared.group(), "a message is no event");
            match shared.bus().park(delivery.properties, delivery.data).await {
                Ok(()) => drop(shared.settle(tag)),
                Err(error) => {
                    tracing::warn!(%error, "an unreadable message was not put aside");
                    shared.requeue(tag);
                }
            }
        };
        self.settling.push(work.boxed());
    }

    /// What time and demand ask for.
    async fn tend(&mut self, ticked: bool) -> std::result::Result<(), Stop> {
        let now = self.shared.bus().clock.monotonic();
        let linger = self.shared.bus().config.linger();
        let expired = self.shared.state().expired(now);
        for held in expired {
            let unsettled = self.shared.bus().unsettled(self.shared.group(), 1);
            self.fail(
                held,
                "not answered within the visibility timeout",
                unsettled,
            );
        }
        if self.shared.state().is_asked() {
            let starved = self.shared.state().starved(self.shared.kinds().len());
            if !starved.is_empty() {
                self.subscribe(starved)
                    .await
                    .map_err(|fault| Stop::Broken(fault.to_string()))?;
            }
        } else if self.shared.state().is_forgotten(now, linger) {
            self.give_back();
        }
        self.watching = !ticked || self.shared.state().may_be_forgotten();
        Ok(())
    }

    /// Opens subscriptions with the window that is due, and closes those that they replace.
    async fn subscribe(&mut self, lanes: Vec<Lane>) -> std::result::Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let (channel, limit) = (shared.channel(), shared.bus().config.request_timeout());
        let window = shared.state().window();
        let qos = channel.basic_qos(window, BasicQosOptions::default());
        within(limit, "set the prefetch", qos).await?;
        for lane in lanes {
            let (tag, replaced) = shared.state().open_tag(lane);
            let queue = shared
                .bus()
                .topology
                .names
                .work(shared.group(), &shared.kinds()[lane]);
            let consume = channel.basic_consume(
                queue.into(),
                name(tag).into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            let consumer = within(limit, "consume", consume).await?;
            let deliveries = consumer.map(move |delivery| (tag, lane, Some(delivery)));
            let end = futures::stream::once(ready((tag, lane, None)));
            self.streams.push(deliveries.chain(end).boxed());
            if let Some(replaced) = replaced {
                self.cancel(replaced);
            }
        }
        Ok(())
    }

    /// The broker's answer ends the stream of the subscription.
    fn cancel(&self, tag: Tag) {
        let cancel = self
            .shared
            .channel()
            .basic_cancel(name(tag).into(), BasicCancelOptions::default());
        drop(cancel.now_or_never());
    }

    fn give_back(&self) {
        let (tags, buffered) = self.shared.state().give_back();
        for tag in tags {
            self.cancel(tag);
        }
        for fetched in buffered {
            self.shared.requeue(fetched.delivery);
        }
    }

    /// What was held goes to another member at once, counted as delivered; what was not even handed
    /// out goes back as it was.
    async fn leave(&mut self, held: Vec<Held>) {
        self.give_back();
        while let Ok(Command::Dropped(held, unsettled)) = self.commands.try_recv() {
            self.fail(held, "dropped without an answer", unsettled);
        }
        for held in held {
            let shared = Arc::clone(&self.shared);
            let work = async move {
                if let Err(error) = shared.returned(&held).await {
                    tracing::warn!(%error, group = shared.group(), "a delivery comes again uncounted");
                }
            };
            self.settling.push(work.boxed());
        }
        while self.settling.next().await.is_some() {}
    }
}

fn name(tag: Tag) -> String {
    format!("riwaq-{tag}")
}

async fn sleep(shared: &Shared, wait: Option<Duration>) {
    match wait {
        Some(wait) => shared.bus().clock.sleep(wait).await,
        None => std::future::pending().await,
    }
}
