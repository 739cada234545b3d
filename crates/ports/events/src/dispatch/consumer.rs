//! A member of a group, and the receipts of what it holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use tokio::sync::futures::Notified;

use super::dispatcher::Dispatcher;
use super::queue::Take;
use crate::error::{EventsError, Result};
use crate::port::{Consumer, Delivery, Receipt};

/// Until something arrives, or the time has come.
pub(super) async fn wait(clock: &SharedClock, arrived: Notified<'_>, until: Option<Duration>) {
    match until {
        None => arrived.await,
        Some(until) => {
            let left = until.saturating_sub(clock.monotonic());
            tokio::select! {
                () = arrived => {}
                () = clock.sleep(left) => {}
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct GroupConsumer {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) group: Arc<str>,
    pub(super) kinds: Vec<Arc<str>>,
    pub(super) id: u64,
}

#[async_trait]
impl Consumer for GroupConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        let arrivals = self.dispatcher.arrivals(&self.group);
        loop {
            // Registered before the look, so that an arrival between the two is not missed.
            let arrived = arrivals.notified();
            match self.dispatcher.take(&self.group, self.id, &self.kinds)? {
                Take::Event {
                    seq,
                    attempt,
                    event,
                } => {
                    let receipt = GroupReceipt {
                        dispatcher: Arc::clone(&self.dispatcher),
                        group: Arc::clone(&self.group),
                        seq,
                        attempt,
                        answered: false,
                    };
                    return Ok(Delivery::new(event, attempt, Box::new(receipt)));
                }
                Take::NeedsBody { seq } => self.dispatcher.fetch(&self.group, seq).await?,
                Take::Wait { until } => wait(self.dispatcher.clock(), arrived, until).await,
            }
        }
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.dispatcher.release(&self.group, self.id);
    }
}

struct GroupReceipt {
    dispatcher: Arc<Dispatcher>,
    group: Arc<str>,
    seq: u64,
    attempt: u32,
    answered: bool,
}

#[async_trait]
impl Receipt for GroupReceipt {
    async fn ack(mut self: Box<Self>) -> Result<()> {
        self.answered = true;
        self.dispatcher.ack(&self.group, self.seq, self.attempt)
    }

    async fn nack(mut self: Box<Self>, reason: &str) -> Result<()> {
        self.answered = true;
        self.dispatcher
            .nack(&self.group, self.seq, self.attempt, reason)
    }
}

impl Drop for GroupReceipt {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        match self.dispatcher.nack(
            &self.group,
            self.seq,
            self.attempt,
            "dropped without an answer",
        ) {
            // Its consumer went away first and gave it back.
            Ok(()) | Err(EventsError::NotHeld) => {}
            Err(error) => {
                tracing::warn!(%error, group = &*self.group, "a dropped delivery was not noted")
            }
        }
    }
}
