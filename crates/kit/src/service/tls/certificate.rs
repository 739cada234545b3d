//! A certificate with its key, and the place where the listener finds the present one.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

/// A certificate that can be used, and when.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    key: Arc<CertifiedKey>,
    pub(super) facts: CertificateFacts,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// Its last moment.
    pub until: DateTime<Utc>,
    /// The DNS names in it, in lower case.
    pub names: Vec<String>,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The certificates.
    #[error("the certificate: {0}")]
    Chain(String),
    /// The key.
    #[error("the key: {0}")]
    Key(String),
    /// Each is good, and they are not of one another.
    #[error("the key does not belong to the certificate")]
    Pair,
}

impl Certificate {
    /// From PEM: a chain, the listener's own first, and the key of that.
    pub(super) fn read(chain: &[u8], key: &[u8]) -> Result<Self, Unusable> {
        let chain = certificates(chain)?;
        let key = private_key(key)?;
        let first = chain
            .first()
            .ok_or_else(|| Unusable::Chain("there is none in it".into()))?;
        let facts =
            CertificateFacts::of(first).ok_or_else(|| Unusable::Chain("it is not X.509".into()))?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Unusable::Pair,
            rustls::Error::InvalidCertificate(cause) => Unusable::Chain(cause.to_string()),
            other => Unusable::Key(other.to_string()),
        })?;
        Ok(Self {
            key: Arc::new(key),
            facts,
        })
    }
}

impl CertificateFacts {
    /// Those of a certificate in DER; none where it is not X.509.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(certificate).ok()?;
        let time = |at: ASN1Time| DateTime::from_timestamp(at.timestamp(), 0);
        let validity = parsed.validity();
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative
            .iter()
            .flat_map(|names| &names.value.general_names);
        let dns = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        Some(Self {
            from: time(validity.not_before)?,
            until: time(validity.not_after)?,
            names: dns.collect(),
        })
    }

    /// How long it lasts from its first to its last moment.
    pub(super) fn life(&self) -> TimeDelta {
        self.until - self.from
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    if pem.trim_ascii().is_empty() {
        return Err(Unusable::Chain("it is empty".into()));
    }
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Unusable::Chain(error.to_string()))
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Unusable> {
    if pem.trim_ascii().is_empty() {
        return Err(Unusable::Key("it is empty".into()));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => Unusable::Key("there is none in it".into()),
        other => Unusable::Key(other.to_string()),
    })
}

/// The present certificate of a listener; none until there is one.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    current: RwLock<Option<Certificate>>,
}

impl Certificates {
    /// The present one.
    pub(super) fn current(&self) -> Option<Certificate> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Handshakes from now on use this one.
    pub(super) fn replace(&self, certificate: Certificate) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(certificate);
    }

    /// Tells the metrics how long the present one lasts.
    pub(super) fn measure(&self, now: DateTime<Utc>) {
        if let Some(current) = self.current() {
            let left = (current.facts.until - now).num_seconds();
            metrics::gauge!("riwaq_tls_certificate_expires_seconds").set(left as f64);
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|certificate| Arc::clone(&certificate.key))
    }
}
