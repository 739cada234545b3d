//! Revocations: what they name, when they count, and how a replica learns of them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use riwaq_clock::{Clock as _, ManualClock};
use riwaq_events::{CloudEvent, Events, MemoryEvents, RetryPolicy};
use riwaq_identity::testing::TestIssuer;
use riwaq_identity::{
    EVENT_KEYS_CHANGED, EVENT_REVOKED, EVENT_ROLE_CHANGED, Identity, IdentityDeps, Permission,
    PermissionSet, Refused, Revocation, RevocationKind, RevocationSource, RevocationSourceError,
    RoleSource, RoleSourceError,
};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn clock() -> Arc<ManualClock> {
    ManualClock::at("2026-11-21T10:00:00Z".parse().unwrap())
}

fn revocation(kind: RevocationKind, value: &str, clock: &ManualClock) -> Revocation {
    let now = clock.now().timestamp_millis();
    Revocation {
        kind,
        value: value.to_owned(),
        not_before_unix_ms: now,
        expires_unix_ms: now + 600_000,
    }
}

#[tokio::test]
async fn a_revocation_refuses_what_it_names_and_was_issued_before() {
    for (kind, claim) in [
        (RevocationKind::Subject, "sub"),
        (RevocationKind::Sid, "sid"),
        (RevocationKind::Jti, "jti"),
    ] {
        let clock = clock();
        let issuer = TestIssuer::new(clock.clone());
        let identity = issuer.identity();
        let claims = issuer.user_claims(Uuid::new_v4(), &["student"]);
        let named = issuer.sign(&claims);
        let other = issuer.user_token(Uuid::new_v4(), &["student"]);
        identity.verify(&named).await.unwrap();

        clock.advance(Duration::from_millis(300));
        identity.revoke(revocation(kind, claims[claim].as_str().unwrap(), &clock));
        assert_eq!(
            identity.verify(&named).await.unwrap_err(),
            Refused::Revoked,
            "{kind:?}, remembered"
        );
        assert_eq!(
            identity.verify(&named).await.unwrap_err(),
            Refused::Revoked,
            "{kind:?}, again"
        );
        identity.verify(&other).await.unwrap();

        // The same person signs in again within the same second.
        clock.advance(Duration::from_millis(300));
        let mut again = issuer.user_claims(Uuid::new_v4(), &["student"]);
        again[claim] = claims[claim].clone();
        identity.verify(&issuer.sign(&again)).await.unwrap();

        // Without `iat_ms`, as Keycloak issues, the whole second counts as before.
        again.as_object_mut().unwrap().remove("iat_ms");
        assert_eq!(
            identity.verify(&issuer.sign(&again)).await.unwrap_err(),
            Refused::Revoked,
            "{kind:?}"
        );
        // And it cannot be used to look younger than `iat`.
        again["iat_ms"] = json!(clock.now().timestamp_millis() + 5_000);
        assert_eq!(
            identity.verify(&issuer.sign(&again)).await.unwrap_err(),
            Refused::Revoked,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn revocations_that_arrive_out_of_order_keep_the_later_time() {
    let clock = clock();
    let issuer = TestIssuer::new(clock.clone());
    let identity = issuer.identity();
    let user = Uuid::new_v4();
    let early = revocation(RevocationKind::Subject, &user.to_string(), &clock);
    clock.advance(Duration::from_secs(10));
    let token = issuer.user_token(user, &[]);
    clock.advance(Duration::from_secs(10));
    identity.revoke(revocation(
        RevocationKind::Subject,
        &user.to_string(),
        &clock,
    ));
    identity.revoke(early);
    assert_eq!(identity.verify(&token).await.unwrap_err(), Refused::Revoked);
}

/// The auth and the users service, as far as a replica sees them.
#[derive(Debug, Default)]
struct Services {
    revocations: Mutex<Vec<Revocation>>,
    roles: Mutex<Vec<(String, PermissionSet)>>,
    down: Mutex<bool>,
}

#[async_trait]
impl RevocationSource for Services {
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError> {
        if *self.down.lock().unwrap() {
            return Err(RevocationSourceError {
                reason: "down".to_owned(),
            });
        }
        Ok(self.revocations.lock().unwrap().clone())
    }
}

#[async_trait]
impl RoleSource for Services {
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError> {
        if *self.down.lock().unwrap() {
            return Err(RoleSourceError {
                reason: "down".to_owned(),
            });
        }
        Ok(self.roles.lock().unwrap().clone())
    }
}

struct Replica {
    clock: Arc<ManualClock>,
    issuer: Arc<TestIssuer>,
    services: Arc<Services>,
    events: Arc<MemoryEvents>,
    identity: Identity,
    closing: CancellationToken,
    tasks: JoinSet<()>,
}

fn replica(services: Services) -> Replica {
    let clock = clock();
    let issuer = TestIssuer::new(clock.clone());
    let services = Arc::new(services);
    let events = Arc::new(MemoryEvents::new(clock.clone(), RetryPolicy::default()).unwrap());
    let deps = IdentityDeps {
        clock: clock.clone(),
        keys: issuer.keys(),
        revocations: services.clone(),
        roles: services.clone(),
    };
    let identity = Identity::new(issuer.config(), deps);
    let closing = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(
        identity
            .clone()
            .follow(events.clone(), "replica-1".to_owned(), closing.clone()),
    );
    Replica {
        clock,
        issuer,
        services,
        events,
        identity,
        closing,
        tasks,
    }
}

impl Replica {
    async fn until(&self, what: &str, mut done: impl AsyncFnMut(&Identity) -> bool) {
        for _ in 0..10_000 {
            if done(&self.identity).await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("not reached: {what}");
    }

    async fn publish(&self, kind: &str, data: serde_json::Value) {
        let event = CloudEvent::new(
            Uuid::new_v4().to_string(),
            "/riwaq/auth",
            kind,
            self.clock.now(),
        )
        .with_data(data);
        self.events.publish(event).await.unwrap();
    }

    async fn stop(mut self) {
        self.closing.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn until_the_revocations_are_loaded_people_wait_and_services_do_not() {
    let replica = replica(Services {
        down: Mutex::new(true),
        ..Services::default()
    });
    let token = replica.issuer.user_token(Uuid::new_v4(), &[]);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(replica.identity.ready().is_err());
    assert_eq!(
        replica.identity.verify(&token).await.unwrap_err(),
        Refused::Unavailable
    );
    replica
        .identity
        .verify(&replica.issuer.service_token("auth"))
        .await
        .unwrap();

    *replica.services.down.lock().unwrap() = false;
    replica.clock.advance(Duration::from_secs(1));
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    replica.identity.verify(&token).await.unwrap();
    replica.stop().await;
}

#[tokio::test]
async fn a_replica_loads_what_was_revoked_before_it_started_and_follows_what_comes() {
    let user = Uuid::new_v4();
    let before = revocation(RevocationKind::Subject, &user.to_string(), &clock());
    let replica = replica(Services {
        revocations: Mutex::new(vec![Revocation {
            not_before_unix_ms: before.not_before_unix_ms + 1,
            ..before
        }]),
        ..Services::default()
    });
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    let token = replica.issuer.user_token(user, &[]);
    assert_eq!(
        replica.identity.verify(&token).await.unwrap_err(),
        Refused::Revoked
    );

    let claims = replica.issuer.user_claims(Uuid::new_v4(), &[]);
    let token = replica.issuer.sign(&claims);
    replica.identity.verify(&token).await.unwrap();
    replica.clock.advance(Duration::from_millis(5));
    let now = replica.clock.now().timestamp_millis();
    let data = json!({"kind": "sid", "value": claims["sid"], "not_before_unix_ms": now, "expires_unix_ms": now + 300_000});
    replica.publish(EVENT_REVOKED, data).await;
    replica
        .until("revoked", async |identity| {
            identity.verify(&token).await == Err(Refused::Revoked)
        })
        .await;
    replica.stop().await;
}

#[tokio::test]
async fn what_events_did_not_tell_the_periodic_load_does() {
    let replica = replica(Services::default());
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    let user = Uuid::new_v4();
    let token = replica.issuer.user_token(user, &[]);
    replica.clock.advance(Duration::from_millis(5));
    let missed = revocation(RevocationKind::Subject, &user.to_string(), &replica.clock);
    replica.services.revocations.lock().unwrap().push(missed);
    replica.clock.advance(Duration::from_secs(60));
    replica
        .until("revoked", async |identity| {
            identity.verify(&token).await == Err(Refused::Revoked)
        })
        .await;
    replica.stop().await;
}

#[tokio::test]
async fn an_unreadable_revocation_makes_the_replica_load_all() {
    let replica = replica(Services::default());
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    let user = Uuid::new_v4();
    let token = replica.issuer.user_token(user, &[]);
    replica.clock.advance(Duration::from_millis(5));
    let new = revocation(RevocationKind::Subject, &user.to_string(), &replica.clock);
    replica.services.revocations.lock().unwrap().push(new);
    replica
        .publish(EVENT_REVOKED, json!({"kind": "planet", "value": 7}))
        .await;
    replica
        .until("revoked", async |identity| {
            identity.verify(&token).await == Err(Refused::Revoked)
        })
        .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_changed_role_counts_for_tokens_that_are_out_already() {
    let replica = replica(Services::default());
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    let token = replica.issuer.user_token(Uuid::new_v4(), &["librarian"]);
    assert!(
        !replica
            .identity
            .actor(&token)
            .await
            .unwrap()
            .may(Permission::CoursesReadAny)
    );
    let librarian = PermissionSet::of(&[Permission::CoursesReadAny]);
    *replica.services.roles.lock().unwrap() = vec![("librarian".to_owned(), librarian)];
    replica
        .publish(
            EVENT_ROLE_CHANGED,
            json!({"name": "librarian", "version": 1}),
        )
        .await;
    replica
        .until("granted", async |identity| {
            identity
                .actor(&token)
                .await
                .unwrap()
                .may(Permission::CoursesReadAny)
        })
        .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_key_change_is_followed_at_once() {
    let replica = replica(Services::default());
    replica
        .until("ready", async |identity| identity.ready().is_ok())
        .await;
    let old = replica.issuer.user_token(Uuid::new_v4(), &[]);
    replica.identity.verify(&old).await.unwrap();
    replica
        .issuer
        .rotate_to(riwaq_identity::testing::TestKey::ed25519("test-2"));
    replica.issuer.withdraw_old_keys();
    replica.clock.advance(Duration::from_secs(2));
    replica.publish(EVENT_KEYS_CHANGED, json!({})).await;
    replica
        .until("withdrawn", async |identity| {
            identity.verify(&old).await == Err(Refused::UnknownKey)
        })
        .await;
    replica.stop().await;
}
