//! Semesters: the buckets in which lists of courses are kept.
//!
//! A partition should not hold more than 10,000 rows, and a page should be one or two reads. So courses
//! are listed by the half-year of their making, which their id (UUID version 7) tells.

use chrono::{DateTime, Datelike as _, Utc};
use uuid::Uuid;

/// The half-year of a time, counted so that later ones are greater.
pub(crate) fn semester_at(time: DateTime<Utc>) -> i64 {
    i64::from(time.year()) * 2 + i64::from(time.month() > 6)
}

/// The half-year in which a course was made.
pub(crate) fn semester_of(course_id: Uuid) -> i64 {
    let seconds = course_id
        .get_timestamp()
        .map_or(0, |timestamp| timestamp.to_unix().0);
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    semester_at(time.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::{NoContext, Timestamp};

    use super::*;

    fn made_at(seconds: u64) -> Uuid {
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0))
    }

    #[test]
    fn a_year_has_two() {
        let at = |text: &str| semester_at(text.parse().unwrap());
        assert_eq!(at("2026-06-30T23:59:59Z"), 4052);
        assert_eq!(at("2026-07-01T00:00:00Z"), 4053);
        assert_eq!(at("2027-01-01T00:00:00Z"), 4054);
    }

    proptest! {
        // Up to the year 2500. The order of the lists relies on it.
        #[test]
        fn a_later_id_is_in_no_earlier_semester(a in 0_u64..16_700_000_000, b in 0_u64..16_700_000_000) {
            let (first, second) = (made_at(a.min(b)), made_at(a.max(b)));
            prop_assert!(semester_of(first) <= semester_of(second));
            prop_assert_eq!(semester_of(first), semester_at(DateTime::from_timestamp(a.min(b).cast_signed(), 0).unwrap()));
        }
    }
}
