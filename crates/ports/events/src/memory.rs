//! The bus in memory: for tests, and the reference of the model-based ones. Forgets at exit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::SharedClock;

use crate::dispatch::{Capacity, Change, Dispatcher, Entry, Journal};
use crate::error::{EventsError, Result};
use crate::event::CloudEvent;
use crate::policy::RetryPolicy;
use crate::port::{
    Consumer, DeadLetter, DeadLetterPage, Events, Group, GroupDepth, Subscription, check_page,
};

/// An [`Events`] in memory. Clones are handles on the same bus.
#[derive(Debug, Clone)]
pub struct MemoryEvents {
    dispatcher: Arc<Dispatcher>,
    store: Arc<Store>,
}

impl MemoryEvents {
    /// An empty bus.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] when the policy cannot work.
    pub fn new(clock: SharedClock, policy: RetryPolicy) -> Result<Self> {
        let store = Arc::new(Store::default());
        let everything = Capacity {
            max_entries: usize::MAX,
            max_bytes: usize::MAX,
            low: 0,
        };
        let journal: Arc<dyn Journal> = Arc::clone(&store) as _;
        Ok(Self {
            dispatcher: Arc::new(Dispatcher::new(journal, clock, policy, everything)?),
            store,
        })
    }

    /// Gives one dead letter back to its group.
    fn revive(&self, group: &str, letter: &DeadLetter, seq: u64) {
        let event = Arc::new(letter.event.clone());
        self.store
            .state()
            .live
            .insert((group.into(), seq), Arc::clone(&event));
        let entry = Entry {
            seq,
            kind: event.kind.as_str().into(),
            attempt: 0,
            event: Some(event),
            size_bytes: 0,
        };
        self.dispatcher.groups().dead_letters_gone(group, 1);
        self.dispatcher
            .groups()
            .restore(group, entry, Duration::ZERO);
    }

    fn take_dead(&self, group: &str, id: &str) -> Result<(u64, DeadLetter)> {
        let missing = || EventsError::NoSuchDeadLetter {
            group: group.to_owned(),
            id: id.to_owned(),
        };
        let seq: u64 = id.parse().map_err(|_| missing())?;
        let letter = self
            .store
            .state()
            .dead
            .remove(&(group.into(), seq))
            .ok_or_else(missing)?;
        Ok((seq, letter))
    }
}

type Key = (Arc<str>, u64);

/// Every stored event, and the dead letters.
#[derive(Debug, Default)]
struct Store {
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    last_seq: u64,
    live: HashMap<Key, Arc<CloudEvent>>,
    dead: BTreeMap<Key, DeadLetter>,
}

impl Store {
    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for Store {
    fn record(&self, group: &Arc<str>, change: Change) -> Result<()> {
        let mut state = self.state();
        match change {
            Change::Acked { seq } => drop(state.live.remove(&(Arc::clone(group), seq))),
            Change::Dead {
                seq,
                attempts,
                reason,
                died_at,
            } => {
                let key = (Arc::clone(group), seq);
                if let Some(event) = state.live.remove(&key) {
                    let (id, group, event) = (seq.to_string(), group.to_string(), (*event).clone());
                    state.dead.insert(
                        key,
                        DeadLetter {
                            id,
                            group,
                            event,
                            attempts,
                            reason,
                            died_at,
                        },
                    );
                }
            }
            // The dispatcher's own memory is as good as ours.
            Change::Delivered { .. }
            | Change::Returned { .. }
            | Change::Retry { .. }
            | Change::Refill { .. } => {}
        }
        Ok(())
    }

    async fn load(&self, group: &Arc<str>, seq: u64) -> Result<Option<Arc<CloudEvent>>> {
        Ok(self.state().live.get(&(Arc::clone(group), seq)).cloned())
    }
}

#[async_trait]
impl Events for MemoryEvents {
    async fn declare_group(&self, group: &Group) -> Result<()> {
        group.validate()?;
        self.dispatcher.groups().declare(group);
        Ok(())
    }

    async fn retire_group(&self, group: &Group) -> Result<u64> {
        group.validate()?;
        let dead = {
            let mut state = self.store.state();
            let retired = |key: &Key, event: &CloudEvent| {
                *key.0 == *group.name && group.types.contains(&event.kind)
            };
            state.live.retain(|key, event| !retired(key, event));
            let before = state.dead.len();
            state
                .dead
                .retain(|key, letter| !retired(key, &letter.event));
            u64::try_from(before - state.dead.len()).unwrap_or(u64::MAX)
        };
        Ok(self
            .dispatcher
            .groups()
            .retire(group, dead)
            .saturating_add(dead))
    }

    async fn publish(&self, event: CloudEvent) -> Result<()> {
        let size_bytes = event.encode()?.len();
        let event = Arc::new(event);
        let kind: Arc<str> = event.kind.as_str().into();
        for group in self.dispatcher.groups().wanting(&kind) {
            let mut state = self.store.state();
            state.last_seq += 1;
            let seq = state.last_seq;
            state
                .live
                .insert((Arc::clone(&group), seq), Arc::clone(&event));
            drop(state);
            let entry = Entry {
                seq,
                kind: Arc::clone(&kind),
                attempt: 0,
                event: Some(Arc::clone(&event)),
                size_bytes,
            };
            self.dispatcher.groups().offer(&group, entry);
        }
        self.dispatcher.groups().broadcast(&event);
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        subscription.validate()?;
        if let Subscription::Group(group) = &subscription {
            self.dispatcher.groups().declare(group);
        }
        self.dispatcher.subscribe(subscription)
    }

    async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<DeadLetterPage> {
        let after = check_page(after, limit)?;
        let state = self.store.state();
        let first = (Arc::from(group), after.saturating_add(1));
        let mut items: Vec<DeadLetter> = state
            .dead
            .range(first..)
            .take_while(|(key, _)| *key.0 == *group)
            .take(limit + 1)
            .map(|(_, letter)| letter.clone())
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(DeadLetterPage { items, next })
    }

    async fn replay(&self, group: &str, id: &str) -> Result<()> {
        let (seq, letter) = self.take_dead(group, id)?;
        self.revive(group, &letter, seq);
        Ok(())
    }

    async fn replay_all(&self, group: &str) -> Result<u64> {
        let taken: Vec<(Key, DeadLetter)> = self
            .store
            .state()
            .dead
            .extract_if(.., |key, _| *key.0 == *group)
            .collect();
        for (key, letter) in &taken {
            self.revive(group, letter, key.1);
        }
        Ok(u64::try_from(taken.len()).unwrap_or(u64::MAX))
    }

    async fn discard(&self, group: &str, id: &str) -> Result<()> {
        self.take_dead(group, id)?;
        self.dispatcher.groups().dead_letters_gone(group, 1);
        Ok(())
    }

    async fn depths(&self) -> Result<Vec<GroupDepth>> {
        Ok(self.dispatcher.depths())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
