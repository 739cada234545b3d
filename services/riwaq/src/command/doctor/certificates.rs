//! The certificate of every server that is reached over TLS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use riwaq_kit::service::CertificateFacts;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Finding;
use super::endpoints::Endpoint;
use crate::host;

const HANDSHAKE: Duration = Duration::from_secs(5);
/// Less than this is too little for somebody to notice and act.
const LEAST_DAYS: i64 = 14;
const REMEDY: &str =
    "renew the certificate, or name the authority that signed it (`ca_file` of that section)";

pub(super) async fn findings(endpoints: &[Endpoint]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for endpoint in endpoints {
        if endpoint.url.scheme() == "https" {
            let what = format!("certificate of {}", endpoint.what);
            findings.push(Finding::new(what, of(endpoint).await, REMEDY));
        }
    }
    findings
}

/// Shakes hands as a client does, so that names and authorities are verified too.
async fn of(endpoint: &Endpoint) -> Result<String> {
    let (host, port) = endpoint.address()?;
    let trust = riwaq_trust::client(endpoint.ca_file.as_deref())?;
    let connector = TlsConnector::from(Arc::new(trust));
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

fn lifetime(certificate: &CertificateDer<'_>) -> Result<String> {
    let facts = CertificateFacts::of(certificate).context("not an X.509 certificate")?;
    lasting(facts.from, facts.until)
}

/// How long a certificate goes on; an error where somebody must act.
pub(super) fn lasting(from: DateTime<Utc>, until: DateTime<Utc>) -> Result<String> {
    let now = host::clock().now();
    if now < from {
        bail!("it begins only on {from}: is a clock wrong?");
    }
    if until <= now {
        bail!("it has expired on {until}");
    }
    // Some live for days only, and are renewed at two thirds of that.
    let least = ((until - from) / 6).min(TimeDelta::days(LEAST_DAYS));
    let left = until - now;
    if left < least {
        bail!("it ends in {} days ({until})", left.num_days());
    }
    Ok(format!("valid for {} more days", left.num_days()))
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
        let expired = lifetime(&ending(-3)).unwrap_err().to_string();
        assert!(expired.contains("has expired"), "{expired}");
    }

    #[test]
    fn a_short_life_needs_attention_when_little_of_it_is_left() {
        let from_now = |hours| host::clock().now() + TimeDelta::hours(hours);
        assert!(lasting(from_now(-60), from_now(60)).is_ok());
        let refused = lasting(from_now(-110), from_now(10)).unwrap_err();
        assert!(refused.to_string().contains("ends in 0 days"), "{refused}");
        let early = lasting(from_now(10), from_now(1000)).unwrap_err();
        assert!(early.to_string().contains("begins only"), "{early}");
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert!(lifetime(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}
