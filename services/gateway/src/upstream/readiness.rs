//! Each address of a service is asked again and again whether it is ready: a process that starts listens before it can
//! answer, and one that drains answers for a while although it will be gone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use futures::future::join_all;
use http::Request;
use http::uri::PathAndQuery;

use super::{Host, Replicas};

/// How often an address that is ready is looked at. Whoever ends on purpose says so for longer
/// (`server.drain_delay_seconds`).
const EVERY: Duration = Duration::from_secs(1);
/// How often one is that is not.
const EVERY_UNREADY: Duration = Duration::from_millis(250);
/// How long a look may take: longer than the checks that the answer is made of.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the first requests wait until it is known which addresses are ready.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const PATH: &str = "/readyz";

impl Replicas {
    /// Begins to look at an address that was not known; that ends when it is gone.
    pub(super) fn begin(self: &Arc<Self>, host: Arc<Host>) -> Arc<Host> {
        let (replicas, looked_at) = (Arc::downgrade(self), Arc::downgrade(&host));
        let closing = self.tasks.closing_token();
        self.tasks.spawn("readiness of an address", async move {
            closing
                .run_until_cancelled(keep_looking(replicas, looked_at))
                .await;
        });
        host
    }

    /// Waits until every address was looked at once: of a process that has just begun nobody knows which of them take
    /// requests, and in a rollout names tell of pods that start and of pods that end.
    pub(super) async fn first_look(&self, hosts: &[Arc<Host>]) {
        if self.has_looked.load(Ordering::Relaxed) {
            return;
        }
        let looks = join_all(hosts.iter().map(|host| host.was_looked_at()));
        // Whoever has not answered by then gets nothing until it does, unless nobody has.
        let _ = tokio::time::timeout(FIRST_LOOK, looks).await;
        self.has_looked.store(true, Ordering::Relaxed);
    }

    /// Writes down what was seen of an address.
    pub(super) fn found(&self, host: &Host, is_ready: bool) {
        if host.found(self.role, is_ready) {
            self.count();
        }
        host.is_looked_at();
    }

    /// How many addresses there are, and how many of them are ready.
    pub(super) fn count(&self) {
        let hosts = self.hosts.load();
        let ready = hosts.iter().filter(|host| host.is_ready()).count();
        for (state, count) in [("ready", ready), ("unready", hosts.len() - ready)] {
            metrics::gauge!("riwaq_upstream_addresses", "role" => self.role, "state" => state)
                .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }

    /// Whether `host` says that it is ready.
    async fn look_at(&self, host: &Host) -> bool {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = host.uri(Some(PathAndQuery::from_static(PATH)));
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
    }
}

/// As long as anybody has the service, and the service the address.
async fn keep_looking(replicas: Weak<Replicas>, host: Weak<Host>) {
    while let Some((replicas, host)) = replicas.upgrade().zip(host.upgrade()) {
        let is_ready = replicas.look_at(&host).await;
        replicas.found(&host, is_ready);
        let clock = Arc::clone(&replicas.clock);
        drop(replicas);
        let pause = if host.is_ready() {
            EVERY
        } else {
            EVERY_UNREADY
        };
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = host.asked_to_look() => {}
        }
    }
}
