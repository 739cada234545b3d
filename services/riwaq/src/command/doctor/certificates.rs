//! Certificates: of every server that is reached over TLS, and of our own listener.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::parse_x509_certificate;

use super::Finding;
use super::endpoints::Endpoint;
use crate::config::Config;
use crate::host;

const HANDSHAKE: Duration = Duration::from_secs(5);
/// Less than this is too little for somebody to notice and act.
const LEAST_DAYS: i64 = 14;
const REMEDY: &str =
    "renew the certificate, or name the authority that signed it (`ca_file` of that section)";

pub(super) async fn findings(config: &Config, endpoints: &[Endpoint]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = own(config).into_iter().collect();
    for endpoint in endpoints {
        if endpoint.url.scheme() == "https" {
            let what = format!("certificate of {}", endpoint.what);
            findings.push(Finding::new(what, of(endpoint).await, REMEDY));
        }
    }
    findings
}

fn own(config: &Config) -> Option<Finding> {
    let file = &config.server.tls.as_ref()?.certificate_file;
    let result = CertificateDer::from_pem_file(file)
        .with_context(|| format!("server.tls.certificate_file {}", file.display()))
        .and_then(|certificate| lifetime(&certificate));
    Some(Finding::new("certificate of this listener", result, REMEDY))
}

/// Shakes hands as a client does, so that names and authorities are verified too.
async fn of(endpoint: &Endpoint) -> Result<String> {
    let host = endpoint.url.host_str().context("no host")?;
    let port = endpoint.url.port_or_known_default().context("no port")?;
    let connector = TlsConnector::from(Arc::new(client(endpoint)?));
    let name = ServerName::try_from(host.to_owned())?;
    let shaken = tokio::time::timeout(HANDSHAKE, async {
        let stream = TcpStream::connect((host, port)).await?;
        connector.connect(name, stream).await
    });
    let stream = shaken.await.context("no answer in time")??;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().unwrap_or_default();
    lifetime(chain.first().context("it shows no certificate")?)
}

fn client(endpoint: &Endpoint) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match endpoint.authority()? {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate?)?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            let (_, _) = roots.add_parsable_certificates(system.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn lifetime(certificate: &CertificateDer<'_>) -> Result<String> {
    let (_, parsed) = parse_x509_certificate(certificate).context("not an X.509 certificate")?;
    let end = parsed.validity().not_after;
    let days = (end.timestamp() - host::clock().now().timestamp()) / (24 * 3600);
    if days < LEAST_DAYS {
        bail!("it ends in {days} days ({end})");
    }
    Ok(format!("valid for {days} more days"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(days: i64) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let end = host::clock().now() + chrono::Duration::days(days);
        let end = std::time::SystemTime::from(end);
        parameters.not_after = end.into();
        let certificate = parameters.self_signed(&key).unwrap();
        certificate.der().clone()
    }

    #[test]
    fn a_certificate_that_ends_soon_needs_attention() {
        assert!(lifetime(&ending(60)).is_ok());
        let refused = lifetime(&ending(3)).unwrap_err().to_string();
        assert!(refused.contains("ends in"), "{refused}");
        assert!(lifetime(&ending(-3)).is_err());
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert!(lifetime(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}
