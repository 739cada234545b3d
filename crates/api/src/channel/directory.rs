//! Which addresses a channel has: names are looked up again and again, and nobody waits long for it who knows some.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use riwaq_clock::SharedClock;
use tokio::sync::{Mutex, MutexGuard};
use tonic::Status;

use super::ChannelError;
use super::balance::{Endpoint, Transport};
use super::policy::ChannelPolicy;
use super::remote::{Host, Remote, Resolver};

/// How long a call waits for names although it knows addresses. One packet that a name service loses costs the resolvers
/// of libc five seconds, as long as a call may take altogether.
const PATIENCE: Duration = Duration::from_millis(250);

/// What one look at all names came to.
#[derive(Default)]
struct Found {
    /// By the place of its host in the list.
    addresses: Vec<(usize, SocketAddr)>,
    trouble: Option<String>,
}

pub(super) struct Directory {
    /// The called service, for messages.
    name: String,
    hosts: Arc<[Host]>,
    resolver: Arc<dyn Resolver>,
    policy: ChannelPolicy,
    clock: SharedClock,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked_up: Option<Duration>,
    by_address: HashMap<SocketAddr, Arc<Endpoint>>,
    /// Goes on when nobody waits for it any more: the next call sees what came of it.
    lookup: Option<BoxFuture<'static, Found>>,
}

impl Directory {
    pub(super) fn new(
        name: &str,
        remote: Remote,
        policy: ChannelPolicy,
        clock: SharedClock,
    ) -> Result<Self, ChannelError> {
        if remote.endpoints.is_empty() {
            return Err(ChannelError::NoEndpoint);
        }
        let hosts = remote
            .endpoints
            .iter()
            .map(|endpoint| Host::parse(endpoint, remote.ca_pem.as_deref()));
        Ok(Self {
            name: name.to_owned(),
            hosts: hosts.collect::<Result<_, _>>()?,
            resolver: remote.resolver,
            policy,
            clock,
            known: Mutex::default(),
        })
    }

    /// Every address there is now, when it was time to look and something came of it. One caller does, the others go on
    /// with what is known; only while nothing is known (`anything_known`) they wait.
    ///
    /// # Errors
    /// When names cannot be looked up, and nothing was known.
    pub(super) async fn renewed(
        &self,
        anything_known: bool,
    ) -> Result<Option<Vec<Arc<Endpoint>>>, Status> {
        let mut known = if !anything_known {
            self.known.lock().await
        } else if let Ok(known) = self.known.try_lock() {
            known
        } else {
            return Ok(None);
        };
        let now = self.clock.monotonic();
        let pause = Duration::from_secs(self.policy.resolve_seconds);
        let fresh = known
            .looked_up
            .is_some_and(|at| now < at.saturating_add(pause));
        if fresh && !known.by_address.is_empty() {
            return Ok(None);
        }
        let Some(found) = self.look_up(&mut known).await else {
            return Ok(None);
        };
        known.lookup = None;
        known.looked_up = Some(now);
        match self.endpoints(found, &known.by_address) {
            Ok(found) => {
                let endpoints = found.values().map(Arc::clone).collect();
                known.by_address = found;
                Ok(Some(endpoints))
            }
            // What was known may still be right.
            Err(_) if !known.by_address.is_empty() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Begins to look, or sees what came of a look that takes longer than anybody waits.
    async fn look_up(&self, known: &mut MutexGuard<'_, Known>) -> Option<Found> {
        let nothing_known = known.by_address.is_empty();
        let begins = known.lookup.is_none();
        let lookup = known
            .lookup
            .get_or_insert_with(|| look_up(Arc::clone(&self.hosts), Arc::clone(&self.resolver)));
        if nothing_known {
            Some(lookup.await)
        } else if begins {
            tokio::select! {
                biased;
                found = lookup => Some(found),
                () = self.clock.sleep(PATIENCE) => {
                    tracing::warn!(service = self.name, "name lookup takes long: calls go on with what was known");
                    None
                }
            }
        } else {
            lookup.now_or_never()
        }
    }

    /// One that was known keeps its connection and breaker.
    fn endpoints(
        &self,
        found: Found,
        known: &HashMap<SocketAddr, Arc<Endpoint>>,
    ) -> Result<HashMap<SocketAddr, Arc<Endpoint>>, Status> {
        let name = &self.name;
        if let Some(trouble) = &found.trouble {
            tracing::warn!(service = name, trouble, "name lookup failed");
            // One host of several that cannot be looked up must not drop what is known of it.
            if found.addresses.is_empty() || !known.is_empty() {
                return Err(Status::unavailable(format!("{name}: {trouble}")));
            }
        }
        let endpoint = |(host, address): (usize, SocketAddr)| {
            let old = known.get(&address).map(Arc::clone);
            let endpoint = old.map_or_else(|| self.connect(host, address), Ok)?;
            Ok((address, endpoint))
        };
        found.addresses.into_iter().map(endpoint).collect()
    }

    fn connect(&self, host: usize, address: SocketAddr) -> Result<Arc<Endpoint>, Status> {
        let channel = self.hosts[host].connect(address, &self.policy);
        let channel = channel.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Endpoint::new(
            Transport::Remote(channel),
            &self.policy.breaker,
        ))
    }
}

fn look_up(hosts: Arc<[Host]>, resolver: Arc<dyn Resolver>) -> BoxFuture<'static, Found> {
    Box::pin(async move {
        let mut found = Found::default();
        for (index, host) in hosts.iter().enumerate() {
            match resolver.resolve(&host.name, host.port).await {
                Ok(addresses) => {
                    let addresses = addresses.into_iter().map(|address| (index, address));
                    found.addresses.extend(addresses);
                }
                Err(error) => found.trouble = Some(format!("{}: {error}", host.name)),
            }
        }
        found
    })
}
