//! One address of a service: how busy it is, and whether it takes requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio::sync::Notify;
use url::Url;

use super::UpstreamError;

pub(super) struct Host {
    authority: Authority,
    busy: AtomicUsize,
    is_ready: AtomicBool,
    look: Notify,
}

/// Counts a request as long as it waits for the head of its answer.
pub(super) struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Host {
    /// Taken for ready until it is known better.
    pub(super) fn at(address: &Url) -> Result<Arc<Self>, UpstreamError> {
        let refused = || UpstreamError::Address {
            address: address.to_string(),
        };
        let name = address
            .host_str()
            .filter(|_| address.scheme() == "http")
            .ok_or_else(refused)?;
        let port = address.port_or_known_default().unwrap_or(80);
        let authority = Authority::try_from(format!("{name}:{port}")).map_err(|_| refused())?;
        Ok(Arc::new(Self {
            authority,
            busy: AtomicUsize::new(0),
            is_ready: AtomicBool::new(true),
            look: Notify::new(),
        }))
    }

    /// This path of it.
    pub(super) fn uri(&self, path: Option<PathAndQuery>) -> Uri {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
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

    /// It refused a connection.
    pub(super) fn is_away(&self, role: &'static str) {
        self.found(role, false);
    }

    /// What looking showed. A change is worth a line of the log.
    pub(super) fn found(&self, role: &'static str, is_ready: bool) {
        let address = self.authority.as_str();
        metrics::gauge!("riwaq_upstream_ready", "role" => role, "address" => address.to_owned())
            .set(f64::from(u8::from(is_ready)));
        if self.is_ready.swap(is_ready, Ordering::Relaxed) == is_ready {
            return;
        }
        if is_ready {
            tracing::info!(role, address, "ready again");
        } else {
            tracing::warn!(
                role,
                address,
                "not ready: it gets no requests while another is"
            );
        }
    }

    /// Has it looked at without waiting for the next time.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }

    pub(super) async fn asked_to_look(&self) {
        self.look.notified().await;
    }
}
