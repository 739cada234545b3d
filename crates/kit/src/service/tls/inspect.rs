//! Looking at the certificate of a listener without being it: for whoever wants to know before it starts, or
//! beside it.

use super::certificate::CertificateFacts;
use super::files::Pair;
use super::{TlsError, acme, store};
use crate::service::config::TlsConfig;

/// The certificate that a listener would show now; none where ACME has not got one yet.
///
/// # Errors
/// See [`TlsError`]: settings that cannot work, and files that cannot be used.
pub async fn inspect(config: &TlsConfig) -> Result<Option<CertificateFacts>, TlsError> {
    super::not_both(config)?;
    let Some(settings) = &config.acme else {
        let pair = Pair::configured(config)?;
        let (chain, key) = pair.read().await?;
        return Ok(Some(pair.certificate(&chain, &key)?.facts));
    };
    let directory = acme::check(settings)?;
    let kept = store::look(&settings.folder, &directory)?;
    Ok(kept.map(|kept| kept.facts))
}
