//! Identifiers that we make: UUID version 7, by the injected clock.

use riwaq_clock::Clock;
use uuid::{NoContext, Timestamp, Uuid};

/// A new id. Ids made later sort later, to the millisecond; do not use one as a time or as a secret.
#[must_use]
pub fn new_id(clock: &dyn Clock) -> Uuid {
    let now = clock.now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use riwaq_clock::ManualClock;

    use super::*;

    #[test]
    fn ids_carry_the_injected_time_and_differ() {
        let clock = ManualClock::at(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let (first, second) = (new_id(&*clock), new_id(&*clock));
        clock.advance(Duration::from_millis(1));
        let third = new_id(&*clock);
        assert_ne!(first, second);
        assert!(third > first && third > second);
        assert_eq!(first.get_version_num(), 7);
        assert_eq!(first.get_timestamp().unwrap().to_unix().0, 1_700_000_000);
    }
}
