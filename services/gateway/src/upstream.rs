//! A service in other processes, as an HTTP service: a pool of connections to each of its addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use riwaq_clock::SharedClock;
use riwaq_kit::{HttpService, TaskGroup};
use tower::service_fn;
use url::Url;

use unsent::Unsent;

mod unsent;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. Shorter than the service keeps it, so that it is not us who lose the race.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// How long an address that refused a connection is left alone.
const REST: Duration = Duration::from_secs(2);

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
    hosts: Vec<Host>,
    next: AtomicUsize,
    client: Client<HttpConnector, Body>,
    clock: SharedClock,
    /// Upgraded connections (WebSocket) are tasks of the gateway.
    tasks: TaskGroup,
}

struct Host {
    authority: Authority,
    busy: AtomicUsize,
    /// On the monotonic clock, in milliseconds.
    down_until: AtomicU64,
}

/// The service `role` at these addresses (`http://host:port`), as an HTTP service. Requests go to the less busy of
/// two addresses taken in turn; one that refuses connections is left alone for a moment.
///
/// A request is sent to another address when nothing of it was sent to the first, or when it is a read (`GET`, `HEAD`)
/// without a body whose route says that it may be repeated.
///
/// # Errors
/// [`UpstreamError::Address`].
pub fn remote(
    role: &'static str,
    addresses: &[Url],
    clock: SharedClock,
    tasks: TaskGroup,
) -> Result<HttpService, UpstreamError> {
    let hosts: Result<Vec<_>, _> = addresses.iter().map(host).collect();
    let hosts = hosts?;
    if hosts.is_empty() {
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
        .build(connector);
    let replicas = Arc::new(Replicas {
        role,
        hosts,
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

fn host(address: &Url) -> Result<Host, UpstreamError> {
    let refused = || UpstreamError::Address {
        address: address.to_string(),
    };
    let name = address
        .host_str()
        .filter(|_| address.scheme() == "http")
        .ok_or_else(refused)?;
    let port = address.port_or_known_default().unwrap_or(80);
    let authority = Authority::try_from(format!("{name}:{port}")).map_err(|_| refused())?;
    Ok(Host {
        authority,
        busy: AtomicUsize::new(0),
        down_until: AtomicU64::new(0),
    })
}

/// Counts a request as long as it waits for the head of its answer.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Replicas {
    async fn ask(&self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let client_side = request
            .extensions_mut()
            .remove::<hyper::upgrade::OnUpgrade>();
        let bodyless = request.body().is_end_stream();
        let safe = bodyless
            && matches!(*request.method(), Method::GET | Method::HEAD)
            && request.extensions_mut().remove::<MayRepeat>().is_some();
        let mut again = Some(copy(&request));
        let (mut request, mut unsent) = Unsent::wrap(request);
        let mut tried = None;
        loop {
            let host = self.choose(tried);
            let error = match self.send(host, request).await {
                Ok(response) => return Ok(self.upgraded(client_side, response)),
                Err(error) => error,
            };
            let connect = error.is_connect();
            if connect {
                let until = self
                    .now()
                    .saturating_add(u64::try_from(REST.as_millis()).unwrap_or(u64::MAX));
                host.down_until.store(until, Ordering::Relaxed);
            }
            // Without a connection nobody has read of the body.
            let body = if connect { unsent.take() } else { None };
            let body = body.or_else(|| safe.then(Body::empty));
            match again.take().zip(body) {
                Some((copy, body)) => {
                    tried = Some(host);
                    (request, unsent) = Unsent::wrap(copy.map(|()| body));
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

    /// The less busy of the next two addresses that are up; any, when none is.
    fn choose(&self, tried: Option<&Host>) -> &Host {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        let usable = |host: &&Host| {
            host.down_until.load(Ordering::Relaxed) <= now
                && !tried.is_some_and(|tried| std::ptr::eq(tried, *host))
        };
        let turn = (0..self.hosts.len()).map(|step| &self.hosts[(start + step) % self.hosts.len()]);
        let two = turn.filter(usable).take(2);
        two.min_by_key(|host| host.busy.load(Ordering::Relaxed))
            .unwrap_or(&self.hosts[start % self.hosts.len()])
    }

    async fn send(
        &self,
        host: &Host,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, hyper_util::client::legacy::Error> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(host.authority.clone());
        uri.path_and_query = Some(path);
        // Scheme, authority and path together always make an address.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        *request.version_mut() = http::Version::HTTP_11;
        let _busy = Busy::new(&host.busy);
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

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
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
