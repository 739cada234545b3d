//! The one kind of channel that services call each other through.
//!
//! Order of the layers, outermost first, each the same whatever the transport:
//! metrics → deadline → limit on concurrent calls → identities and trace context → retry →
//! balancing with a circuit breaker for each address → transport.

mod attempt;
mod balance;
mod binder;
mod body;
mod breaker;
mod call;
mod directory;
mod identity;
mod local;
mod policy;
mod remote;
mod retry;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use riwaq_clock::{SharedClock, SystemClock};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use balance::Balancer;
use binder::Slot;
pub use binder::{Binder, Bound};
pub use identity::{ACTOR_TOKEN, TokenError, TokenSource};
pub use policy::{BreakerPolicy, ChannelPolicy, RetryPolicy};
pub use remote::{Remote, Resolver, SystemResolver};
use retry::Budget;

/// Why a channel could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// An endpoint is not an `http://host:port` or `https://host:port` address.
    #[error("the endpoint {endpoint:?} is not usable: {reason}")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no endpoint at all.
    #[error("no endpoint is configured")]
    NoEndpoint,
}

/// What a channel is made with beside its target.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// The called service's short name (`users`): for metrics, spans and messages.
    pub name: String,
    /// Limits, retries, breaker.
    pub policy: ChannelPolicy,
    /// Measures deadlines and the breaker's waits.
    pub clock: SharedClock,
    /// What a call inherits from the request that is being handled.
    pub context: CallContext,
}

/// How a channel learns of the request that is being handled when it makes a call. Functions, so
/// that this crate need not know who keeps that.
#[derive(Debug, Clone, Copy)]
pub struct CallContext {
    /// Writes the trace context (`traceparent`) into the headers of a call.
    pub inject: fn(&mut HeaderMap),
    /// How long the caller of that request still waits; beside what [`crate::deadline::inherited`]
    /// knows.
    pub time_left: fn() -> Option<Duration>,
}

impl Default for CallContext {
    /// No trace and no further deadline.
    fn default() -> Self {
        Self {
            inject: |_| {},
            time_left: || None,
        }
    }
}

impl ChannelOptions {
    /// Default policy and the machine's clock.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            policy: ChannelPolicy::default(),
            clock: SystemClock::shared(),
            context: CallContext::default(),
        }
    }
}

/// Carries gRPC calls to one service, in this process or in others. Cheap to clone; clones share
/// limits, breakers and connections, and may carry different identities.
///
/// It implements the service trait of tonic's generated clients: `UsersClient::new(channel)`, or
/// with the contract's size limits [`crate::clients::users`].
///
/// Guarantees, over either transport: messages are encoded; nothing but bytes, headers and trailers
/// crosses; the call ends by its deadline with `DEADLINE_EXCEEDED`; dropping it cancels the handler;
/// only methods that the contract calls idempotent are ever sent twice. `UNAVAILABLE` and
/// `DEADLINE_EXCEEDED` mean *unknown outcome*.
#[derive(Clone)]
pub struct Channel {
    target: Target,
    tokens: Option<Arc<dyn TokenSource>>,
    actor: Option<HeaderValue>,
}

#[derive(Clone)]
enum Target {
    Ready(Arc<Core>),
    Deferred(Arc<Slot>),
}

/// What the clones of a channel share.
pub(crate) struct Core {
    name: Arc<str>,
    policy: ChannelPolicy,
    clock: SharedClock,
    context: CallContext,
    balancer: Balancer,
    permits: Arc<Semaphore>,
    budget: Budget,
}

impl Channel {
    /// A channel to a service of this process, with default options. `routes` should have the
    /// layers that they have on a socket ([`crate::server::limited`], identity).
    #[must_use]
    pub fn local(routes: Routes) -> Self {
        Self::local_with(routes, ChannelOptions::named("local"))
    }

    /// A channel to a service of this process.
    #[must_use]
    pub fn local_with(routes: Routes, options: ChannelOptions) -> Self {
        let balancer = Balancer::local(routes, &options);
        Self::over(balancer, options)
    }

    /// A channel to the replicas of a service in other processes. Connects when first used.
    ///
    /// # Errors
    /// When `remote` has no endpoint, or one that is not an address.
    pub fn remote(remote: Remote, options: ChannelOptions) -> Result<Self, ChannelError> {
        let balancer = Balancer::remote(remote, &options)?;
        Ok(Self::over(balancer, options))
    }

    /// A channel whose target is given later, for services that call each other in one process.
    /// Until then, and once the [`Bound`] is dropped, calls end with `UNAVAILABLE`.
    #[must_use]
    pub fn deferred() -> (Self, Binder) {
        let slot = Arc::new(Slot::default());
        let channel = Self {
            target: Target::Deferred(Arc::clone(&slot)),
            tokens: None,
            actor: None,
        };
        (channel, Binder::new(slot))
    }

    fn over(balancer: Balancer, options: ChannelOptions) -> Self {
        let core = Core {
            permits: Arc::new(Semaphore::new(options.policy.max_concurrent)),
            budget: Budget::new(&options.policy.retry),
            name: options.name.into(),
            policy: options.policy,
            clock: options.clock,
            context: options.context,
            balancer,
        };
        Self {
            target: Target::Ready(Arc::new(core)),
            tokens: None,
            actor: None,
        }
    }

    /// The same channel, calling as the service that `tokens` speaks for (`authorization`).
    #[must_use]
    pub fn with_tokens(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// The same channel, calling on behalf of a user (`x-riwaq-actor-token`). A token with bytes
    /// that no header may have is left out, so the called service sees no user.
    #[must_use]
    pub fn with_actor_token(mut self, token: &str) -> Self {
        self.actor = HeaderValue::from_str(token).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Largest message in bytes, either way.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        self.core().map_or_else(
            |_| ChannelPolicy::default().max_message_bytes,
            |core| core.policy.max_message_bytes,
        )
    }

    fn core(&self) -> Result<Arc<Core>, Status> {
        match &self.target {
            Target::Ready(core) => Ok(Arc::clone(core)),
            Target::Deferred(slot) => slot.core(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .core()
            .map_or_else(|_| "unbound".into(), |core| Arc::clone(&core.name));
        f.debug_struct("Channel")
            .field("name", &name)
            .field("service_token", &self.tokens.is_some())
            .field("actor_token", &self.actor.is_some())
            .finish()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    /// Always ready: the limit on concurrent calls is waited for inside the call, under its
    /// deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move {
            let core = channel.core()?;
            call::run(
                &core,
                channel.tokens.as_ref(),
                channel.actor.as_ref(),
                request,
            )
            .await
        })
    }
}
