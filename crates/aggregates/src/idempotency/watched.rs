//! Running requests of others, and since when this process has seen no sign of life of them.
//!
//! Every beat writes the key's row under a new operation's id. So an id that is still there was seen for as long as
//! nothing was heard, by the watcher's own monotonic clock: the clocks of two machines are never compared.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

/// How many are remembered; of more, the oldest are forgotten, and watched anew.
const MOST: usize = 1024;

/// Those that one process has met; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchedKeys(Arc<Mutex<VecDeque<(Uuid, Duration)>>>);

impl WatchedKeys {
    /// A row carries this operation at this moment: for how long has it?
    pub(super) fn silent_for(&self, op_id: Uuid, now: Duration) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = seen.iter().find(|(known, _)| *known == op_id) {
            return now.saturating_sub(*since);
        }
        if seen.len() == MOST {
            seen.pop_front();
        }
        seen.push_back((op_id, now));
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_first_sight_and_a_new_operation_ends_it() {
        let watched = WatchedKeys::default();
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let at = Duration::from_secs;
        assert_eq!(watched.silent_for(first, at(100)), at(0));
        assert_eq!(watched.clone().silent_for(first, at(107)), at(7));
        assert_eq!(watched.silent_for(second, at(108)), at(0));
        assert_eq!(watched.silent_for(second, at(109)), at(1));
        assert_eq!(watched.silent_for(first, at(110)), at(10));
    }

    #[test]
    fn of_too_many_the_oldest_are_watched_anew() {
        let watched = WatchedKeys::default();
        for id in 0..=MOST as u128 {
            watched.silent_for(Uuid::from_u128(id), Duration::ZERO);
        }
        let later = Duration::from_secs(9);
        assert_eq!(watched.silent_for(Uuid::from_u128(1), later), later);
        assert_eq!(
            watched.silent_for(Uuid::from_u128(0), later),
            Duration::ZERO
        );
        assert_eq!(watched.0.lock().unwrap().len(), MOST);
    }
}
