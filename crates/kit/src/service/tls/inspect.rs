//! Looking at the certificate of a listener without being it: for whoever wants to know before it starts, or
//! beside it.

use chrono::{DateTime, Utc};

use super::certificate::Certificate;
use super::files::Pair;
use super::{TlsError, acme, store};
use crate::service::config::TlsConfig;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// Its last moment.
    pub until: DateTime<Utc>,
    /// The DNS names in it, in lower case.
    pub names: Vec<String>,
}

impl From<Certificate> for CertificateFacts {
    fn from(certificate: Certificate) -> Self {
        Self {
            from: certificate.from,
            until: certificate.until,
            names: certificate.names,
        }
    }
}

/// The certificate that a listener would show now; none where ACME has not got one yet.
///
/// # Errors
/// See [`TlsError`]: settings that cannot work, and files that cannot be used.
pub async fn inspect(config: &TlsConfig) -> Result<Option<CertificateFacts>, TlsError> {
    super::not_both(config)?;
    let Some(settings) = &config.acme else {
        let pair = Pair::configured(config)?;
        let (chain, key) = pair.read().await?;
        return Ok(Some(pair.certificate(&chain, &key)?.into()));
    };
    let directory = acme::check(settings)?;
    let kept = store::look(&settings.folder, &directory)?;
    Ok(kept.map(CertificateFacts::from))
}
