//! What every verifier has to refuse: kept until it is moot, and told to every replica.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use riwaq_clock::SharedClock;
use riwaq_events::{CloudEvent, Events};
use riwaq_identity::{EVENT_REVOKED, Identity, Revocation, RevocationKind};
use riwaq_kit::{ApiResult, Problem, context};
use riwaq_records::Store;
use uuid::Uuid;

use crate::events::SOURCE;
use crate::records::RevocationRow;

/// Spreads the revocations of one minute: a school's whole year may change its roles in one.
const SHARDS: u64 = 4;

/// The present set.
#[derive(Clone)]
pub(crate) struct Revocations {
    store: Store,
    events: Arc<dyn Events>,
    clock: SharedClock,
    identity: Identity,
    /// The longest that an access token lives, with what clocks may differ.
    lifetime: TimeDelta,
}

impl Revocations {
    pub(crate) fn new(
        store: Store,
        events: Arc<dyn Events>,
        clock: SharedClock,
        identity: Identity,
        lifetime: TimeDelta,
    ) -> Self {
        Self {
            store,
            events,
            clock,
            identity,
            lifetime,
        }
    }

    /// Refuses access tokens of a person that were issued before.
    pub(crate) async fn revoke_subject(
        &self,
        subject: Uuid,
        not_before: DateTime<Utc>,
    ) -> ApiResult<()> {
        self.revoke(
            RevocationKind::Subject,
            "subject",
            subject.to_string(),
            not_before,
        )
        .await
    }

    /// Refuses every access token of a session: it gives out no more.
    pub(crate) async fn revoke_session(&self, sid: &str) -> ApiResult<()> {
        let after_the_last = self.clock.now() + self.lifetime;
        self.revoke(RevocationKind::Sid, "sid", sid.to_owned(), after_the_last)
            .await
    }

    /// Refuses one token, issued before, if it comes again.
    pub(crate) async fn revoke_token(&self, jti: &str, not_before: DateTime<Utc>) -> ApiResult<()> {
        self.revoke(RevocationKind::Jti, "jti", jti.to_owned(), not_before)
            .await
    }

    /// Stored first, then told: whoever starts in between loads it.
    async fn revoke(
        &self,
        kind: RevocationKind,
        kind_name: &str,
        value: String,
        not_before: DateTime<Utc>,
    ) -> ApiResult<()> {
        let now = self.clock.now();
        let expires_at = now + self.lifetime;
        let row = RevocationRow {
            minute: minute(expires_at),
            shard: shard(&value),
            kind: kind_name.to_owned(),
            value: value.clone(),
            not_before,
            expires_at,
        };
        self.store.put_at(&row, now.timestamp_micros()).await?;
        let revocation = Revocation {
            kind,
            value,
            not_before_unix_ms: not_before.timestamp_millis(),
            expires_unix_ms: expires_at.timestamp_millis(),
        };
        let data = serde_json::to_value(&revocation).map_err(Problem::internal)?;
        self.identity.revoke(revocation);
        let event = CloudEvent::new(
            riwaq_kit::new_id(&*self.clock).to_string(),
            SOURCE,
            EVENT_REVOKED,
            now,
        )
        .with_data(data)
        .with_traceparent(context::current().map(|trace| trace.traceparent()));
        self.events.publish(event).await?;
        Ok(())
    }

    /// Everything that has not become moot.
    pub(crate) async fn list(&self) -> ApiResult<Vec<RevocationRow>> {
        let now = self.clock.now();
        let minutes = minute(now)..=minute(now + self.lifetime) + 1;
        let partitions =
            minutes.flat_map(|minute| (0..SHARDS.cast_signed()).map(move |shard| (minute, shard)));
        let scans = partitions.map(|partition| self.store.scan::<RevocationRow>(partition).all());
        let rows = try_join_all(scans).await?;
        Ok(rows
            .into_iter()
            .flatten()
            .filter(|row| row.expires_at > now)
            .collect())
    }
}

fn minute(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}

/// Which shard does not matter, as long as the same value comes to the same one.
fn shard(value: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    (hasher.finish() % SHARDS).cast_signed()
}
