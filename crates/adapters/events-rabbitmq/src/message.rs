//! Events as AMQP messages: CloudEvents' binary content mode, plus the marks of this crate.
//!
//! Attributes are headers named `cloudEvents:…` (CloudEvents 1.0.2, AMQP Protocol Binding 3.1.3.1),
//! the media type is the `content-type` property and the body is the data alone; times are in their
//! canonical string form (3.1.3.2), because AMQP's own has seconds only. Binary rather than structured mode, because an operator then reads in
//! any AMQP tool what a message is, and no tool needs to parse a body to do so. The binding is
//! written for AMQP 1.0; its application properties are what AMQP 0-9-1 calls headers, and
//! RabbitMQ converts one into the other.

use chrono::{DateTime, SecondsFormat, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use riwaq_events::{CloudEvent, EventsError, MAX_EVENT_BYTES, Result};
use serde_json::Value;

const SPEC_VERSION: &str = "1.0";
const MEDIA_TYPE: &str = "application/json";
const PERSISTENT: u8 = 2;

/// Deliveries so far that failed.
const ATTEMPTS: &str = "riwaq-attempts";
const DEAD_ID: &str = "riwaq-dead-id";
const DEAD_REASON: &str = "riwaq-dead-reason";
const DEAD_AT: &str = "riwaq-dead-at";
/// Set by quorum queues: how often the message came back.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// What was received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) event: CloudEvent,
    /// Deliveries before this one that failed.
    pub(crate) attempts: u32,
    /// How often it came back without an answer.
    pub(crate) redeliveries: u32,
    pub(crate) dead: Option<DeadMark>,
}

/// Why and when an event was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadMark {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) died_at: DateTime<Utc>,
}

/// Checks the event and writes it down.
pub(crate) fn encode(
    event: &CloudEvent,
    attempts: u32,
    dead: Option<&DeadMark>,
) -> Result<Message> {
    event.validate()?;
    let body = if event.data.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(&event.data).map_err(|error| unreadable("data", error.to_string()))?
    };
    if may_be_too_large(event, body.len()) {
        // The limit is that of the structured form, which is the same on every adapter.
        event.encode()?;
    }
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    put("cloudEvents:specversion", SPEC_VERSION);
    put("cloudEvents:id", &event.id);
    put("cloudEvents:source", &event.source);
    put("cloudEvents:type", &event.kind);
    put(
        "cloudEvents:time",
        &event.time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    );
    if let Some(subject) = &event.subject {
        put("cloudEvents:subject", subject);
    }
    if let Some(traceparent) = &event.traceparent {
        put("cloudEvents:traceparent", traceparent);
    }
    if let Some(dead) = dead {
        put(DEAD_ID, &dead.id);
        put(DEAD_REASON, &dead.reason);
        put(
            DEAD_AT,
            &dead.died_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        );
    }
    if attempts > 0 {
        headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(attempts.into()));
    }
    let mut properties = BasicProperties::default()
        .with_content_type(MEDIA_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers)
        .with_timestamp(u64::try_from(event.time.timestamp()).unwrap_or(0));
    // For people and tools only, so an id that is too long for the property is left out.
    if let Ok(id) = ShortString::try_new(event.id.as_str()) {
        properties = properties.with_message_id(id);
    }
    Ok(Message { properties, body })
}

/// Escaping doubles a character of an attribute at most: control characters are refused.
fn may_be_too_large(event: &CloudEvent, body_bytes: usize) -> bool {
    const MEMBERS_BYTES: usize = 512;
    let attributes = event.id.len()
        + event.source.len()
        + event.kind.len()
        + event.subject.as_ref().map_or(0, String::len);
    body_bytes + 2 * attributes + MEMBERS_BYTES > MAX_EVENT_BYTES
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// `InvalidInput` naming what is missing: the message is not ours.
pub(crate) fn decode(properties: &BasicProperties, body: &[u8]) -> Result<Incoming> {
    let empty = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&empty);
    if required(headers, "cloudEvents:specversion")? != SPEC_VERSION {
        return Err(unreadable("specversion", "is not 1.0"));
    }
    let media_type = properties.content_type().as_ref().map(ShortString::as_str);
    if media_type != Some(MEDIA_TYPE) {
        return Err(unreadable("datacontenttype", "is not application/json"));
    }
    let data = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body).map_err(|error| unreadable("data", error.to_string()))?
    };
    let event = CloudEvent {
        id: required(headers, "cloudEvents:id")?,
        source: required(headers, "cloudEvents:source")?,
        kind: required(headers, "cloudEvents:type")?,
        subject: text(headers, "cloudEvents:subject")?,
        time: time(headers, "cloudEvents:time")?,
        data,
        traceparent: text(headers, "cloudEvents:traceparent")?,
    };
    event.validate()?;
    let dead = match text(headers, DEAD_ID)? {
        None => None,
        Some(id) => Some(DeadMark {
            id,
            reason: text(headers, DEAD_REASON)?.unwrap_or_default(),
            died_at: time(headers, DEAD_AT)?,
        }),
    };
    Ok(Incoming {
        event,
        attempts: number(headers, ATTEMPTS),
        redeliveries: number(headers, DELIVERY_COUNT),
        dead,
    })
}

fn text(headers: &FieldTable, name: &'static str) -> Result<Option<String>> {
    let bytes = match headers.inner().get(name) {
        None => return Ok(None),
        Some(AMQPValue::LongString(value)) => value.as_bytes().to_vec(),
        Some(AMQPValue::ShortString(value)) => value.as_str().as_bytes().to_vec(),
        Some(_) => return Err(unreadable(name, "is not a string")),
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| unreadable(name, "is not UTF-8"))
}

fn required(headers: &FieldTable, name: &'static str) -> Result<String> {
    text(headers, name)?.ok_or_else(|| unreadable(name, "is missing"))
}

fn time(headers: &FieldTable, name: &'static str) -> Result<DateTime<Utc>> {
    let written = required(headers, name)?;
    DateTime::parse_from_rfc3339(&written)
        .map(|time| time.to_utc())
        .map_err(|error| unreadable(name, error.to_string()))
}

fn number(headers: &FieldTable, name: &str) -> u32 {
    let value = match headers.inner().get(name) {
        Some(AMQPValue::LongLongInt(value)) => *value,
        Some(AMQPValue::LongInt(value)) => i64::from(*value),
        Some(AMQPValue::LongUInt(value)) => i64::from(*value),
        Some(AMQPValue::ShortInt(value)) => i64::from(*value),
        Some(AMQPValue::ShortShortInt(value)) => i64::from(*value),
        Some(AMQPValue::ShortShortUInt(value)) => i64::from(*value),
        _ => 0,
    };
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

fn unreadable(field: &'static str, message: impl Into<String>) -> EventsError {
    EventsError::InvalidInput {
        field,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> CloudEvent {
        let time = DateTime::UNIX_EPOCH + chrono::TimeDelta::nanoseconds(1_760_000_000_123_456_789);
        CloudEvent::new(
            "7/3",
            "/riwaq/courses",
            "riwaq.courses.course.changed",
            time,
        )
        .with_subject("رواق")
        .with_data(json!({"n": 1.5, "big": i64::MAX, "": [null]}))
        .with_traceparent(Some(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ))
    }

    #[test]
    fn what_was_written_is_read_back_with_its_marks() {
        let dead = DeadMark {
            id: "0001".into(),
            reason: "no\n\"course\"".into(),
            died_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::microseconds(5),
        };
        let message = encode(&event(), 3, Some(&dead)).unwrap();
        let read = decode(&message.properties, &message.body).unwrap();
        assert_eq!(
            read,
            Incoming {
                event: event(),
                attempts: 3,
                redeliveries: 0,
                dead: Some(dead)
            }
        );
        let bare = CloudEvent::new("1".repeat(1024), "/s", "t", DateTime::UNIX_EPOCH);
        let message = encode(&bare, 0, None).unwrap();
        assert!(message.body.is_empty() && message.properties.message_id().is_none());
        assert_eq!(
            decode(&message.properties, &message.body).unwrap().event,
            bare
        );
    }

    #[test]
    fn attributes_are_headers_with_the_prefix_of_the_binding() {
        let message = encode(&event(), 0, None).unwrap();
        let headers = message.properties.headers().as_ref().unwrap();
        let names: Vec<&str> = headers.inner().keys().map(ShortString::as_str).collect();
        assert_eq!(
            names,
            [
                "cloudEvents:id",
                "cloudEvents:source",
                "cloudEvents:specversion",
                "cloudEvents:subject",
                "cloudEvents:time",
                "cloudEvents:traceparent",
                "cloudEvents:type",
            ]
        );
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let field = |properties: &BasicProperties, body: &[u8]| match decode(properties, body) {
            Err(EventsError::InvalidInput { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(
            field(&BasicProperties::default(), b"hello"),
            "cloudEvents:specversion"
        );
        let message = encode(&event(), 0, None).unwrap();
        assert_eq!(field(&message.properties, b"{"), "data");
        let other = message
            .properties
            .clone()
            .with_content_type("text/xml".into());
        assert_eq!(field(&other, b"1"), "datacontenttype");
        let mut headers = message.properties.headers().clone().unwrap();
        headers.insert(
            "cloudEvents:id".into(),
            AMQPValue::LongString(vec![0xFF].into()),
        );
        assert_eq!(
            field(&message.properties.with_headers(headers), b"1"),
            "cloudEvents:id"
        );
    }

    #[test]
    fn the_size_limit_is_that_of_the_structured_form() {
        let sized = |bytes: usize| event().with_data(json!("x".repeat(bytes)));
        let overhead = sized(0).encode().unwrap().len();
        encode(&sized(MAX_EVENT_BYTES - overhead), 0, None).unwrap();
        assert!(matches!(
            encode(&sized(MAX_EVENT_BYTES - overhead + 1), 0, None),
            Err(EventsError::TooLarge { .. })
        ));
    }
}
