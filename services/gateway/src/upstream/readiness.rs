//! Each address of a service is asked again and again whether it is ready: a process that starts listens before it can
//! answer, and one that drains answers for a while although it will be gone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
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
const PATH: &str = "/readyz";

impl Replicas {
    /// Begins to look, once. One address alone gets every request, whatever it says.
    pub(super) fn look_after_hosts(self: &Arc<Self>) {
        if self.hosts.len() < 2 || self.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        for host in &self.hosts {
            let (replicas, host) = (Arc::downgrade(self), Arc::clone(host));
            let closing = self.tasks.closing_token();
            self.tasks.spawn("readiness of an address", async move {
                closing
                    .run_until_cancelled(keep_looking(replicas, &host))
                    .await;
            });
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

/// As long as anybody has the service.
async fn keep_looking(replicas: Weak<Replicas>, host: &Host) {
    while let Some(replicas) = replicas.upgrade() {
        host.found(replicas.role, replicas.look_at(host).await);
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
