//! The accept loop: HTTP/1.1 and HTTP/2 on one port, with TLS where it is configured, and a graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures::future::BoxFuture;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::config::ServerConfig;
use super::sendfile::{Connection, Outgoing};
use super::tls::ListenerTls;
use crate::tasks::TaskGroup;

/// How long the loop rests when the system has no more descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// HTTP/2: how often an idle connection is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where and how connections are accepted.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<ListenerTls>,
    pub(super) router: Router,
}

/// The part that connections share.
#[derive(Clone)]
struct Connections {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    tls: Option<ListenerTls>,
    leaving: CancellationToken,
}

impl Listening {
    /// Accepts until `stop`; then returns the connections that are left, each told to end after its requests.
    /// From `leaving` on every answer asks its client for another connection. Connections are tasks of `tasks`.
    pub(super) async fn accept(
        self,
        config: &ServerConfig,
        tasks: &TaskGroup,
        leaving: CancellationToken,
        stop: CancellationToken,
    ) -> GracefulShutdown {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(
            config.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let connections = Connections {
            builder: Arc::new(builder(config)),
            router: self.router,
            tls: self.tls,
            leaving,
        };
        loop {
            let accepted = stop
                .run_until_cancelled(next(&self.listener, &permits))
                .await;
            let Some((stream, peer, permit)) = accepted else {
                return graceful;
            };
            let (connections, watcher) = (connections.clone(), graceful.watcher());
            tasks.spawn("connection", async move {
                connections.serve(stream, peer, watcher).await;
                drop(permit);
            });
        }
    }
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        // Asked for first: connections beyond the limit wait in the system's queue.
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::warn!(cause = %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn builder(config: &ServerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(config.head_timeout_seconds))
        // Somewhat more than allowed, so that we are the ones who answer 431, as a problem.
        .max_buf_size((config.max_head_bytes * 2).max(16 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(config.max_head_bytes * 2).unwrap_or(u32::MAX))
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .adaptive_window(true);
    builder
}

impl Connections {
    async fn serve(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Small answers must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            let (stream, outgoing) = Connection::new(stream);
            return self.speak(stream, peer, Some(outgoing), watcher).await;
        };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(Some(stream))) => self.speak(stream, peer, None, watcher).await,
            Ok(Ok(None)) => tracing::debug!("an authority has looked at a name"),
            Ok(Err(error)) => tracing::debug!(cause = %error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn speak<S>(
        self,
        stream: S,
        peer: SocketAddr,
        outgoing: Option<Outgoing>,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = PeerService {
            router: self.router,
            peer,
            outgoing,
            leaving: self.leaving,
        };
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            // A client that goes away or speaks nonsense is everyday.
            tracing::debug!(cause = %error, "connection ended");
        }
    }
}

/// Tells the router who is at the other end, and hands files among its answers to the connection.
struct PeerService {
    router: Router,
    peer: SocketAddr,
    outgoing: Option<Outgoing>,
    leaving: CancellationToken,
}

impl hyper::service::Service<Request<Incoming>> for PeerService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let asked = (request.method().clone(), request.version());
        let (outgoing, leaving) = (self.outgoing.clone(), self.leaving.clone());
        // A router is always ready, and cheap to clone.
        let answer = self.router.clone().call(request.map(Body::new));
        Box::pin(async move {
            let mut response = answer.await?;
            if leaving.is_cancelled() {
                ask_to_leave(asked.1, &mut response);
            }
            Ok(match outgoing {
                Some(outgoing) => outgoing.take_over(&asked.0, asked.1, response),
                None => response,
            })
        })
    }
}

/// The client comes back over another connection, to whoever stays. Without this it would learn of the end when the connection
/// closes, perhaps with a request of its own on the way (RFC 9112, section 9.6). HTTP/2 has a word of its own for it.
fn ask_to_leave(version: Version, response: &mut Response<Body>) {
    let is_http1 = matches!(version, Version::HTTP_10 | Version::HTTP_11);
    if is_http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}
