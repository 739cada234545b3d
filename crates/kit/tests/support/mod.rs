//! A listener with TLS, and clients that look closely.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use riwaq_clock::SharedClock;
use riwaq_kit::service::{ServeError, TlsConfig};
use riwaq_kit::{MetricsHandle, Process, ServerConfig, Service, TaskGroup};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// A process with one route.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinSet<Result<(), ServeError>>,
}

pub(crate) async fn start(tls: TlsConfig, clock: SharedClock) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    start_on(listener, tls, clock)
}

pub(crate) fn start_on(listener: TcpListener, tls: TlsConfig, clock: SharedClock) -> Running {
    // What went wrong is in the log: a failed test shows it.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_test_writer()
        .try_init();
    let address = listener.local_addr().expect("an address");
    let config = ServerConfig {
        tls: Some(tls),
        // A connection that rests between two requests is not closed, however long the machine takes.
        head_timeout_seconds: 3600,
        ..ServerConfig::default()
    };
    let router = Router::new().route("/hello", get(async || "salam"));
    let service = Service::new("https", TaskGroup::new()).rest(router, Default::default());
    let process = Process::new(clock, config, MetricsHandle::install());
    let (stop, stopped) = oneshot::channel::<()>();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let stopped = async move {
            let _ = stopped.await;
        };
        process.serve(service, listener, stopped).await.map(drop)
    });
    Running {
        address,
        stop,
        task,
    }
}

impl Running {
    /// How it ended.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        joined(self.task).await
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("is running");
        joined(self.task).await.expect("ends well");
    }
}

async fn joined(mut task: JoinSet<Result<(), ServeError>>) -> Result<(), ServeError> {
    let joined = tokio::time::timeout(PATIENCE, task.join_next()).await;
    joined.expect("in time").expect("a task").expect("joins")
}

/// An authority of the test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("is made");
        Self {
            certificate: made.der().clone(),
            pem: made.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Chain and key in PEM of a certificate that ends on the first day of a year.
    pub(crate) fn issue(&self, name: &str, until_year: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("is made");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        roots
    }
}

/// Two files with a certificate of `authority`.
pub(crate) fn write(folder: &Path, (chain, key): &(String, String)) -> TlsConfig {
    let (certificate_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate_file, chain).expect("is written");
    std::fs::write(&key_file, key).expect("is written");
    TlsConfig {
        certificate_file,
        key_file,
        reload_seconds: 10,
        ..TlsConfig::default()
    }
}

/// The certificates of a file.
pub(crate) fn roots_of(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    roots
}

/// Shakes hands in these versions only.
pub(crate) async fn shake(
    address: SocketAddr,
    roots: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = "localhost".try_into().expect("a name");
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, stream);
    tokio::time::timeout(PATIENCE, connecting).await?
}

/// Asks for `/hello`; the answer.
pub(crate) async fn hello(mut stream: TlsStream<TcpStream>) -> String {
    let request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("is read");
    answer
}

/// Asks for `/hello` on a connection that stays; whether the answer is the right one.
pub(crate) async fn hello_again(stream: &mut TlsStream<TcpStream>) -> bool {
    let request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("is sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"salam") {
        let read = stream.read_buf(&mut answer).await.expect("is read");
        if read == 0 {
            return false;
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

/// The certificate that a stream showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().expect("a chain");
    chain[0].clone().into_owned()
}

/// The first certificate of a chain in PEM.
pub(crate) fn first(chain: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")
}

/// A metric, by its name and labels; none while it is not known.
pub(crate) fn metric(name: &str) -> Option<f64> {
    let text = MetricsHandle::install().render();
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Repeats `look` until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let waiting = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A folder that goes away.
pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    (folder, path)
}
