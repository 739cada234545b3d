//! A service in other processes, as an HTTP service: a pool of connections to each of its addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody};
use http::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use riwaq_api::Resolver;
use riwaq_clock::SharedClock;
use riwaq_kit::{HttpService, TaskGroup};
use tokio::sync::Mutex;
use tower::service_fn;
use url::Url;

use host::Host;
use names::Name;
use unsent::Unsent;

mod host;
mod names;
mod readiness;
mod unsent;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. Shorter than the service keeps it, so that it is not us who lose the race.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// How much of an answer is read before somebody wants it, in bytes: for each of a hundred who download slowly. Its head
/// must fit.
const BUFFER: usize = 64 << 10;

/// How often a request is sent again that no address had taken.
const AFTER_NO_CONNECTION: u32 = 1;
/// How often a read is that broke. In a rollout all addresses of a role go, one soon after the other, and a read may meet
/// each of them in that instant.
const AFTER_A_BREAK: u32 = 2;

/// In the extensions of a request: its route says that a read may be sent again although it may have arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MayRepeat;

/// Why a service could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// None of its addresses took the connection: the request was not sent.
    #[error("{role} cannot be reached: {source}")]
    Connect {
        /// The role.
        role: &'static str,
        /// What happened at the last address.
        source: hyper_util::client::legacy::Error,
    },
    /// The connection broke after the request was sent.
    #[error("{role} did not answer properly: {source}")]
    Broken {
        /// The role.
        role: &'static str,
        /// What happened.
        source: hyper_util::client::legacy::Error,
    },
    /// Its names are unknown, or nobody answers who knows names: the request was not sent.
    #[error("{role} cannot be found: {source}")]
    Name {
        /// The role.
        role: &'static str,
        /// What the name service said.
        source: std::io::Error,
    },
    /// The configured address is not one of HTTP.
    #[error("{address} is not an address of an HTTP service")]
    Address {
        /// As configured.
        address: String,
    },
}

/// The replicas of one role.
struct Replicas {
    role: &'static str,
    names: Vec<Name>,
    resolver: Arc<dyn Resolver>,
    /// None before the first request.
    hosts: ArcSwap<Vec<Arc<Host>>>,
    looking_up: Mutex<()>,
    /// Every address that was there first was looked at.
    has_looked: AtomicBool,
    next: AtomicUsize,
    client: Client<HttpConnector, Body>,
    clock: SharedClock,
    /// Upgraded connections (WebSocket) are tasks of the gateway, and so is looking who is there and ready.
    tasks: TaskGroup,
}

/// The service `role` at these addresses (`http://host:port`), as an HTTP service. From the first request on names are
/// looked up every other second: a headless Service of Kubernetes has an address for each pod. Each address is asked
/// every second whether it is ready, and before the first request; one that is not, or refuses connections, gets no
/// request as long as another is.
/// Requests go to the less busy of two addresses taken in turn.
///
/// A request is sent to another address when nothing of it was sent to the first, and up to twice again when it is a read
/// (`GET`, `HEAD`) without a body whose route says that it may be repeated (RFC 9110 section 9.2.2).
///
/// # Errors
/// [`UpstreamError::Address`].
pub fn remote(
    role: &'static str,
    addresses: &[Url],
    resolver: Arc<dyn Resolver>,
    clock: SharedClock,
    tasks: TaskGroup,
) -> Result<HttpService, UpstreamError> {
    let names: Vec<_> = addresses.iter().map(Name::of).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(UpstreamError::Address {
            address: format!("(none for {role})"),
        });
    }
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    let client = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(BUFFER)
        .build(connector);
    let replicas = Arc::new(Replicas {
        role,
        names,
        resolver,
        hosts: ArcSwap::default(),
        looking_up: Mutex::default(),
        has_looked: AtomicBool::new(false),
        next: AtomicUsize::new(0),
        client,
        clock,
        tasks,
    });
    Ok(HttpService::new(service_fn(move |request| {
        let replicas = Arc::clone(&replicas);
        async move { replicas.ask(request).await }
    })))
}

impl Replicas {
    async fn ask(
        self: &Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, UpstreamError> {
        let hosts = self.hosts().await?;
        let client_side = request
            .extensions_mut()
            .remove::<hyper::upgrade::OnUpgrade>();
        let bodyless = request.body().is_end_stream();
        let safe = bodyless
            && matches!(*request.method(), Method::GET | Method::HEAD)
            && request.extensions_mut().remove::<MayRepeat>().is_some();
        let again = copy(&request);
        let (mut unconnected, mut broken) = (AFTER_NO_CONNECTION, AFTER_A_BREAK);
        let (mut request, mut unsent) = Unsent::wrap(request);
        let mut tried = Vec::new();
        loop {
            let Some(host) = self.choose(&hosts, &tried) else {
                return Err(UpstreamError::Name {
                    role: self.role,
                    source: std::io::ErrorKind::NotFound.into(),
                });
            };
            let error = match self.send(host, request).await {
                Ok(response) => return Ok(self.upgraded(client_side, response)),
                Err(error) => error,
            };
            let connect = error.is_connect();
            if connect {
                self.found(host, false);
            }
            // What broke may have been the client's own doing; looking costs little.
            host.look_now();
            // Without a connection nobody has read of the body.
            let body = if connect { unsent.take() } else { None };
            let body = body.or_else(|| safe.then(Body::empty));
            // Each has its own: one address that is gone must not use up what a read may need at the next.
            let left = if connect {
                &mut unconnected
            } else {
                &mut broken
            };
            match body.filter(|_| *left > 0) {
                Some(body) => {
                    *left -= 1;
                    tried.push(host);
                    (request, unsent) = Unsent::wrap(again.clone().map(|()| body));
                }
                None if connect => {
                    return Err(UpstreamError::Connect {
                        role: self.role,
                        source: error,
                    });
                }
                None => {
                    return Err(UpstreamError::Broken {
                        role: self.role,
                        source: error,
                    });
                }
            }
        }
    }

    /// The less busy of the next two addresses that are ready; any, when none is.
    fn choose<'a>(&self, hosts: &'a [Arc<Host>], tried: &[&Arc<Host>]) -> Option<&'a Arc<Host>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % hosts.len().max(1);
        let turn = hosts[start..].iter().chain(&hosts[..start]);
        let fresh = turn.filter(|host| !tried.iter().any(|tried| Arc::ptr_eq(tried, host)));
        let two = fresh.clone().filter(|host| host.is_ready()).take(2);
        two.min_by_key(|host| host.busy())
            .or_else(|| fresh.clone().next())
            .or_else(|| hosts.get(start))
    }

    async fn send(
        &self,
        host: &Host,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, hyper_util::client::legacy::Error> {
        *request.uri_mut() = host.uri(request.uri().path_and_query().cloned());
        *request.version_mut() = http::Version::HTTP_11;
        let _busy = host.occupy();
        Ok(self.client.request(request).await?.map(Body::new))
    }

    /// Joins the two halves of a connection that has left HTTP.
    fn upgraded(
        &self,
        client: Option<hyper::upgrade::OnUpgrade>,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let Some(client) = client.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS)
        else {
            return response;
        };
        let service = hyper::upgrade::on(&mut response);
        let closing = self.tasks.closing_token();
        self.tasks.spawn("upgraded connection", async move {
            let (Ok(client), Ok(service)) = futures::join!(client, service) else {
                return;
            };
            let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
            let copy = tokio::io::copy_bidirectional(&mut client, &mut service);
            // The service behind says goodbye in its own protocol when it drains; we only end with it.
            if let Some(Err(error)) = closing.run_until_cancelled(copy).await {
                tracing::debug!(cause = %error, "an upgraded connection broke");
            }
        });
        response
    }
}

/// The same request without its body.
fn copy(request: &Request<Body>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

#[cfg(test)]
mod tests;
