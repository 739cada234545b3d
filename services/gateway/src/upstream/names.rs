//! Which addresses a service has: its names are looked up again and again, for pods come and go.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use riwaq_clock::SharedClock;
use url::{Host as UrlHost, Url};

use super::{Host, Replicas, UpstreamError};

/// How often. Whoever ends on purpose goes on answering for longer (`server.drain_delay_seconds`).
const EVERY: Duration = Duration::from_secs(2);

/// A configured address.
pub(super) struct Name {
    host: String,
    port: u16,
}

impl Name {
    pub(super) fn of(address: &Url) -> Result<Self, UpstreamError> {
        let refused = || UpstreamError::Address {
            address: address.to_string(),
        };
        let host = match address.host().filter(|_| address.scheme() == "http") {
            Some(UrlHost::Domain(name)) => name.to_owned(),
            Some(UrlHost::Ipv4(address)) => address.to_string(),
            Some(UrlHost::Ipv6(address)) => address.to_string(),
            None => return Err(refused()),
        };
        let port = address.port_or_known_default().unwrap_or(80);
        Ok(Self { host, port })
    }
}

impl Replicas {
    /// Every address there is; the first requests wait until they are known, and which of them are ready.
    pub(super) async fn hosts(self: &Arc<Self>) -> Result<Arc<Vec<Arc<Host>>>, UpstreamError> {
        let known = self.known().await?;
        self.first_look(&known).await;
        Ok(known)
    }

    async fn known(self: &Arc<Self>) -> Result<Arc<Vec<Arc<Host>>>, UpstreamError> {
        let known = self.hosts.load_full();
        if !known.is_empty() {
            return Ok(known);
        }
        let _one = self.looking_up.lock().await;
        let known = self.hosts.load_full();
        if !known.is_empty() {
            return Ok(known);
        }
        self.look_up().await.map_err(|source| UpstreamError::Name {
            role: self.role,
            source,
        })?;
        self.keep_looking_up();
        Ok(self.hosts.load_full())
    }

    /// Finds them anew. Where one name of several fails, what was known stays; where nothing was, the others do.
    async fn look_up(self: &Arc<Self>) -> io::Result<()> {
        let (mut found, mut trouble) = (Vec::new(), None);
        for name in &self.names {
            match self.resolver.resolve(&name.host, name.port).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => trouble = Some(error),
            }
        }
        if found.is_empty() {
            return Err(trouble.unwrap_or_else(|| io::Error::other("it has no address")));
        }
        if let Some(error) = trouble.filter(|_| !self.hosts.load().is_empty()) {
            return Err(error);
        }
        found.sort_unstable();
        found.dedup();
        self.replace(&found);
        Ok(())
    }

    fn replace(self: &Arc<Self>, addresses: &[SocketAddr]) {
        let known = self.hosts.load_full();
        let host = |address: &SocketAddr| {
            let old = known.iter().find(|host| host.address() == *address);
            old.map_or_else(|| self.begin(Host::at(*address)), Arc::clone)
        };
        let hosts: Vec<_> = addresses.iter().map(host).collect();
        for gone in known
            .iter()
            .filter(|old| !addresses.contains(&old.address()))
        {
            tracing::info!(role = self.role, address = %gone.address(), "an address is gone");
        }
        self.hosts.store(Arc::new(hosts));
        self.count();
    }

    /// From the first time that any address was known; from then on one is.
    fn keep_looking_up(self: &Arc<Self>) {
        let (replicas, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        let closing = self.tasks.closing_token();
        self.tasks.spawn("addresses of a service", async move {
            closing
                .run_until_cancelled(again_and_again(replicas, clock))
                .await;
        });
    }
}

/// As long as anybody has the service.
async fn again_and_again(replicas: Weak<Replicas>, clock: SharedClock) {
    loop {
        clock.sleep(EVERY).await;
        let Some(replicas) = replicas.upgrade() else {
            return;
        };
        if let Err(error) = replicas.look_up().await {
            // What was known may still be right.
            tracing::warn!(role = replicas.role, %error, "name lookup failed");
        }
    }
}
