//! One address of a service: how busy it is, and whether it takes requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio::sync::{Notify, SetOnce};

pub(super) struct Host {
    address: SocketAddr,
    /// The same as every request needs it. An address always is one.
    authority: Option<Authority>,
    busy: AtomicUsize,
    is_ready: AtomicBool,
    look: Notify,
    looked_at: SetOnce<()>,
}

/// Counts a request as long as it waits for the head of its answer.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Host {
    /// Not ready until it is known better: it may be a process that starts, or one that ends.
    pub(super) fn at(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            authority: address.to_string().parse().ok(),
            busy: AtomicUsize::new(0),
            is_ready: AtomicBool::new(false),
            look: Notify::new(),
            looked_at: SetOnce::new(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// This path of it.
    pub(super) fn uri(&self, path: Option<PathAndQuery>) -> Uri {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority.clone_from(&self.authority);
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // Scheme, authority and path together always make an address.
        Uri::from_parts(uri).unwrap_or_default()
    }

    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn occupy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(&self.busy)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// What was seen of it; gives whether that is new, which is worth a line of the log.
    pub(super) fn found(&self, role: &'static str, is_ready: bool) -> bool {
        if self.is_ready.swap(is_ready, Ordering::Relaxed) == is_ready {
            return false;
        }
        if is_ready {
            tracing::info!(role, address = %self.address, "ready");
        } else {
            tracing::warn!(
                role,
                address = %self.address,
                "not ready: it gets no requests while another is"
            );
        }
        true
    }

    /// It is known now how it is.
    pub(super) fn is_looked_at(&self) {
        // Once is enough.
        let _ = self.looked_at.set(());
    }

    /// Waits until that is known.
    pub(super) async fn was_looked_at(&self) {
        self.looked_at.wait().await;
    }

    /// Has it looked at without waiting for the next time.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }

    pub(super) async fn asked_to_look(&self) {
        self.look.notified().await;
    }
}
