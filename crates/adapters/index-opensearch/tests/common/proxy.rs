//! A server between the adapter and OpenSearch: it can demand TLS and a sign-in, and answer, lose,
//! hold or alter what passes. OpenSearch itself has neither TLS nor users here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a request looks like from outside.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Bytes,
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// It reaches the server, and the answer the client.
    Pass,
    /// The proxy answers by itself.
    Answer(u16, String),
    /// It reaches the server; the connection is cut instead of an answer.
    Lose,
    /// Nothing happens, for ever.
    Hang,
    /// Told to the first, it waits for the second and passes then.
    Hold(Arc<Notify>, Arc<Notify>),
}

type Rule = dyn Fn(&Seen) -> Act + Send + Sync;

/// A certificate of the proxy's own, and the file with its authority.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    pub(crate) authority: PathBuf,
    _folder: tempfile::TempDir,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("is made");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, made.cert.pem()).expect("is written");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a certificate");
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority,
            _folder: folder,
        }
    }
}

/// The running proxy; ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    upstream: String,
    rule: Box<Rule>,
    seen: Mutex<Vec<Seen>>,
}

impl Proxy {
    /// On a free port, before the server at `upstream`.
    pub(crate) async fn start(
        upstream: &str,
        identity: Option<&Identity>,
        rule: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(free, upstream, identity, rule).await
    }

    /// As [`start`](Self::start), at an address.
    pub(crate) async fn start_at(
        address: SocketAddr,
        upstream: &str,
        identity: Option<&Identity>,
        rule: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = identity.map(|identity| identity.acceptor.clone());
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            rule: Box::new(rule),
            seen: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Where it is, without TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far whose path contains `part`.
    pub(crate) fn seen(&self, part: &str) -> Vec<Seen> {
        let seen = self.shared.seen.lock().expect("not poisoned");
        let with = seen.iter().filter(|seen| seen.path.contains(part));
        with.cloned().collect()
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("accepts");
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match acceptor {
                None => serve(stream, shared).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // A lost answer ends the connection with an error: that is what was asked for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let header = head.headers.get("authorization");
    let seen = Seen {
        path: head.uri.to_string(),
        authorization: header.map(|value| value.to_str().expect("is text").to_owned()),
        body: body.clone(),
    };
    let act = (shared.rule)(&seen);
    shared.seen.lock().expect("not poisoned").push(seen);
    let forwarded = Request::from_parts(head, Full::new(body));
    match act {
        Act::Pass => Ok(forward(&shared.upstream, forwarded).await),
        Act::Answer(status, body) => {
            let answer = Response::builder().status(status);
            Ok(answer.body(Full::from(body)).expect("an answer"))
        }
        Act::Lose => {
            forward(&shared.upstream, forwarded).await;
            Err(Lost)
        }
        Act::Hang => std::future::pending().await,
        Act::Hold(reached, go) => {
            reached.notify_one();
            go.notified().await;
            Ok(forward(&shared.upstream, forwarded).await)
        }
    }
}

/// The connection is to be cut.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lost on purpose")
    }
}

impl std::error::Error for Lost {}

async fn forward(upstream: &str, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    let stream = TcpStream::connect(upstream).await.expect("connects");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("shakes hands");
    let sending = async move {
        let answer = sender.send_request(request).await.expect("answers");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Ok::<_, Infallible>(Response::from_parts(head, Full::new(body)))
    };
    let (answer, _) = tokio::join!(sending, connection);
    let Ok(answer) = answer;
    answer
}
