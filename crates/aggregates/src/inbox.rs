//! The inbox: what a consumer has done already.
//!
//! Delivery is at least once. A consumer makes its effect, which is keyed so that repeating it is
//! harmless (a version row, an upsert of the newest version, a row keyed by the event), then notes the
//! event here, then acknowledges. The note spares the repetition; the key makes it harmless.

use std::time::Duration;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_events::CloudEvent;
use riwaq_records::{Store, Table};
use uuid::Uuid;

use crate::Result;
use crate::id::later;

/// How long a note is kept: longer than a dead letter waits for an operator.
pub const INBOX_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Table)]
#[table(name = "inbox", write = "timestamped", partition(consumer, event_source, event_id), ttl = expires_at)]
pub(crate) struct InboxRow {
    consumer: String,
    event_source: String,
    event_id: String,
    done_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// The inbox of one consumer.
#[derive(Debug, Clone)]
pub struct Inbox {
    consumer: String,
    store: Store,
    clock: SharedClock,
    keep: Duration,
}

/// Whether an effect was made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// Now, and noted.
    Now,
    /// Before: the effect was not asked for again.
    Before,
}

impl Inbox {
    /// The inbox of `consumer` (its group's name), keeping notes for [`INBOX_KEEP`] or another time.
    #[must_use]
    pub fn new(consumer: &str, store: Store, clock: SharedClock, keep: Duration) -> Self {
        Self {
            consumer: consumer.to_owned(),
            store,
            clock,
            keep,
        }
    }

    /// Makes the effect of an event unless it was noted as made, then notes it. Acknowledge when it is Ok.
    ///
    /// Two deliveries at once may both make the effect, and so may a crash before the note: the
    /// effect must be keyed. [`Inbox::effect_id`] gives a key.
    ///
    /// # Errors
    /// Those of `effect` (nothing is noted), and [`crate::Error::Records`].
    pub async fn handle<E, F, Fut>(&self, event: &CloudEvent, effect: F) -> Result<Handled, E>
    where
        E: From<crate::Error>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<(), E>>,
    {
        if self.is_noted(event).await? {
            return Ok(Handled::Before);
        }
        effect().await?;
        self.note(event).await?;
        Ok(Handled::Now)
    }

    /// An id for the effect of an event on this consumer, the same for every delivery
    /// (UUID version 5, RFC 9562 section 5.5): as an `op_id`, a row's key, a Message-ID.
    #[must_use]
    pub fn effect_id(&self, event: &CloudEvent) -> Uuid {
        // Lengths in between, so that no two triples run together.
        let name = format!(
            "{}:{}{}:{}{}",
            self.consumer.len(),
            self.consumer,
            event.source.len(),
            event.source,
            event.id
        );
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// Whether the event is noted as done.
    ///
    /// # Errors
    /// [`crate::Error::Records`].
    pub async fn is_noted(&self, event: &CloudEvent) -> Result<bool> {
        let key = (
            self.consumer.clone(),
            event.source.clone(),
            event.id.clone(),
        );
        let note = self.store.get::<InboxRow>(key).await?;
        Ok(note.is_some_and(|note| note.expires_at > self.clock.now()))
    }

    /// Notes the event as done.
    ///
    /// # Errors
    /// [`crate::Error::Records`].
    pub async fn note(&self, event: &CloudEvent) -> Result<()> {
        let now = self.clock.now();
        let row = InboxRow {
            consumer: self.consumer.clone(),
            event_source: event.source.clone(),
            event_id: event.id.clone(),
            done_at: now,
            expires_at: later(now, self.keep),
        };
        self.store.put_at(&row, now.timestamp_micros()).await?;
        Ok(())
    }
}
