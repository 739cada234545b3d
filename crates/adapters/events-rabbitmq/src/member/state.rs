//! Who holds what. No input or output here.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use riwaq_events::CloudEvent;

/// One of the types that a member subscribed to.
pub(crate) type Lane = usize;
/// One subscription at the broker; a lane has had many, and at most one is open.
pub(crate) type Tag = u32;

/// An event that the broker has sent to this member.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) delivery: u64,
    pub(crate) lane: Lane,
    pub(crate) tag: Tag,
    pub(crate) event: Arc<CloudEvent>,
    /// Deliveries before this one that failed.
    pub(crate) attempts: u32,
}

/// An event in somebody's hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) fetched: Fetched,
    pub(crate) since: Duration,
    deadline: Duration,
}

impl Held {
    /// The number of this delivery, from 1.
    pub(crate) const fn attempt(&self) -> u32 {
        self.fetched.attempts.saturating_add(1)
    }
}

/// What the next one gets.
pub(crate) struct Taken {
    pub(crate) tag: u64,
    pub(crate) attempt: u32,
    pub(crate) event: Arc<CloudEvent>,
}

pub(crate) enum Take {
    Event(Taken),
    Nothing,
    Ended(String),
}

#[derive(Debug)]
struct OpenTag {
    lane: Lane,
    window: u16,
    /// Sent by the broker and not yet answered.
    unanswered: u32,
    open: bool,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct State {
    buffer: VecDeque<Fetched>,
    held: HashMap<u64, Held>,
    deadlines: BTreeSet<(Duration, u64)>,
    tags: BTreeMap<Tag, OpenTag>,
    tags_so_far: Tag,
    waiting: bool,
    asked_at: Duration,
    window: u16,
    largest_window: u16,
    retired: BTreeSet<Lane>,
    ended: Option<String>,
}

impl State {
    pub(crate) fn new(largest_window: u16) -> Self {
        Self {
            buffer: VecDeque::new(),
            held: HashMap::new(),
            deadlines: BTreeSet::new(),
            tags: BTreeMap::new(),
            tags_so_far: 0,
            waiting: false,
            asked_at: Duration::ZERO,
            window: 1,
            largest_window,
            retired: BTreeSet::new(),
            ended: None,
        }
    }

    /// Hands out the oldest; otherwise notes that somebody waits.
    pub(crate) fn take(&mut self, now: Duration, visibility: Duration) -> Take {
        self.asked_at = now;
        if let Some(fetched) = self.buffer.pop_front() {
            self.waiting = false;
            let deadline = now.saturating_add(visibility);
            let held = Held {
                fetched,
                since: now,
                deadline,
            };
            let taken = Taken {
                tag: held.fetched.delivery,
                attempt: held.attempt(),
                event: Arc::clone(&held.fetched.event),
            };
            self.deadlines.insert((deadline, taken.tag));
            self.held.insert(taken.tag, held);
            return Take::Event(taken);
        }
        if let Some(reason) = &self.ended {
            return Take::Ended(reason.clone());
        }
        self.waiting = true;
        Take::Nothing
    }

    /// True when somebody had waited and has not been served.
    pub(crate) fn stop_asking(&mut self, now: Duration) -> bool {
        let waited = self.waiting;
        self.waiting = false;
        if waited {
            self.asked_at = now;
        }
        waited
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.waiting && self.buffer.is_empty() && self.ended.is_none()
    }

    /// Nobody has asked for so long, though the broker may still send.
    pub(crate) fn is_forgotten(&self, now: Duration, linger: Duration) -> bool {
        !self.waiting
            && now.saturating_sub(self.asked_at) >= linger
            && (!self.buffer.is_empty() || self.tags.values().any(|tag| tag.open))
    }

    /// Whether the clock must be watched for [`State::is_forgotten`].
    pub(crate) fn may_be_forgotten(&self) -> bool {
        !self.buffer.is_empty() || (!self.waiting && self.tags.values().any(|tag| tag.open))
    }

    /// Lanes whose subscription has no room left, or a much smaller window than is due by now.
    pub(crate) fn starved(&self, lanes: usize) -> Vec<Lane> {
        let fed = |lane: &Lane| {
            self.tags.values().any(|tag| {
                tag.open
                    && tag.lane == *lane
                    && tag.unanswered < u32::from(tag.window)
                    && self.window < tag.window.saturating_mul(2)
            })
        };
        (0..lanes)
            .filter(|lane| !self.retired.contains(lane) && !fed(lane))
            .collect()
    }

    pub(crate) const fn window(&self) -> u16 {
        self.window
    }

    /// A new subscription for a lane, and the one that it replaces.
    pub(crate) fn open_tag(&mut self, lane: Lane) -> (Tag, Option<Tag>) {
        let replaced = self
            .tags
            .iter_mut()
            .find(|(_, tag)| tag.open && tag.lane == lane)
            .map(|(name, tag)| {
                tag.open = false;
                *name
            });
        self.tags_so_far += 1;
        let opened = OpenTag {
            lane,
            window: self.window,
            unanswered: 0,
            open: true,
        };
        self.tags.insert(self.tags_so_far, opened);
        (self.tags_so_far, replaced)
    }

    /// The broker has ended a subscription. False when nobody had asked it to.
    pub(crate) fn tag_ended(&mut self, tag: Tag) -> bool {
        let expected = self
            .tags
            .get(&tag)
            .is_none_or(|known| !known.open || self.retired.contains(&known.lane));
        self.tags.remove(&tag);
        expected
    }

    pub(crate) fn arrived(&mut self, fetched: Fetched) {
        if let Some(tag) = self.tags.get_mut(&fetched.tag) {
            tag.unanswered += 1;
        }
        self.buffer.push_back(fetched);
    }

    /// Takes an event out of somebody's hand; none when it was no longer in it.
    pub(crate) fn let_go(&mut self, delivery: u64) -> Option<Held> {
        let held = self.held.remove(&delivery)?;
        self.deadlines.remove(&(held.deadline, delivery));
        self.answered(held.fetched.tag);
        Some(held)
    }

    fn answered(&mut self, tag: Tag) {
        if let Some(tag) = self.tags.get_mut(&tag) {
            tag.unanswered = tag.unanswered.saturating_sub(1);
        }
    }

    /// Events that are handled quickly may be fetched ahead, slow ones may not.
    pub(crate) fn adapt(&mut self, handled_in: Duration, linger: Duration) {
        self.window = if handled_in < linger {
            self.window.saturating_mul(2).min(self.largest_window)
        } else {
            (self.window / 2).max(1)
        };
    }

    /// Those held for too long.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<Held> {
        let mut expired = Vec::new();
        while let Some((deadline, delivery)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            match self.let_go(delivery) {
                Some(held) => expired.push(held),
                None => drop(self.deadlines.pop_first()),
            }
        }
        expired
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Ends all subscriptions and lets go of what nobody asked for.
    pub(crate) fn give_back(&mut self) -> (Vec<Tag>, Vec<Fetched>) {
        self.window = 1;
        let mut closing = Vec::new();
        for (name, tag) in &mut self.tags {
            if tag.open {
                tag.open = false;
                closing.push(*name);
            }
        }
        let buffered: Vec<Fetched> = self.buffer.drain(..).collect();
        for fetched in &buffered {
            self.answered(fetched.tag);
        }
        (closing, buffered)
    }

    /// Everything in somebody's hand.
    pub(crate) fn let_go_all(&mut self) -> Vec<Held> {
        let all: Vec<u64> = self.held.keys().copied().collect();
        all.into_iter().filter_map(|one| self.let_go(one)).collect()
    }

    /// Forgets a lane whose queue is about to go; returns how many of its events were here.
    pub(crate) fn retire(&mut self, lane: Lane) -> usize {
        self.retired.insert(lane);
        let before = self.buffer.len() + self.held.len();
        self.buffer.retain(|fetched| fetched.lane != lane);
        let gone: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.fetched.lane == lane)
            .map(|(delivery, _)| *delivery)
            .collect();
        for delivery in gone {
            self.let_go(delivery);
        }
        before - self.buffer.len() - self.held.len()
    }

    /// The channel is gone, and with it everything that was here.
    pub(crate) fn end(&mut self, reason: String) {
        self.buffer.clear();
        self.held.clear();
        self.deadlines.clear();
        self.tags.clear();
        self.ended = Some(reason);
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.buffer.len(), self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const LINGER: Duration = Duration::from_millis(100);
    const VISIBILITY: Duration = Duration::from_secs(30);
    const NOW: Duration = Duration::from_secs(1);

    fn fetched(delivery: u64, tag: Tag) -> Fetched {
        let event = CloudEvent::new(delivery.to_string(), "/s", "t", DateTime::UNIX_EPOCH);
        Fetched {
            delivery,
            lane: 0,
            tag,
            event: Arc::new(event),
            attempts: 0,
        }
    }

    fn taken(state: &mut State) -> Option<u64> {
        match state.take(NOW, VISIBILITY) {
            Take::Event(taken) => Some(taken.tag),
            Take::Nothing | Take::Ended(_) => None,
        }
    }

    #[test]
    fn a_lane_is_fed_only_as_long_as_its_window_has_room() {
        let mut state = State::new(8);
        assert_eq!(taken(&mut state), None);
        assert!(state.is_asked());
        assert_eq!(state.starved(1), [0]);
        let (tag, replaced) = state.open_tag(0);
        assert_eq!((replaced, state.starved(1)), (None, vec![]));
        state.arrived(fetched(1, tag));
        assert_eq!(state.starved(1), [0], "its window of one is used up");
        assert_eq!(taken(&mut state), Some(1));
        let (second, replaced) = state.open_tag(0);
        assert_eq!(replaced, Some(tag));
        assert!(state.starved(1).is_empty());
        assert!(state.tag_ended(tag), "we had closed it");
        assert!(!state.tag_ended(second), "the broker did");
    }

    #[test]
    fn the_window_grows_with_quick_answers_and_is_renewed_then() {
        let mut state = State::new(4);
        state.open_tag(0);
        assert!(state.starved(1).is_empty());
        state.adapt(Duration::from_millis(1), LINGER);
        assert_eq!((state.window(), state.starved(1)), (2, vec![0]));
        for _ in 0..5 {
            state.adapt(Duration::from_millis(1), LINGER);
        }
        assert_eq!(state.window(), 4);
        state.adapt(LINGER, LINGER);
        assert_eq!(state.window(), 2);
    }

    #[test]
    fn what_nobody_asks_for_is_given_back_after_a_while() {
        let mut state = State::new(8);
        let (tag, _) = state.open_tag(0);
        assert_eq!(taken(&mut state), None);
        state.arrived(fetched(1, tag));
        state.arrived(fetched(2, tag));
        assert_eq!(taken(&mut state), Some(1));
        assert!(!state.is_forgotten(NOW, LINGER) && state.may_be_forgotten());
        assert!(state.is_forgotten(NOW + LINGER, LINGER));
        let (closing, buffered) = state.give_back();
        assert_eq!((closing, buffered.len()), (vec![tag], 1));
        assert!(!state.is_forgotten(NOW + LINGER, LINGER));
        assert_eq!(state.counts(), (0, 1), "what is in a hand stays there");
    }

    #[test]
    fn what_is_held_too_long_is_taken_away_once() {
        let mut state = State::new(8);
        let (tag, _) = state.open_tag(0);
        state.arrived(fetched(1, tag));
        taken(&mut state);
        assert!(
            state
                .expired(NOW + VISIBILITY - Duration::from_nanos(1))
                .is_empty()
        );
        assert_eq!(state.next_deadline(), Some(NOW + VISIBILITY));
        assert_eq!(state.expired(NOW + VISIBILITY).len(), 1);
        assert!(state.let_go(1).is_none(), "a late answer finds nothing");
    }

    #[test]
    fn a_retired_lane_is_forgotten_and_never_fed_again() {
        let mut state = State::new(8);
        let (tag, _) = state.open_tag(0);
        state.arrived(fetched(1, tag));
        state.arrived(fetched(2, tag));
        taken(&mut state);
        assert_eq!(state.retire(0), 2);
        assert_eq!((state.counts(), state.starved(1)), ((0, 0), vec![]));
        assert!(state.tag_ended(tag));
    }
}
