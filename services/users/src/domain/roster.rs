//! Who is known to be an active administrator, so that the last one is never taken away.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Minutes for which one who was taken off is not put back because of an older observation.
const LEAVING_MINUTES: i64 = 5;

/// The known administrators: never more than there are. Whoever is to lose the role is taken off first, so
/// two who demote each other at the same moment cannot both succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Roster {
    pub members: BTreeSet<Uuid>,
    /// Taken off lately, and when.
    #[serde(default)]
    pub left: BTreeMap<Uuid, DateTime<Utc>>,
}

impl Roster {
    /// Without `id`; none when nobody would remain.
    pub(crate) fn without(&self, id: Uuid, now: DateTime<Utc>) -> Option<Self> {
        let mut next = self.tidied(now);
        next.members.remove(&id);
        next.left.insert(id, now);
        (!next.members.is_empty()).then_some(next)
    }

    /// With those who were seen to be active administrators, except who is just leaving.
    pub(crate) fn with_seen(&self, seen: &[Uuid], now: DateTime<Utc>) -> Self {
        let mut next = self.tidied(now);
        let staying: Vec<_> = seen
            .iter()
            .filter(|id| !next.left.contains_key(id))
            .copied()
            .collect();
        next.members.extend(staying);
        next
    }

    /// With one who surely is: made so, or whose leaving did not happen.
    pub(crate) fn with(&self, id: Uuid, now: DateTime<Utc>) -> Self {
        let mut next = self.tidied(now);
        next.left.remove(&id);
        next.members.insert(id);
        next
    }

    /// Without one who surely is none any more.
    pub(crate) fn without_gone(&self, id: Uuid) -> Self {
        let mut next = self.clone();
        next.members.remove(&id);
        next
    }

    fn tidied(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        next.left
            .retain(|_, left| *left + TimeDelta::minutes(LEAVING_MINUTES) > now);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_stays_and_who_leaves_is_not_put_back_by_an_old_observation() {
        let (a, b, now) = (Uuid::from_u128(1), Uuid::from_u128(2), DateTime::UNIX_EPOCH);
        let both = Roster::default().with(a, now).with(b, now);
        let only_b = both.without(a, now).unwrap();
        assert_eq!(only_b.without(b, now), None);
        let seen = only_b.with_seen(&[a, b], now + TimeDelta::seconds(1));
        assert_eq!(seen.members, BTreeSet::from([b]));
        let later = only_b.with_seen(&[a, b], now + TimeDelta::minutes(6));
        assert_eq!(later.members, BTreeSet::from([a, b]));
        assert_eq!(only_b.with(a, now).members, BTreeSet::from([a, b]));
    }
}
