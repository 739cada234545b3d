//! The loop that feeds a handler from a subscription.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use riwaq_clock::Clock;

use crate::error::EventsError;
use crate::event::CloudEvent;
use crate::port::{Consumer, Delivery, Events, Subscription};

/// Between two tries to reach a bus that is away.
const RECONNECT: Duration = Duration::from_secs(1);

/// Why a handler failed: the reason that is kept with the retry and the dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HandleError(String);

impl HandleError {
    /// A failure for this reason.
    #[must_use]
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// What to do with an event. Called again for the same event at any time: its effect must be
/// keyed by the event or by the state that it fetches.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Handles one event; `Ok` once the effect is durable.
    ///
    /// # Errors
    /// Any reason; the event comes again later.
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError>;

    /// Broadcast events were missed: reload the state that they told of.
    async fn missed(&self, count: u64) {
        tracing::warn!(count, "broadcast events were missed");
    }
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Events that are handled at once; at least one.
    pub concurrency: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { concurrency: 4 }
    }
}

/// Subscribes and handles events until `stop` resolves; then finishes those in hand.
///
/// A bus that is away is tried again; a handler's error is a nack. Spawns nothing: run it in a
/// task group.
pub async fn work(
    events: &dyn Events,
    subscription: Subscription,
    handler: &dyn Handler,
    options: &WorkerOptions,
    clock: &dyn Clock,
    stop: impl Future<Output = ()> + Send,
) {
    tokio::pin!(stop);
    loop {
        let consumer = tokio::select! {
            biased;
            () = &mut stop => return,
            consumer = events.subscribe(subscription.clone()) => consumer,
        };
        match consumer {
            Ok(mut consumer) => {
                if drain(&mut *consumer, handler, options, &mut stop).await {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, ?subscription, "cannot subscribe"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = clock.sleep(RECONNECT) => {}
        }
    }
}

/// True when it was told to stop, false when the bus is away.
async fn drain(
    consumer: &mut dyn Consumer,
    handler: &dyn Handler,
    options: &WorkerOptions,
    stop: &mut (impl Future<Output = ()> + Send + Unpin),
) -> bool {
    let mut in_hand = FuturesUnordered::new();
    let stopped = loop {
        tokio::select! {
            biased;
            () = &mut *stop => break true,
            Some(()) = in_hand.next() => {}
            delivery = consumer.next(), if in_hand.len() < options.concurrency.max(1) => match delivery {
                Ok(delivery) => in_hand.push(handle(handler, delivery)),
                Err(EventsError::Lagged { missed }) => handler.missed(missed).await,
                Err(error) => {
                    tracing::warn!(%error, "the subscription broke");
                    break false;
                }
            },
        }
    };
    // The consumer is still open, so these can be answered.
    while in_hand.next().await.is_some() {}
    stopped
}

async fn handle(handler: &dyn Handler, delivery: Delivery) {
    let event = Arc::clone(&delivery.event);
    let answered = match handler.handle(&event).await {
        Ok(()) => delivery.ack().await,
        Err(reason) => {
            tracing::warn!(event.id, event.kind, attempt = delivery.attempt, %reason, "an event was not handled");
            delivery.nack(&reason.to_string()).await
        }
    };
    if let Err(error) = answered {
        tracing::warn!(%error, event.id, event.kind, "an event will be delivered again");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::DateTime;
    use riwaq_clock::ManualClock;
    use tokio::sync::{Notify, watch};

    use super::*;
    use crate::{MemoryEvents, RetryPolicy};

    struct Recorder {
        seen: watch::Sender<Vec<String>>,
        fail: Mutex<Vec<String>>,
        slow: Notify,
    }

    #[async_trait]
    impl Handler for Recorder {
        async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
            if event.id == "slow" {
                self.slow.notified().await;
            }
            let failing = {
                let mut fail = self.fail.lock().unwrap();
                let before = fail.len();
                fail.retain(|id| *id != event.id);
                fail.len() < before
            };
            self.seen.send_modify(|seen| seen.push(event.id.clone()));
            if failing {
                Err(HandleError::new("not today"))
            } else {
                Ok(())
            }
        }
    }

    #[tokio::test]
    async fn failures_come_again_and_a_stop_lets_the_one_in_hand_finish() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let events = MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap();
        let subscription = Subscription::group("g", ["t"]);
        events
            .declare_group(&crate::Group::new("g", ["t"]))
            .await
            .unwrap();
        for id in ["fails", "good"] {
            events
                .publish(CloudEvent::new(id, "/s", "t", clock.now()))
                .await
                .unwrap();
        }
        let recorder = Recorder {
            seen: watch::Sender::new(Vec::new()),
            fail: Mutex::new(vec!["fails".to_owned()]),
            slow: Notify::new(),
        };
        let stop = Notify::new();
        let options = WorkerOptions::default();
        let worker = work(
            &events,
            subscription,
            &recorder,
            &options,
            &*clock,
            stop.notified(),
        );
        let script = async {
            let mut seen = recorder.seen.subscribe();
            seen.wait_for(|seen| seen.len() == 2).await.unwrap();
            clock.advance(Duration::from_secs(1));
            seen.wait_for(|seen| seen.len() == 3).await.unwrap();
            events
                .publish(CloudEvent::new("slow", "/s", "t", clock.now()))
                .await
                .unwrap();
            while events.depths().await.unwrap()[0].in_flight == 0 {
                tokio::task::yield_now().await;
            }
            stop.notify_one();
            recorder.slow.notify_one();
            seen.wait_for(|seen| seen.last().is_some_and(|id| id == "slow"))
                .await
                .unwrap();
        };
        tokio::join!(worker, script);
        let depth = events.depths().await.unwrap().remove(0);
        assert_eq!(
            (depth.ready, depth.delayed, depth.in_flight, depth.dead),
            (0, 0, 0, 0)
        );
    }
}
