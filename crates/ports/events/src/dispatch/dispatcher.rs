//! Who gets which event, and when.

use std::fmt;
use std::sync::Arc;

use riwaq_clock::SharedClock;
use tokio::sync::Notify;

use super::consumer::GroupConsumer;
use super::groups::{Capacity, GroupState, Groups};
use super::journal::{Change, Journal};
use super::queue::{Take, Verdict};
use crate::error::{EventsError, Result};
use crate::policy::RetryPolicy;
use crate::port::{Consumer, GroupDepth, Subscription, limits};

/// Delivers to the groups and replicas of this process. See [`super`].
pub struct Dispatcher {
    journal: Arc<dyn Journal>,
    groups: Arc<Groups>,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// A dispatcher without groups.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] when the policy cannot work.
    pub fn new(
        journal: Arc<dyn Journal>,
        clock: SharedClock,
        policy: RetryPolicy,
        capacity: Capacity,
    ) -> Result<Self> {
        policy.validate()?;
        Ok(Self {
            journal,
            groups: Arc::new(Groups::new(clock, policy, capacity)),
        })
    }

    /// Where the store tells what it has.
    #[must_use]
    pub fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    /// The injected clock.
    pub(super) fn clock(&self) -> &SharedClock {
        &self.groups.clock
    }

    /// Starts to receive. A group must have been declared.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`].
    pub fn subscribe(self: &Arc<Self>, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.validate()?;
        match subscription {
            Subscription::Broadcast { replica, types } => {
                let (clock, policy) = (Arc::clone(self.clock()), self.groups.policy.clone());
                Ok(Box::new(
                    self.groups.hub.subscribe(replica, types, clock, policy),
                ))
            }
            Subscription::Group(group) => {
                let mut state = self.groups.state();
                state.consumers_so_far += 1;
                let id = state.consumers_so_far;
                let kinds = group
                    .types
                    .iter()
                    .map(|kind| Arc::from(kind.as_str()))
                    .collect();
                Ok(Box::new(GroupConsumer {
                    dispatcher: Arc::clone(self),
                    group: group.name.into(),
                    kinds,
                    id,
                }))
            }
        }
    }

    /// See [`crate::Events::depths`].
    #[must_use]
    pub fn depths(&self) -> Vec<GroupDepth> {
        let now = self.clock().monotonic();
        let mut state = self.groups.state();
        let mut depths = Vec::with_capacity(state.groups.len());
        for (name, known) in &mut state.groups {
            let verdicts = known.queue.tick(now);
            self.note(known, name, verdicts);
            depths.push(GroupDepth {
                group: name.to_string(),
                ready: known.queue.ready_count(),
                delayed: known.queue.delayed_count(),
                in_flight: known.queue.held_count(),
                dead: known.dead,
            });
        }
        depths
    }

    pub(super) fn arrivals(&self, group: &str) -> Arc<Notify> {
        let mut state = self.groups.state();
        Arc::clone(&self.groups.entry(&mut state, group).arrivals)
    }

    pub(super) fn take(&self, group: &Arc<str>, consumer: u64, kinds: &[Arc<str>]) -> Result<Take> {
        let now = self.clock().monotonic();
        let mut state = self.groups.state();
        let known = self.groups.entry(&mut state, group);
        let verdicts = known.queue.tick(now);
        self.note(known, group, verdicts);
        for kind in kinds {
            if let Some(after_seq) = known.queue.wants_refill(kind, self.groups.capacity.low) {
                self.journal.record(
                    group,
                    Change::Refill {
                        kind: Arc::clone(kind),
                        after_seq,
                    },
                )?;
            }
        }
        let take = known.queue.take(consumer, kinds, now);
        if let Take::Event { seq, attempt, .. } = &take {
            let delivered = Change::Delivered {
                seq: *seq,
                attempt: *attempt,
            };
            if let Err(error) = self.journal.record(group, delivered) {
                known.queue.release(consumer);
                return Err(error);
            }
        }
        Ok(take)
    }

    pub(super) async fn fetch(&self, group: &Arc<str>, seq: u64) -> Result<()> {
        let event = self.journal.load(group, seq).await?;
        self.groups
            .with(group, |known, _| known.queue.loaded(seq, event));
        Ok(())
    }

    pub(super) fn ack(&self, group: &Arc<str>, seq: u64, attempt: u32) -> Result<()> {
        let mut state = self.groups.state();
        let known = state.groups.get_mut(group).ok_or(EventsError::NotHeld)?;
        if !known.queue.ack(seq, attempt) {
            return Err(EventsError::NotHeld);
        }
        self.journal.record(group, Change::Acked { seq })
    }

    pub(super) fn nack(
        &self,
        group: &Arc<str>,
        seq: u64,
        attempt: u32,
        reason: &str,
    ) -> Result<()> {
        let now = self.clock().monotonic();
        let mut state = self.groups.state();
        let known = state.groups.get_mut(group).ok_or(EventsError::NotHeld)?;
        let verdict = known
            .queue
            .nack(seq, attempt, shortened(reason), now)
            .ok_or(EventsError::NotHeld)?;
        let noted = self.record(known, group, verdict);
        known.arrivals.notify_waiters();
        noted
    }

    pub(super) fn release(&self, group: &Arc<str>, consumer: u64) {
        self.groups.with(group, |known, name| {
            let verdicts = known.queue.release(consumer);
            self.note(known, name, verdicts);
        });
    }

    /// Tells the store. When it is gone, the events are still there after the next start.
    fn note(&self, known: &mut GroupState, group: &Arc<str>, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            if let Err(error) = self.record(known, group, verdict) {
                tracing::error!(%error, group = &**group, "the event store did not take a change");
            }
        }
    }

    fn record(&self, known: &mut GroupState, group: &Arc<str>, verdict: Verdict) -> Result<()> {
        let change = self.groups.change(known, verdict);
        self.journal.record(group, change)
    }
}

/// The reason, cut at a character's border.
fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(limits::MAX_REASON_BYTES)]
}
