//! Broadcast to the subscribers of this process: each has a bounded buffer of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::SharedClock;
use tokio::sync::Notify;

use crate::error::{EventsError, Result};
use crate::event::CloudEvent;
use crate::policy::RetryPolicy;
use crate::port::{Consumer, Delivery, Receipt, limits::BROADCAST_BUFFER};

#[derive(Debug, Default)]
pub(super) struct Hub {
    subscribers: Mutex<Vec<Weak<Inbox>>>,
}

impl Hub {
    pub(super) fn subscribe(
        &self,
        replica: String,
        types: Vec<String>,
        clock: SharedClock,
        policy: RetryPolicy,
    ) -> BroadcastConsumer {
        let inbox = Arc::new(Inbox::new(replica, types, clock, policy));
        let mut subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&inbox));
        BroadcastConsumer::new(inbox)
    }

    pub(super) fn send(&self, event: &Arc<CloudEvent>) {
        let subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for inbox in subscribers.iter().filter_map(Weak::upgrade) {
            if inbox.types.contains(&event.kind) {
                inbox.push(Arc::clone(event));
            }
        }
    }
}

#[derive(Debug, Default)]
struct InboxState {
    ready: VecDeque<(Arc<CloudEvent>, u32)>,
    /// Keyed by due time and a running number.
    delayed: BTreeMap<(Duration, u64), (Arc<CloudEvent>, u32)>,
    delayed_so_far: u64,
    missed: u64,
}

enum Next {
    /// An event and the number of its delivery.
    Event(Arc<CloudEvent>, u32),
    /// Nothing; look again at this time, or when something arrives.
    Wait(Option<Duration>),
}

/// What one broadcast subscriber has not seen yet, and what it failed to handle.
///
/// Holds [`BROADCAST_BUFFER`] events; a subscriber that is further behind loses the oldest and is
/// told so. Failed events come back after the policy's backoff, by the clock of this process.
#[derive(Debug)]
pub struct Inbox {
    replica: String,
    types: Vec<String>,
    clock: SharedClock,
    policy: RetryPolicy,
    state: Mutex<InboxState>,
    arrived: Notify,
}

impl Inbox {
    /// An empty one for events of these types.
    #[must_use]
    pub fn new(
        replica: String,
        types: Vec<String>,
        clock: SharedClock,
        policy: RetryPolicy,
    ) -> Self {
        Self {
            replica,
            types,
            clock,
            policy,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new event. Never waits: the oldest goes when there is no room.
    pub fn push(&self, event: Arc<CloudEvent>) {
        {
            let mut state = self.state();
            if state.ready.len() >= BROADCAST_BUFFER {
                state.ready.pop_front();
                state.missed += 1;
            }
            state.ready.push_back((event, 0));
        }
        self.arrived.notify_waiters();
    }

    /// Events were lost before they got here: the subscriber is told.
    pub fn miss(&self, count: u64) {
        {
            let mut state = self.state();
            state.missed = state.missed.saturating_add(count);
        }
        self.arrived.notify_waiters();
    }

    fn failed(&self, event: Arc<CloudEvent>, attempt: u32, reason: &str) {
        if attempt >= self.policy.max_attempts {
            tracing::warn!(
                replica = self.replica,
                event.id,
                event.kind,
                reason,
                "a broadcast event was given up"
            );
            return;
        }
        let due = self
            .clock
            .monotonic()
            .saturating_add(self.policy.backoff(attempt));
        {
            let mut state = self.state();
            if state.delayed.len() >= BROADCAST_BUFFER {
                state.delayed.pop_first();
                state.missed += 1;
            }
            state.delayed_so_far += 1;
            let key = (due, state.delayed_so_far);
            state.delayed.insert(key, (event, attempt));
        }
        self.arrived.notify_waiters();
    }

    fn take(&self) -> Result<Next> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        if state.missed > 0 {
            return Err(EventsError::Lagged {
                missed: std::mem::take(&mut state.missed),
            });
        }
        if let Some(first) = state
            .delayed
            .first_entry()
            .filter(|first| first.key().0 <= now)
        {
            let (event, attempt) = first.remove();
            return Ok(Next::Event(event, attempt + 1));
        }
        if let Some((event, attempt)) = state.ready.pop_front() {
            return Ok(Next::Event(event, attempt + 1));
        }
        Ok(Next::Wait(state.delayed.keys().next().map(|(due, _)| *due)))
    }
}

/// Reads an [`Inbox`].
#[derive(Debug)]
pub struct BroadcastConsumer {
    inbox: Arc<Inbox>,
}

impl BroadcastConsumer {
    /// The reader of this inbox. There should be one only: each event goes to one reader.
    #[must_use]
    pub const fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }
}

#[async_trait]
impl Consumer for BroadcastConsumer {
    async fn next(&mut self) -> Result<Delivery> {
        loop {
            // Registered before the look, so that an arrival between the two is not missed.
            let arrived = self.inbox.arrived.notified();
            match self.inbox.take()? {
                Next::Event(event, attempt) => {
                    let receipt = BroadcastReceipt {
                        inbox: Arc::clone(&self.inbox),
                        event: Some(Arc::clone(&event)),
                        attempt,
                    };
                    return Ok(Delivery::new(event, attempt, Box::new(receipt)));
                }
                Next::Wait(until) => super::consumer::wait(&self.inbox.clock, arrived, until).await,
            }
        }
    }
}

/// Holds the event until it is answered.
struct BroadcastReceipt {
    inbox: Arc<Inbox>,
    event: Option<Arc<CloudEvent>>,
    attempt: u32,
}

#[async_trait]
impl Receipt for BroadcastReceipt {
    async fn ack(mut self: Box<Self>) -> Result<()> {
        self.event = None;
        Ok(())
    }

    async fn nack(mut self: Box<Self>, reason: &str) -> Result<()> {
        if let Some(event) = self.event.take() {
            self.inbox.failed(event, self.attempt, reason);
        }
        Ok(())
    }
}

impl Drop for BroadcastReceipt {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.inbox
                .failed(event, self.attempt, "dropped without an answer");
        }
    }
}
