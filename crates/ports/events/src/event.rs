//! The envelope: CloudEvents 1.0 in structured JSON mode.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{EventsError, Result};

/// The largest event, encoded, in bytes (256 KiB).
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

const MAX_ATTRIBUTE_BYTES: usize = 1024;
const SPEC_VERSION: &str = "1.0";
const JSON_MEDIA_TYPE: &str = "application/json";
/// `version-traceid-parentid-flags` of W3C Trace Context, version 00.
const TRACEPARENT_BYTES: usize = 55;

/// A fact, in the envelope of CloudEvents 1.0 (`application/cloudevents+json`).
///
/// `specversion` is always `1.0` and `datacontenttype` always `application/json`. Extension
/// attributes other than `traceparent` are accepted and dropped when an event is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct CloudEvent {
    /// Unique within `source`: two events with the same pair are the same event.
    pub id: String,
    /// Who tells it, a URI reference such as `/riwaq/courses`.
    pub source: String,
    /// What kind of fact, such as `riwaq.courses.course.changed` (CloudEvents: `type`).
    pub kind: String,
    /// What it is about, within `source`; usually an id.
    pub subject: Option<String>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The fact itself: ids and versions, never personal data.
    pub data: Value,
    /// W3C Trace Context of the change (extension of CloudEvents "Distributed Tracing").
    pub traceparent: Option<String>,
}

impl CloudEvent {
    /// An event without subject, data and trace.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        kind: impl Into<String>,
        time: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            kind: kind.into(),
            subject: None,
            time,
            data: Value::Null,
            traceparent: None,
        }
    }

    /// The same event with a subject.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same event with JSON data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// The same event with the trace that it belongs to.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The data as a type.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] naming `data` when it has another shape.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.data).map_err(|error| EventsError::invalid("data", error.to_string()))
    }

    /// Checks the attributes and encodes as structured JSON.
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] names the attribute; [`EventsError::TooLarge`] gives the size.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.validate()?;
        let encoded = serde_json::to_vec(self)
            .map_err(|error| EventsError::invalid("data", error.to_string()))?;
        if encoded.len() > MAX_EVENT_BYTES {
            return Err(EventsError::TooLarge {
                size_bytes: encoded.len(),
                limit_bytes: MAX_EVENT_BYTES,
            });
        }
        Ok(encoded)
    }

    /// Reads structured JSON and checks the attributes.
    ///
    /// # Errors
    /// [`EventsError::TooLarge`], or [`EventsError::InvalidInput`] naming what is wrong.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        if encoded.len() > MAX_EVENT_BYTES {
            return Err(EventsError::TooLarge {
                size_bytes: encoded.len(),
                limit_bytes: MAX_EVENT_BYTES,
            });
        }
        let event: Self = serde_json::from_slice(encoded)
            .map_err(|error| EventsError::invalid("event", error.to_string()))?;
        event.validate()?;
        Ok(event)
    }

    /// Checks the attributes, not the size: see [`CloudEvent::encode`].
    ///
    /// # Errors
    /// [`EventsError::InvalidInput`] names the attribute.
    pub fn validate(&self) -> Result<()> {
        attribute("id", &self.id)?;
        attribute("source", &self.source)?;
        attribute("type", &self.kind)?;
        if let Some(subject) = &self.subject {
            attribute("subject", subject)?;
        }
        if let Some(traceparent) = &self.traceparent {
            check_traceparent(traceparent)?;
        }
        Ok(())
    }
}

/// CloudEvents 1.0 "Type System": a string is not empty here, and has no control characters and
/// no Unicode noncharacters.
pub(crate) fn attribute(field: &'static str, value: &str) -> Result<()> {
    if value.is_empty() {
        return Err(EventsError::invalid(field, "must not be empty"));
    }
    if value.len() > MAX_ATTRIBUTE_BYTES {
        return Err(EventsError::invalid(
            field,
            format!("has more than {MAX_ATTRIBUTE_BYTES} bytes"),
        ));
    }
    if value.chars().any(|c| c.is_control() || is_noncharacter(c)) {
        return Err(EventsError::invalid(field, "has a control character"));
    }
    Ok(())
}

const fn is_noncharacter(c: char) -> bool {
    let code = c as u32;
    (code >= 0xFDD0 && code <= 0xFDEF) || code & 0xFFFE == 0xFFFE
}

fn check_traceparent(value: &str) -> Result<()> {
    let dashes = [2, 35, 52];
    let well_formed = value.len() == TRACEPARENT_BYTES
        && value.bytes().enumerate().all(|(at, byte)| {
            if dashes.contains(&at) {
                byte == b'-'
            } else {
                matches!(byte, b'0'..=b'9' | b'a'..=b'f')
            }
        });
    if well_formed {
        Ok(())
    } else {
        Err(EventsError::invalid(
            "traceparent",
            "is not W3C Trace Context version 00",
        ))
    }
}

/// The names and order of the JSON members.
#[derive(Serialize, Deserialize)]
struct Wire {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    data: Value,
}

impl From<CloudEvent> for Wire {
    fn from(event: CloudEvent) -> Self {
        Self {
            specversion: SPEC_VERSION.to_owned(),
            id: event.id,
            source: event.source,
            kind: event.kind,
            subject: event.subject,
            time: event.time,
            datacontenttype: Some(JSON_MEDIA_TYPE.to_owned()),
            traceparent: event.traceparent,
            data: event.data,
        }
    }
}

impl TryFrom<Wire> for CloudEvent {
    type Error = String;

    fn try_from(wire: Wire) -> std::result::Result<Self, String> {
        if wire.specversion != SPEC_VERSION {
            return Err(format!(
                "specversion is {:?}, not {SPEC_VERSION}",
                wire.specversion
            ));
        }
        if let Some(other) = wire
            .datacontenttype
            .filter(|media_type| media_type != JSON_MEDIA_TYPE)
        {
            return Err(format!(
                "datacontenttype is {other:?}, not {JSON_MEDIA_TYPE}"
            ));
        }
        Ok(Self {
            id: wire.id,
            source: wire.source,
            kind: wire.kind,
            subject: wire.subject,
            time: wire.time,
            data: wire.data,
            traceparent: wire.traceparent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> CloudEvent {
        CloudEvent::new(
            "7/3",
            "/riwaq/courses",
            "riwaq.courses.course.changed",
            DateTime::UNIX_EPOCH,
        )
        .with_subject("7")
        .with_data(json!({"course_id": "7", "version": 3}))
        .with_traceparent(Some(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ))
    }

    #[test]
    fn encodes_every_attribute_under_its_cloudevents_name() {
        let value: Value = serde_json::from_slice(&event().encode().unwrap()).unwrap();
        assert_eq!(
            value,
            json!({
                "specversion": "1.0",
                "id": "7/3",
                "source": "/riwaq/courses",
                "type": "riwaq.courses.course.changed",
                "subject": "7",
                "time": "1970-01-01T00:00:00Z",
                "datacontenttype": "application/json",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "data": {"course_id": "7", "version": 3}
            })
        );
    }

    #[test]
    fn what_was_encoded_is_read_back_the_same() {
        assert_eq!(
            CloudEvent::decode(&event().encode().unwrap()).unwrap(),
            event()
        );
        let bare = CloudEvent::new("1", "/s", "t", DateTime::UNIX_EPOCH);
        assert_eq!(CloudEvent::decode(&bare.encode().unwrap()).unwrap(), bare);
    }

    #[test]
    fn unknown_extensions_do_not_stop_a_reader() {
        let mut value: Value = serde_json::from_slice(&event().encode().unwrap()).unwrap();
        value["laterextension"] = json!("x");
        assert_eq!(
            CloudEvent::decode(value.to_string().as_bytes()).unwrap(),
            event()
        );
    }

    #[test]
    fn bad_attributes_are_refused_by_name() {
        let refused = |change: fn(&mut CloudEvent)| {
            let mut event = event();
            change(&mut event);
            match event.encode() {
                Err(EventsError::InvalidInput { field, .. }) => field,
                other => panic!("not refused: {other:?}"),
            }
        };
        assert_eq!(refused(|e| e.id.clear()), "id");
        assert_eq!(refused(|e| e.source = "\u{0}".into()), "source");
        assert_eq!(refused(|e| e.kind = "a\nb".into()), "type");
        assert_eq!(refused(|e| e.kind = "\u{FFFE}".into()), "type");
        assert_eq!(refused(|e| e.subject = Some("s".repeat(1025))), "subject");
        assert_eq!(
            refused(|e| e.traceparent = Some("00-xyz".into())),
            "traceparent"
        );
    }

    #[test]
    fn another_version_or_media_type_is_refused() {
        for (name, value) in [("specversion", "0.3"), ("datacontenttype", "text/xml")] {
            let mut wire: Value = serde_json::from_slice(&event().encode().unwrap()).unwrap();
            wire[name] = json!(value);
            let error = CloudEvent::decode(wire.to_string().as_bytes()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn the_size_limit_is_exact() {
        let sized = |bytes: usize| {
            CloudEvent::new("1", "/s", "t", DateTime::UNIX_EPOCH)
                .with_data(json!("x".repeat(bytes)))
        };
        let overhead = sized(0).encode().unwrap().len();
        assert_eq!(
            sized(MAX_EVENT_BYTES - overhead).encode().unwrap().len(),
            MAX_EVENT_BYTES
        );
        assert_eq!(
            sized(MAX_EVENT_BYTES - overhead + 1).encode(),
            Err(EventsError::TooLarge {
                size_bytes: MAX_EVENT_BYTES + 1,
                limit_bytes: MAX_EVENT_BYTES
            })
        );
    }
}
