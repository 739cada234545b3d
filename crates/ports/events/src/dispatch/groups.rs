//! What the groups of this process want and hold. Whoever keeps the events may hold this; it
//! leads back to no [`super::Journal`], so the two do not keep each other alive.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use riwaq_clock::SharedClock;
use tokio::sync::Notify;

use super::broadcast::Hub;
use super::journal::Change;
use super::queue::{Entry, GroupQueue, Verdict};
use crate::event::CloudEvent;
use crate::policy::RetryPolicy;
use crate::port::Group;

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

/// The groups and replicas of this process: what the store tells of them. What members ask for is
/// [`super::Dispatcher`]'s.
pub struct Groups {
    pub(super) clock: SharedClock,
    pub(super) policy: RetryPolicy,
    pub(super) capacity: Capacity,
    pub(super) hub: Hub,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) groups: BTreeMap<Arc<str>, GroupState>,
    pub(super) consumers_so_far: u64,
}

pub(super) struct GroupState {
    pub(super) queue: GroupQueue,
    pub(super) types: BTreeSet<Arc<str>>,
    pub(super) arrivals: Arc<Notify>,
    pub(super) dead: u64,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Groups {
    pub(super) fn new(clock: SharedClock, policy: RetryPolicy, capacity: Capacity) -> Self {
        Self {
            clock,
            policy,
            capacity,
            hub: Hub::default(),
            state: Mutex::default(),
        }
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
    /// `exhausted`: the store has no more. Returns what that decided, for the store to note.
    #[must_use]
    pub fn refilled(
        &self,
        group: &str,
        kind: &Arc<str>,
        entries: Vec<Entry>,
        exhausted: bool,
    ) -> Vec<Change> {
        let mut decided = Vec::new();
        self.with(group, |known, _| {
            for verdict in known.queue.refilled(kind, entries, exhausted) {
                decided.push(self.change(known, verdict));
            }
        });
        decided
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

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn entry<'s>(&self, state: &'s mut State, group: &str) -> &'s mut GroupState {
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
    pub(super) fn with(&self, group: &str, change: impl FnOnce(&mut GroupState, &Arc<str>)) {
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

    /// A decision as the store is told of it.
    pub(super) fn change(&self, known: &mut GroupState, verdict: Verdict) -> Change {
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
