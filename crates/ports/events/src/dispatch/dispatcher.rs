//! Who gets which event, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use riwaq_clock::SharedClock;
use tokio::sync::Notify;

use super::broadcast::Hub;
use super::consumer::GroupConsumer;
use super::journal::{Change, Journal};
use super::queue::{Entry, GroupQueue, Take, Verdict};
use crate::error::{EventsError, Result};
use crate::event::CloudEvent;
use crate::policy::RetryPolicy;
use crate::port::{Consumer, Group, GroupDepth, Subscription, limits};

/// How much of each type in each group is held in memory; the rest waits in the store.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Events.
    pub max_entries: usize,
    /// Bytes of encoded events.
    pub max_bytes: usize,
    /// More is asked of the store when this few events are left.
    pub low: usize,
}

/// Delivers to the groups and replicas of this process. See [`super`].
pub struct Dispatcher {
    journal: Arc<dyn Journal>,
    clock: SharedClock,
    policy: RetryPolicy,
    capacity: Capacity,
    state: Mutex<State>,
    hub: Hub,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<Arc<str>, GroupState>,
    consumers_so_far: u64,
}

struct GroupState {
    queue: GroupQueue,
    types: BTreeSet<Arc<str>>,
    arrivals: Arc<Notify>,
    dead: u64,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("policy", &self.policy)
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
            clock,
            policy,
            capacity,
            state: Mutex::default(),
            hub: Hub::default(),
        })
    }

    /// The injected clock.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Adds a group, or types to a group. The store must know it already.
    pub fn declare(&self, group: &Group) {
        let mut state = self.state();
        let declared = self.entry(&mut state, &group.name);
        declared
            .types
            .extend(group.types.iter().map(|kind| Arc::from(kind.as_str())));
    }

    /// True when the group has all these types.
    #[must_use]
    pub fn has(&self, group: &Group) -> bool {
        let state = self.state();
        let types = state
            .groups
            .get(group.name.as_str())
            .map(|known| &known.types);
        types.is_some_and(|types| group.types.iter().all(|kind| types.contains(kind.as_str())))
    }

    /// Takes types from a group, and the group itself when none is left. Returns how many events
    /// it held; dead letters are the store's.
    pub fn retire(&self, group: &Group, dead_letters_gone: u64) -> u64 {
        let mut state = self.state();
        let Some(known) = state.groups.get_mut(group.name.as_str()) else {
            return 0;
        };
        let gone = group
            .types
            .iter()
            .map(|kind| known.queue.retire(kind))
            .sum();
        known.dead = known.dead.saturating_sub(dead_letters_gone);
        known
            .types
            .retain(|kind| !group.types.iter().any(|retired| **retired == **kind));
        if known.types.is_empty() {
            state.groups.remove(group.name.as_str());
        }
        gone
    }

    /// The groups that want this type.
    #[must_use]
    pub fn wanting(&self, kind: &str) -> Vec<Arc<str>> {
        let state = self.state();
        state
            .groups
            .iter()
            .filter(|(_, group)| group.types.contains(kind))
            .map(|(name, _)| Arc::clone(name))
            .collect()
    }

    /// A new event that the store has, for one group. To be called in the order of the numbers.
    pub fn offer(&self, group: &str, entry: Entry) {
        self.with(group, |known, _| {
            known
                .queue
                .offer(entry, self.capacity.max_entries, self.capacity.max_bytes)
        });
    }

    /// A stored event that waits for its time: found at start, or replayed.
    pub fn restore(&self, group: &str, entry: Entry, wait: Duration) {
        let until = self.clock.monotonic().saturating_add(wait);
        self.with(group, |known, _| known.queue.delay(entry, until));
    }

    /// What the store holds for a group at start and memory does not.
    pub fn set_stored(&self, group: &str, backlog: &[(Arc<str>, u64)], dead: u64) {
        self.with(group, |known, _| {
            known.dead = dead;
            backlog
                .iter()
                .for_each(|(kind, waiting)| known.queue.set_backlog(kind, *waiting));
        });
    }

    /// The answer to [`Change::Refill`]: the next events in the order of their numbers.
    /// `exhausted`: the store has no more.
    pub fn refilled(&self, group: &str, kind: &Arc<str>, entries: Vec<Entry>, exhausted: bool) {
        self.with(group, |known, name| {
            let verdicts = known.queue.refilled(kind, entries, exhausted);
            self.note(known, name, verdicts);
        });
    }

    /// A refill could not be read. Nobody is woken: a member that asks later has it tried again.
    pub fn refill_failed(&self, group: &str, kind: &Arc<str>) {
        if let Some(known) = self.state().groups.get_mut(group) {
            known.queue.refill_failed(kind);
        }
    }

    /// The store took `count` dead letters away, by replay or discard.
    pub fn dead_letters_gone(&self, group: &str, count: u64) {
        self.with(group, |known, _| {
            known.dead = known.dead.saturating_sub(count)
        });
    }

    /// Gives the event to every live replica that wants it.
    pub fn broadcast(&self, event: &Arc<CloudEvent>) {
        self.hub.send(event);
    }

    /// Starts to receive. A group must have been declared.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`].
    pub fn subscribe(self: &Arc<Self>, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.validate()?;
        match subscription {
            Subscription::Broadcast { replica, types } => {
                let (clock, policy) = (Arc::clone(&self.clock), self.policy.clone());
                Ok(Box::new(self.hub.subscribe(replica, types, clock, policy)))
            }
            Subscription::Group(group) => {
                let mut state = self.state();
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
        let now = self.clock.monotonic();
        let mut state = self.state();
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
        let mut state = self.state();
        Arc::clone(&self.entry(&mut state, group).arrivals)
    }

    pub(super) fn take(&self, group: &Arc<str>, consumer: u64, kinds: &[Arc<str>]) -> Result<Take> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let known = self.entry(&mut state, group);
        let verdicts = known.queue.tick(now);
        self.note(known, group, verdicts);
        for kind in kinds {
            if let Some(after_seq) = known.queue.wants_refill(kind, self.capacity.low) {
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
        self.with(group, |known, _| known.queue.loaded(seq, event));
        Ok(())
    }

    pub(super) fn ack(&self, group: &Arc<str>, seq: u64, attempt: u32) -> Result<()> {
        let mut state = self.state();
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
        let now = self.clock.monotonic();
        let mut state = self.state();
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
        self.with(group, |known, name| {
            let verdicts = known.queue.release(consumer);
            self.note(known, name, verdicts);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<'s>(&self, state: &'s mut State, group: &str) -> &'s mut GroupState {
        state
            .groups
            .entry(group.into())
            .or_insert_with(|| GroupState {
                queue: GroupQueue::new(self.policy.clone()),
                types: BTreeSet::new(),
                arrivals: Arc::new(Notify::new()),
                dead: 0,
            })
    }

    /// Changes a known group and wakes its members.
    fn with(&self, group: &str, change: impl FnOnce(&mut GroupState, &Arc<str>)) {
        let mut state = self.state();
        let Some((name, _)) = state.groups.get_key_value(group) else {
            return;
        };
        let name = Arc::clone(name);
        if let Some(known) = state.groups.get_mut(&name) {
            change(known, &name);
            known.arrivals.notify_waiters();
        }
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
        let change = self.change(known, verdict);
        self.journal.record(group, change)
    }

    fn change(&self, known: &mut GroupState, verdict: Verdict) -> Change {
        let now = self.clock.now();
        match verdict {
            Verdict::Returned { seq, attempt } => Change::Returned { seq, attempt },
            Verdict::Retry { seq, attempt, wait } => {
                let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
                Change::Retry {
                    seq,
                    attempt,
                    due_at: now.checked_add_signed(wait).unwrap_or(now),
                }
            }
            Verdict::Dead {
                seq,
                attempts,
                reason,
            } => {
                known.dead += 1;
                Change::Dead {
                    seq,
                    attempts,
                    reason,
                    died_at: now,
                }
            }
        }
    }
}

/// The reason, cut at a character's border.
fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(limits::MAX_REASON_BYTES)]
}
