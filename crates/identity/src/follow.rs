//! Keeps revocations, roles and keys up to date.

use std::sync::Arc;
use std::time::Duration;

use riwaq_events::{CloudEvent, Consumer, Events, EventsError, Subscription};
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::token::Revocation;

/// The broadcast that something was revoked; its data is a [`Revocation`].
pub const EVENT_REVOKED: &str = "riwaq.auth.revoked";
/// The broadcast that the issuer's keys were changed: they are fetched again at once.
pub const EVENT_KEYS_CHANGED: &str = "riwaq.auth.keys.changed";
/// The broadcast that a role was created, changed or deleted.
pub const EVENT_ROLE_CHANGED: &str = "riwaq.users.role.changed";

/// Pause before something that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What has to be loaded.
#[derive(Debug, Clone, Copy)]
struct Due {
    revocations: bool,
    roles: bool,
}

impl Due {
    const ALL: Self = Self {
        revocations: true,
        roles: true,
    };
}

impl Identity {
    /// Loads, then listens, until `closing`; and keeps the issuer's keys at hand. `replica` names this process to the event bus.
    ///
    /// It subscribes before it loads, so that nothing falls between the two, and loads again from
    /// time to time and whenever it may have missed an event.
    pub async fn follow(
        self,
        events: Arc<dyn Events>,
        replica: String,
        closing: CancellationToken,
    ) {
        // Dropping it at any point leaves nothing half done.
        let keys = self.clone();
        closing
            .run_until_cancelled(async {
                tokio::join!(keys.attend_keys(), self.follow_forever(events, replica));
            })
            .await;
    }

    async fn follow_forever(self, events: Arc<dyn Events>, replica: String) {
        let types = [EVENT_REVOKED, EVENT_KEYS_CHANGED, EVENT_ROLE_CHANGED];
        loop {
            match events
                .subscribe(Subscription::broadcast(replica.as_str(), types))
                .await
            {
                Ok(consumer) => self.consume(consumer).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for revocations");
                    // Without events the periodic load is what keeps the promise.
                    self.load_due(Due::ALL).await;
                }
            }
            self.clock().sleep(RETRY_PAUSE).await;
        }
    }

    /// Ends when the subscription is lost.
    async fn consume(&self, mut consumer: Box<dyn Consumer>) {
        let reload = Duration::from_secs(self.config().reload_seconds.max(1));
        let mut due = Due::ALL;
        let mut next_load = self.clock().monotonic();
        loop {
            let now = self.clock().monotonic();
            if now >= next_load {
                due = self.load_due(due).await;
                let waiting = due.revocations || due.roles;
                next_load = now.saturating_add(if waiting { RETRY_PAUSE } else { reload });
            }
            tokio::select! {
                () = self.clock().sleep(next_load.saturating_sub(self.clock().monotonic())) => {
                    due = if due.revocations || due.roles { due } else { Due::ALL };
                }
                received = consumer.next() => match received {
                    Ok(delivery) => {
                        if let Some(more) = self.take(&delivery.event).await {
                            due = Due { revocations: due.revocations || more.revocations, roles: due.roles || more.roles };
                            next_load = self.clock().monotonic();
                        }
                        // Lost acknowledgements only mean that it comes again.
                        let _ = delivery.ack().await;
                    }
                    Err(EventsError::Lagged { .. }) => {
                        due = Due::ALL;
                        next_load = self.clock().monotonic();
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the subscription to revocations was lost");
                        return;
                    }
                },
            }
        }
    }

    /// Loads what is due; what failed stays due.
    async fn load_due(&self, due: Due) -> Due {
        let mut left = Due {
            revocations: false,
            roles: false,
        };
        if due.revocations
            && let Err(error) = self.load_revocations().await
        {
            tracing::warn!(%error, "the revocations stay as they were");
            left.revocations = true;
        }
        if due.roles
            && let Err(error) = self.load_roles().await
        {
            tracing::warn!(%error, "the roles stay as they were");
            left.roles = true;
        }
        left
    }

    /// Applies an event; says what has to be loaded because of it.
    async fn take(&self, event: &CloudEvent) -> Option<Due> {
        match event.kind.as_str() {
            EVENT_REVOKED => match serde_json::from_value::<Revocation>(event.data.clone()) {
                Ok(revocation) => {
                    self.revoke(revocation);
                    None
                }
                Err(error) => {
                    tracing::warn!(%error, "a revocation that cannot be read: loading all of them");
                    Some(Due {
                        revocations: true,
                        roles: false,
                    })
                }
            },
            EVENT_ROLE_CHANGED => Some(Due {
                revocations: false,
                roles: true,
            }),
            EVENT_KEYS_CHANGED => {
                // Its failure is logged where it happens; an unknown key id asks again.
                let _ = self.refresh_keys().await;
                None
            }
            _ => None,
        }
    }
}
