//! Which address gets a call: of two drawn by chance the one with fewer calls under way, among those
//! whose breaker lets a call pass.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rand::RngExt as _;
use riwaq_clock::SharedClock;
use tokio::sync::Mutex;
use tonic::Status;
use tonic::service::Routes;

use super::breaker::Breaker;
use super::policy::{BreakerPolicy, ChannelPolicy};
use super::remote::{Host, Remote, Resolver};
use super::{ChannelError, ChannelOptions};

/// The way to one address.
#[derive(Clone)]
pub(crate) enum Transport {
    Local(Routes),
    Remote(tonic::transport::Channel),
}

/// One address with what is known of it.
pub(crate) struct Endpoint {
    pub(crate) transport: Transport,
    pub(crate) breaker: Breaker,
    under_way: AtomicUsize,
}

impl Endpoint {
    fn new(transport: Transport, policy: &BreakerPolicy) -> Arc<Self> {
        Arc::new(Self {
            transport,
            breaker: Breaker::new(policy),
            under_way: AtomicUsize::new(0),
        })
    }
}

/// A call's place at an endpoint, until dropped.
pub(crate) struct Place {
    pub(crate) endpoint: Arc<Endpoint>,
    clock: SharedClock,
    settled: bool,
}

impl Place {
    fn take(endpoint: Arc<Endpoint>, clock: &SharedClock) -> Self {
        endpoint.under_way.fetch_add(1, Ordering::Relaxed);
        Self {
            endpoint,
            clock: Arc::clone(clock),
            settled: false,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.settled = true;
        self.endpoint.breaker.succeeded();
    }

    pub(crate) fn failed(&mut self) {
        self.settled = true;
        self.endpoint.breaker.failed(self.clock.monotonic());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.endpoint.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.settled {
            self.endpoint.breaker.abandoned(self.clock.monotonic());
        }
    }
}

/// The addresses of one channel.
pub(crate) struct Balancer {
    name: String,
    clock: SharedClock,
    endpoints: RwLock<Arc<[Arc<Endpoint>]>>,
    directory: Option<Directory>,
}

/// Finds addresses anew from time to time.
struct Directory {
    hosts: Vec<Host>,
    resolver: Arc<dyn Resolver>,
    policy: ChannelPolicy,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked_up: Option<Duration>,
    by_address: HashMap<SocketAddr, Arc<Endpoint>>,
}

impl Balancer {
    pub(crate) fn local(routes: Routes, options: &ChannelOptions) -> Self {
        let endpoint = Endpoint::new(Transport::Local(routes.prepare()), &options.policy.breaker);
        Self::over(vec![endpoint], None, options)
    }

    pub(crate) fn remote(remote: Remote, options: &ChannelOptions) -> Result<Self, ChannelError> {
        if remote.endpoints.is_empty() {
            return Err(ChannelError::NoEndpoint);
        }
        let hosts = remote
            .endpoints
            .iter()
            .map(|endpoint| Host::parse(endpoint, remote.ca_pem.as_deref()));
        let directory = Directory {
            hosts: hosts.collect::<Result<_, _>>()?,
            resolver: remote.resolver,
            policy: options.policy.clone(),
            known: Mutex::default(),
        };
        Ok(Self::over(Vec::new(), Some(directory), options))
    }

    fn over(
        endpoints: Vec<Arc<Endpoint>>,
        directory: Option<Directory>,
        options: &ChannelOptions,
    ) -> Self {
        Self {
            name: options.name.clone(),
            clock: Arc::clone(&options.clock),
            endpoints: RwLock::new(endpoints.into()),
            directory,
        }
    }

    /// An address for one attempt; one that this call tried before only if there is no other.
    pub(crate) async fn pick(&self, tried: &[Arc<Endpoint>]) -> Result<Place, Status> {
        self.refresh().await?;
        let endpoints = Arc::clone(
            &self
                .endpoints
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let now = self.clock.monotonic();
        let open = endpoints.iter().filter(|one| one.breaker.would_admit(now));
        let is_tried = |one: &&Arc<Endpoint>| tried.iter().any(|other| Arc::ptr_eq(one, other));
        let (again, fresh): (Vec<_>, Vec<_>) = open.partition(is_tried);
        for mut candidates in [fresh, again] {
            while !candidates.is_empty() {
                let chosen = candidates.swap_remove(less_loaded_of_two(&candidates));
                if chosen.breaker.admit(now) {
                    return Ok(Place::take(Arc::clone(chosen), &self.clock));
                }
            }
        }
        let message = if endpoints.is_empty() {
            "has no address"
        } else {
            "is failing and left alone for a moment"
        };
        Err(Status::unavailable(format!("{} {message}", self.name)))
    }

    /// Looks names up again when it is time. One caller does, the others go on with what is known;
    /// only while nothing is known they wait.
    async fn refresh(&self) -> Result<(), Status> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let nothing_known = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        let mut known = if nothing_known {
            directory.known.lock().await
        } else if let Ok(known) = directory.known.try_lock() {
            known
        } else {
            return Ok(());
        };
        let now = self.clock.monotonic();
        let pause = Duration::from_secs(directory.policy.resolve_seconds);
        let fresh = known
            .looked_up
            .is_some_and(|at| now < at.saturating_add(pause));
        if fresh && !known.by_address.is_empty() {
            return Ok(());
        }
        let found = directory.look_up(&self.name, &known.by_address).await;
        known.looked_up = Some(now);
        match found {
            Ok(found) => {
                let endpoints: Vec<_> = found.values().map(Arc::clone).collect();
                known.by_address = found;
                *self
                    .endpoints
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = endpoints.into();
                Ok(())
            }
            // What was known may still be right.
            Err(_) if !known.by_address.is_empty() => Ok(()),
            Err(status) => Err(status),
        }
    }
}

impl Directory {
    /// Every address there is now; one that was known keeps its connection and breaker.
    async fn look_up(
        &self,
        name: &str,
        known: &HashMap<SocketAddr, Arc<Endpoint>>,
    ) -> Result<HashMap<SocketAddr, Arc<Endpoint>>, Status> {
        let mut found = HashMap::new();
        let mut trouble = None;
        for host in &self.hosts {
            let addresses = match self.resolver.resolve(&host.name, host.port).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    tracing::warn!(service = name, host = host.name, %error, "name lookup failed");
                    trouble = Some(format!("{name}: {}: {error}", host.name));
                    continue;
                }
            };
            for address in addresses {
                let endpoint = match known.get(&address) {
                    Some(endpoint) => Arc::clone(endpoint),
                    None => {
                        let channel = host.connect(address, &self.policy);
                        let channel =
                            channel.map_err(|error| Status::internal(error.to_string()))?;
                        Endpoint::new(Transport::Remote(channel), &self.policy.breaker)
                    }
                };
                found.insert(address, endpoint);
            }
        }
        // One host of several that cannot be looked up must not drop what is known of it.
        match trouble {
            Some(message) if found.is_empty() || !known.is_empty() => {
                Err(Status::unavailable(message))
            }
            _ => Ok(found),
        }
    }
}

fn less_loaded_of_two(candidates: &[&Arc<Endpoint>]) -> usize {
    if candidates.len() < 2 {
        return 0;
    }
    let first = rand::rng().random_range(0..candidates.len());
    let step = rand::rng().random_range(1..candidates.len());
    let second = (first + step) % candidates.len();
    let load = |index: usize| candidates[index].under_way.load(Ordering::Relaxed);
    if load(second) < load(first) {
        second
    } else {
        first
    }
}
