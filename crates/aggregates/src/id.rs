//! Ids: of aggregates, of operations, and new ones from the injected clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng as _;
use riwaq_clock::Clock;
use riwaq_records::Value;
use uuid::Uuid;

/// The longest id of an aggregate as text, in bytes: it stands in event ids and subjects.
pub const MAX_ID_BYTES: usize = 512;

/// What names an aggregate: one to several key columns, and one text.
pub trait AggregateId:
    Clone + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static
{
    /// The values of the partition columns, in the table's order.
    fn to_values(&self) -> Vec<Value>;

    /// The id that has these values; none for values of another number or type.
    fn from_values(values: &[Value]) -> Option<Self>;

    /// The id as it stands in pointers, event ids and subjects.
    fn to_text(&self) -> String;

    /// The id that has this text.
    fn from_text(text: &str) -> Option<Self>;
}

impl AggregateId for Uuid {
    fn to_values(&self) -> Vec<Value> {
        vec![Value::Uuid(*self)]
    }

    fn from_values(values: &[Value]) -> Option<Self> {
        match values {
            [Value::Uuid(id)] => Some(*id),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::parse_str(text).ok()
    }
}

/// Two ids that only together name it, such as (course, user) for an enrolment.
impl AggregateId for (Uuid, Uuid) {
    fn to_values(&self) -> Vec<Value> {
        vec![Value::Uuid(self.0), Value::Uuid(self.1)]
    }

    fn from_values(values: &[Value]) -> Option<Self> {
        match values {
            [Value::Uuid(first), Value::Uuid(second)] => Some((*first, *second)),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        format!("{}:{}", self.0, self.1)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (first, second) = text.split_once(':')?;
        Some((Uuid::parse_str(first).ok()?, Uuid::parse_str(second).ok()?))
    }
}

/// A name that is an id, such as a role's.
impl AggregateId for String {
    fn to_values(&self) -> Vec<Value> {
        vec![Value::Text(self.clone())]
    }

    fn from_values(values: &[Value]) -> Option<Self> {
        match values {
            [Value::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Whether a text can be an id: 1 to [`MAX_ID_BYTES`] bytes without control characters.
pub(crate) fn is_valid_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && !text.chars().any(char::is_control)
}

/// A new id that sorts by the time it was made (UUID version 7, RFC 9562 section 5.7).
pub(crate) fn new_id(clock: &dyn Clock) -> Uuid {
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
    let mut random = [0; 10];
    rand::rng().fill_bytes(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// A century: longer spans are configuration errors, and adding them must not overflow a time.
const MAX_SPAN_SECONDS: u64 = 100 * 366 * 86_400;

/// The time `span` after `time`; spans beyond a century count as one.
pub(crate) fn later(time: DateTime<Utc>, span: Duration) -> DateTime<Utc> {
    time + TimeDelta::seconds(span.as_secs().min(MAX_SPAN_SECONDS).cast_signed())
}

/// A new id of one operation (UUID version 4).
#[must_use]
pub fn new_op_id() -> Uuid {
    Uuid::new_v4()
}

#[cfg(test)]
mod tests {
    use riwaq_clock::ManualClock;

    use super::*;

    #[test]
    fn ids_survive_text_and_values() {
        let pair = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(<(Uuid, Uuid)>::from_text(&pair.to_text()), Some(pair));
        assert_eq!(<(Uuid, Uuid)>::from_values(&pair.to_values()), Some(pair));
        assert_eq!(<(Uuid, Uuid)>::from_text("1:2"), None);
        assert_eq!(Uuid::from_values(&pair.to_values()), None);
        assert_eq!(String::from_text("a:b").as_deref(), Some("a:b"));
    }

    #[test]
    fn new_ids_sort_by_the_clock() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(1));
        let earlier = new_id(clock.as_ref());
        clock.advance(Duration::from_millis(1));
        let later = new_id(clock.as_ref());
        assert!(earlier < later);
        assert_eq!(earlier.get_version_num(), 7);
    }

    #[test]
    fn texts_that_cannot_stand_in_an_event_are_no_ids() {
        assert!(!is_valid_text(""));
        assert!(!is_valid_text("a\u{0}b"));
        assert!(!is_valid_text(&"x".repeat(MAX_ID_BYTES + 1)));
        assert!(is_valid_text("طالب"));
    }
}
