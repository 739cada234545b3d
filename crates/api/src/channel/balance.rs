//! Which address gets a call: of two drawn by chance the one with fewer calls under way, among those
//! whose breaker lets a call pass.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rand::RngExt as _;
use riwaq_clock::SharedClock;
use tonic::Status;
use tonic::service::Routes;

use super::breaker::Breaker;
use super::directory::Directory;
use super::policy::BreakerPolicy;
use super::remote::Remote;
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
    pub(super) fn new(transport: Transport, policy: &BreakerPolicy) -> Arc<Self> {
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

impl Balancer {
    pub(crate) fn local(routes: Routes, options: &ChannelOptions) -> Self {
        let endpoint = Endpoint::new(Transport::Local(routes.prepare()), &options.policy.breaker);
        Self::over(vec![endpoint], None, options)
    }

    pub(crate) fn remote(remote: Remote, options: &ChannelOptions) -> Result<Self, ChannelError> {
        let (policy, clock) = (options.policy.clone(), Arc::clone(&options.clock));
        let directory = Directory::new(&options.name, remote, policy, clock)?;
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
        let endpoints = self.known();
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

    /// Has names looked up again when it is time.
    async fn refresh(&self) -> Result<(), Status> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let anything_known = !self.known().is_empty();
        if let Some(endpoints) = directory.renewed(anything_known).await? {
            *self
                .endpoints
                .write()
                .unwrap_or_else(PoisonError::into_inner) = endpoints.into();
        }
        Ok(())
    }

    fn known(&self) -> Arc<[Arc<Endpoint>]> {
        let endpoints = self.endpoints.read();
        Arc::clone(&endpoints.unwrap_or_else(PoisonError::into_inner))
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
