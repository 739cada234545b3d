//! Which types somebody wanted lately.
//!
//! An event that nobody wants is dropped: that is the port's promise. But a broker that has just come
//! back may have lost a binding that it had not written down, and the group that it belonged to puts it
//! back as soon as it subscribes again. So the first event of a type that was wanted a moment ago and
//! is wanted no more is tried for a while before that is believed.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use riwaq_events::Result;

use crate::bus::Bus;
use crate::message::Message;
use crate::publisher::{Route, Routed};

const AGAIN: Duration = Duration::from_millis(100);

/// The types that a publication of this process found a taker for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    kinds: RwLock<HashSet<String>>,
}

impl Wanted {
    fn has(&self, kind: &str) -> bool {
        self.kinds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(kind)
    }

    fn add(&self, kind: &str) {
        if !self.has(kind) {
            let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            kinds.insert(kind.to_owned());
        }
    }

    /// Nobody wants it any more.
    pub(crate) fn remove(&self, kind: &str) {
        if self.has(kind) {
            let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            kinds.remove(kind);
        }
    }
}

impl Bus {
    /// Publishes to whoever wants the type. See the module's page.
    pub(crate) async fn publish(&self, kind: &str, message: &Message) -> Result<()> {
        let grace = Duration::from_millis(self.config.unwanted_grace_ms);
        let deadline = self.clock.monotonic().saturating_add(grace);
        loop {
            if self.publisher.send(Route::Kind(kind), message).await? == Routed::Yes {
                self.wanted.add(kind);
                return Ok(());
            }
            let now = self.clock.monotonic();
            if !self.wanted.has(kind) {
                self.metrics.unroutable.increment(1);
                return Ok(());
            }
            if now >= deadline {
                tracing::warn!(kind, "nobody wants this type of event any more");
                self.wanted.remove(kind);
            } else {
                self.clock.sleep(AGAIN.min(deadline - now)).await;
            }
        }
    }
}
