//! One group's queue: who holds what, what waits, what is due. No I/O, no clock, no lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::event::CloudEvent;
use crate::policy::RetryPolicy;

/// An event in a group's queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in the store; lower is older, never used twice.
    pub seq: u64,
    /// Its type.
    pub kind: Arc<str>,
    /// Deliveries so far.
    pub attempt: u32,
    /// Its body, unless that is only in the store.
    pub event: Option<Arc<CloudEvent>>,
    /// Encoded size, in bytes.
    pub size_bytes: usize,
}

/// What a member may have now.
#[derive(Debug)]
pub(super) enum Take {
    Event {
        seq: u64,
        attempt: u32,
        event: Arc<CloudEvent>,
    },
    /// The next one's body must be fetched first; ask again afterwards.
    NeedsBody { seq: u64 },
    /// Nothing; look again at this time, or when something arrives.
    Wait { until: Option<Duration> },
}

/// What became of a delivery that was not acknowledged.
#[derive(Debug)]
pub(super) enum Verdict {
    Returned {
        seq: u64,
        attempt: u32,
    },
    Retry {
        seq: u64,
        attempt: u32,
        wait: Duration,
    },
    Dead {
        seq: u64,
        attempts: u32,
        reason: String,
    },
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    consumer: u64,
    deadline: Duration,
}

/// The ready events of one type. What does not fit in memory is the backlog, in the store only.
#[derive(Debug, Default)]
struct Lane {
    ready: BTreeMap<u64, Entry>,
    ready_bytes: usize,
    backlog: u64,
    loaded_to: u64,
    refilling: bool,
}

impl Lane {
    fn insert(&mut self, entry: Entry) {
        self.ready_bytes += entry.size_bytes;
        if let Some(replaced) = self.ready.insert(entry.seq, entry) {
            self.ready_bytes -= replaced.size_bytes;
        }
    }

    fn remove(&mut self, seq: u64) -> Option<Entry> {
        let entry = self.ready.remove(&seq)?;
        self.ready_bytes -= entry.size_bytes;
        Some(entry)
    }
}

#[derive(Debug)]
pub(super) struct GroupQueue {
    policy: RetryPolicy,
    lanes: HashMap<Arc<str>, Lane>,
    delayed: BTreeMap<(Duration, u64), Entry>,
    held: HashMap<u64, Held>,
    deadlines: BTreeSet<(Duration, u64)>,
}

impl GroupQueue {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            lanes: HashMap::new(),
            delayed: BTreeMap::new(),
            held: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// A new event: into memory, unless the lane is full or older ones wait in the store.
    pub(super) fn offer(&mut self, entry: Entry, max_entries: usize, max_bytes: usize) {
        let lane = self.lanes.entry(Arc::clone(&entry.kind)).or_default();
        let full = lane.ready.len() >= max_entries || lane.ready_bytes >= max_bytes;
        if lane.backlog > 0 || (full && !lane.ready.is_empty()) {
            lane.backlog += 1;
        } else {
            lane.loaded_to = entry.seq;
            lane.insert(entry);
        }
    }

    /// The store holds this many of a type that memory does not know.
    pub(super) fn set_backlog(&mut self, kind: &Arc<str>, backlog: u64) {
        self.lanes.entry(Arc::clone(kind)).or_default().backlog = backlog;
    }

    /// The answer to a refill. Fewer than the backlog promised means that the store has no more.
    pub(super) fn refilled(
        &mut self,
        kind: &Arc<str>,
        entries: Vec<Entry>,
        exhausted: bool,
    ) -> Vec<Verdict> {
        let Some(lane) = self.lanes.get_mut(kind) else {
            return Vec::new();
        };
        lane.refilling = false;
        lane.backlog = lane
            .backlog
            .saturating_sub(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        if exhausted {
            lane.backlog = 0;
        }
        if let Some(last) = entries.last() {
            lane.loaded_to = last.seq;
        }
        let (good, spent): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.attempt < self.policy.max_attempts);
        good.into_iter().for_each(|entry| lane.insert(entry));
        spent.iter().map(unanswered).collect()
    }

    pub(super) fn refill_failed(&mut self, kind: &str) {
        if let Some(lane) = self.lanes.get_mut(kind) {
            lane.refilling = false;
        }
    }

    /// Whether a type should be refilled now, and from where; says so once per refill.
    pub(super) fn wants_refill(&mut self, kind: &str, low: usize) -> Option<u64> {
        let lane = self.lanes.get_mut(kind)?;
        if lane.refilling || lane.backlog == 0 || lane.ready.len() > low {
            return None;
        }
        lane.refilling = true;
        Some(lane.loaded_to)
    }

    pub(super) fn delay(&mut self, entry: Entry, until: Duration) {
        self.delayed.insert((until, entry.seq), entry);
    }

    /// Moves what has become due; returns what became of deliveries that nobody answered in time.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<Verdict> {
        while self
            .delayed
            .first_key_value()
            .is_some_and(|((until, _), _)| *until <= now)
        {
            if let Some((_, entry)) = self.delayed.pop_first() {
                self.ready(entry);
            }
        }
        let mut verdicts = Vec::new();
        while let Some((_, seq)) = self
            .deadlines
            .first()
            .copied()
            .filter(|(deadline, _)| *deadline <= now)
        {
            let Some(held) = self.unhold(seq) else {
                continue;
            };
            verdicts.push(self.failed(
                held.entry,
                "not answered within the visibility timeout",
                now,
            ));
        }
        verdicts
    }

    fn ready(&mut self, entry: Entry) {
        self.lanes
            .entry(Arc::clone(&entry.kind))
            .or_default()
            .insert(entry);
    }

    /// The oldest ready event among these types.
    pub(super) fn take(&mut self, consumer: u64, kinds: &[Arc<str>], now: Duration) -> Take {
        let oldest = |kind: &Arc<str>| {
            let (seq, entry) = self.lanes.get(kind)?.ready.first_key_value()?;
            Some((*seq, Arc::clone(kind), entry.event.clone()))
        };
        let Some((seq, kind, event)) = kinds.iter().filter_map(oldest).min_by_key(|(seq, ..)| *seq)
        else {
            let next_delayed = self.delayed.keys().next().map(|(until, _)| *until);
            let next_deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
            return Take::Wait {
                until: next_delayed.into_iter().chain(next_deadline).min(),
            };
        };
        let Some(event) = event else {
            return Take::NeedsBody { seq };
        };
        let Some(mut entry) = self.lanes.get_mut(&kind).and_then(|lane| lane.remove(seq)) else {
            return Take::Wait { until: Some(now) };
        };
        entry.attempt = entry.attempt.saturating_add(1);
        let attempt = entry.attempt;
        let deadline = now.saturating_add(self.policy.visibility_timeout());
        self.deadlines.insert((deadline, seq));
        self.held.insert(
            seq,
            Held {
                entry,
                consumer,
                deadline,
            },
        );
        Take::Event {
            seq,
            attempt,
            event,
        }
    }

    /// The body of a ready event has come from the store; none: it is gone.
    pub(super) fn loaded(&mut self, seq: u64, event: Option<Arc<CloudEvent>>) {
        let Some(lane) = self
            .lanes
            .values_mut()
            .find(|lane| lane.ready.contains_key(&seq))
        else {
            return;
        };
        match event {
            Some(event) => {
                if let Some(entry) = lane.ready.get_mut(&seq) {
                    entry.event = Some(event);
                }
            }
            None => drop(lane.remove(seq)),
        }
    }

    /// True when the delivery was still held, and is now forgotten.
    pub(super) fn ack(&mut self, seq: u64, attempt: u32) -> bool {
        self.holds(seq, attempt) && self.unhold(seq).is_some()
    }

    /// What becomes of a delivery that failed; none when it was no longer held.
    pub(super) fn nack(
        &mut self,
        seq: u64,
        attempt: u32,
        reason: &str,
        now: Duration,
    ) -> Option<Verdict> {
        if !self.holds(seq, attempt) {
            return None;
        }
        let held = self.unhold(seq)?;
        Some(self.failed(held.entry, reason, now))
    }

    /// Everything that this consumer holds goes back.
    pub(super) fn release(&mut self, consumer: u64) -> Vec<Verdict> {
        let seqs: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.consumer == consumer)
            .map(|(seq, _)| *seq)
            .collect();
        let mut verdicts = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let Some(held) = self.unhold(seq) else {
                continue;
            };
            if held.entry.attempt >= self.policy.max_attempts {
                verdicts.push(unanswered(&held.entry));
            } else {
                verdicts.push(Verdict::Returned {
                    seq,
                    attempt: held.entry.attempt,
                });
                self.ready(held.entry);
            }
        }
        verdicts
    }

    /// Forgets every event of this type; returns how many memory and store had.
    pub(super) fn retire(&mut self, kind: &str) -> u64 {
        let lane = self.lanes.remove(kind).unwrap_or_default();
        let before = self.delayed.len() + self.held.len();
        self.delayed.retain(|_, entry| &*entry.kind != kind);
        self.held.retain(|_, held| &*held.entry.kind != kind);
        self.deadlines
            .retain(|(_, seq)| self.held.contains_key(seq));
        let gone = before - self.delayed.len() - self.held.len() + lane.ready.len();
        lane.backlog
            .saturating_add(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    pub(super) fn ready_count(&self) -> u64 {
        self.lanes
            .values()
            .map(|lane| count(lane.ready.len()).saturating_add(lane.backlog))
            .sum()
    }

    pub(super) fn delayed_count(&self) -> u64 {
        count(self.delayed.len())
    }

    pub(super) fn held_count(&self) -> u64 {
        count(self.held.len())
    }

    /// The attempt tells a delivery from a later one of the same event.
    fn holds(&self, seq: u64, attempt: u32) -> bool {
        self.held
            .get(&seq)
            .is_some_and(|held| held.entry.attempt == attempt)
    }

    fn unhold(&mut self, seq: u64) -> Option<Held> {
        let held = self.held.remove(&seq)?;
        self.deadlines.remove(&(held.deadline, seq));
        Some(held)
    }

    fn failed(&mut self, mut entry: Entry, reason: &str, now: Duration) -> Verdict {
        if entry.attempt >= self.policy.max_attempts {
            return Verdict::Dead {
                seq: entry.seq,
                attempts: entry.attempt,
                reason: reason.to_owned(),
            };
        }
        let wait = self.policy.backoff(entry.attempt);
        let verdict = Verdict::Retry {
            seq: entry.seq,
            attempt: entry.attempt,
            wait,
        };
        // Many may fail at once: only their numbers wait in memory.
        entry.event = None;
        self.delay(entry, now.saturating_add(wait));
        verdict
    }
}

fn unanswered(entry: &Entry) -> Verdict {
    let reason = format!("delivered {} times without an answer", entry.attempt);
    Verdict::Dead {
        seq: entry.seq,
        attempts: entry.attempt,
        reason,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn queue() -> GroupQueue {
        GroupQueue::new(RetryPolicy {
            backoff_seconds: vec![1],
            max_attempts: 2,
            visibility_timeout_seconds: 10,
        })
    }

    fn entry(seq: u64, kind: &str) -> Entry {
        let event = CloudEvent::new(seq.to_string(), "/s", kind, DateTime::UNIX_EPOCH);
        Entry {
            seq,
            kind: kind.into(),
            attempt: 0,
            event: Some(Arc::new(event)),
            size_bytes: 10,
        }
    }

    fn taken(take: Take) -> (u64, u32) {
        match take {
            Take::Event { seq, attempt, .. } => (seq, attempt),
            other => panic!("nothing taken: {other:?}"),
        }
    }

    #[test]
    fn a_member_gets_the_oldest_of_its_own_types() {
        let mut queue = queue();
        for (seq, kind) in [(1, "a"), (2, "b"), (3, "a")] {
            queue.offer(entry(seq, kind), 10, 1000);
        }
        assert_eq!(taken(queue.take(1, &["b".into()], NOW)), (2, 1));
        assert_eq!(taken(queue.take(1, &["b".into(), "a".into()], NOW)), (1, 1));
        assert!(matches!(
            queue.take(1, &["b".into()], NOW),
            Take::Wait { until: Some(_) }
        ));
    }

    #[test]
    fn a_late_answer_does_not_touch_a_later_delivery() {
        let mut queue = queue();
        queue.offer(entry(1, "a"), 10, 1000);
        assert_eq!(taken(queue.take(1, &["a".into()], NOW)), (1, 1));
        let timeout = Duration::from_secs(10);
        assert!(matches!(
            queue.tick(timeout)[..],
            [Verdict::Retry {
                seq: 1,
                attempt: 1,
                ..
            }]
        ));
        queue.tick(timeout + Duration::from_secs(1));
        queue.loaded(1, entry(1, "a").event);
        assert_eq!(taken(queue.take(1, &["a".into()], timeout)), (1, 2));
        assert!(!queue.ack(1, 1), "the first delivery is no longer held");
        assert!(queue.ack(1, 2));
        assert_eq!(
            (
                queue.ready_count(),
                queue.delayed_count(),
                queue.held_count()
            ),
            (0, 0, 0)
        );
    }

    #[test]
    fn what_does_not_fit_in_memory_is_refilled_once_and_in_order() {
        let mut queue = queue();
        for seq in 1..=5 {
            queue.offer(entry(seq, "a"), 2, 1000);
        }
        assert_eq!(queue.ready_count(), 5);
        assert_eq!(taken(queue.take(1, &["a".into()], NOW)).0, 1);
        assert_eq!(queue.wants_refill("a", 1), Some(2));
        assert_eq!(queue.wants_refill("a", 1), None, "one at a time");
        queue.refilled(&"a".into(), vec![entry(3, "a"), entry(4, "a")], false);
        queue.offer(entry(6, "a"), 2, 1000);
        let order: Vec<u64> = (0..3)
            .map(|_| taken(queue.take(1, &["a".into()], NOW)).0)
            .collect();
        assert_eq!(order, [2, 3, 4]);
        assert_eq!(queue.wants_refill("a", 1), Some(4));
        queue.refilled(&"a".into(), vec![entry(5, "a"), entry(6, "a")], true);
        assert_eq!(queue.ready_count(), 2);
    }

    #[test]
    fn an_event_that_is_given_back_too_often_dies() {
        let mut queue = queue();
        queue.offer(entry(1, "a"), 10, 1000);
        taken(queue.take(7, &["a".into()], NOW));
        assert!(matches!(
            queue.release(7)[..],
            [Verdict::Returned { seq: 1, attempt: 1 }]
        ));
        taken(queue.take(8, &["a".into()], NOW));
        assert!(queue.release(7).is_empty(), "not its own");
        assert!(matches!(
            queue.release(8)[..],
            [Verdict::Dead { attempts: 2, .. }]
        ));
    }
}
