//! TLS of the listener: versions 1.2 and 1.3, HTTP/2 and HTTP/1.1, with a certificate that may be replaced
//! while connections come in.
//!
//! The certificate comes from files that are read again and again, or by ACME.

mod acme;
mod certificate;
mod challenge;
mod files;
mod inspect;
mod order;
mod redirect;
mod store;

use std::sync::Arc;

use riwaq_clock::SharedClock;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::config::TlsConfig;
use acme::Acme;
use certificate::Certificates;
use challenge::Challenges;
use files::Files;

pub use certificate::CertificateFacts;
pub use inspect::inspect;
pub(super) use redirect::redirect;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A setting that cannot work.
    #[error("server.tls.{field}: {message}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("server.tls: {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// What is spoken cannot be set up.
    #[error("server.tls: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    pub(super) fn config(field: &'static str, message: impl Into<String>) -> Self {
        Self::Config {
            field,
            message: message.into(),
        }
    }

    fn file(path: &std::path::Path, cause: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.display().to_string(),
            cause: cause.to_string(),
        }
    }
}

/// How a listener speaks TLS. Cheap to clone.
#[derive(Clone)]
pub(super) struct ListenerTls {
    usual: Arc<rustls::ServerConfig>,
    /// For the authority that looks whether the names are ours.
    challenge: Option<Arc<rustls::ServerConfig>>,
}

/// What keeps the certificate of a listener fresh.
pub(super) enum Keeper {
    Files(Files),
    Acme(Box<Acme>),
}

/// The TLS of a listener, and what keeps its certificate fresh.
///
/// # Errors
/// See [`TlsError`]: settings that cannot work, and files that cannot be used now. By ACME there may be no
/// certificate yet; then handshakes fail until there is one.
pub(super) async fn listener(
    config: &TlsConfig,
    clock: &SharedClock,
) -> Result<(ListenerTls, Keeper), TlsError> {
    not_both(config)?;
    let certificates = Arc::new(Certificates::default());
    let usual = server(Arc::clone(&certificates) as _, &[b"h2", b"http/1.1"])?;
    let Some(acme) = &config.acme else {
        let files = Files::open(config, certificates, Arc::clone(clock)).await?;
        let tls = ListenerTls {
            usual,
            challenge: None,
        };
        return Ok((tls, Keeper::Files(files)));
    };
    let challenges = Arc::new(Challenges::default());
    let challenge = server(Arc::clone(&challenges) as _, &[challenge::PROTOCOL])?;
    let acme = Acme::open(acme, certificates, challenges, Arc::clone(clock)).await?;
    let tls = ListenerTls {
        usual,
        challenge: Some(challenge),
    };
    Ok((tls, Keeper::Acme(Box::new(acme))))
}

fn not_both(config: &TlsConfig) -> Result<(), TlsError> {
    let files = [&config.certificate_file, &config.key_file];
    if config.acme.is_some() && files.iter().any(|file| !file.as_os_str().is_empty()) {
        let message = "a certificate comes from files or by ACME, not both";
        return Err(TlsError::config("acme", message));
    }
    Ok(())
}

fn server(
    resolver: Arc<dyn rustls::server::ResolvesServerCert>,
    protocols: &[&[u8]],
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(server))
}

impl ListenerTls {
    /// Shakes hands; none when it was the authority, which has seen then what it wanted to see.
    pub(super) async fn accept<S>(&self, stream: S) -> std::io::Result<Option<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let asks = start
            .client_hello()
            .alpn()
            .is_some_and(|mut names| names.any(|name| name == challenge::PROTOCOL));
        match &self.challenge {
            Some(challenge) if asks => {
                let mut stream = start.into_stream(Arc::clone(challenge)).await?;
                stream.shutdown().await?;
                Ok(None)
            }
            _ => start.into_stream(Arc::clone(&self.usual)).await.map(Some),
        }
    }
}

impl Keeper {
    /// Keeps the certificate fresh until `closing`.
    pub(super) async fn keep(self, closing: CancellationToken) {
        match self {
            Self::Files(files) => closing.run_until_cancelled(files.watch()).await,
            Self::Acme(acme) => closing.run_until_cancelled(acme.keep()).await,
        };
    }
}
