//! Whom we believe to be a node.

use std::path::Path;
use std::sync::Arc;

use riwaq_records::RecordsError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// TLS 1.2 and 1.3 by ring, whichever provider the process has installed: the driver brings a second one.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, RecordsError> {
    let roots = match ca_file {
        Some(path) => of_file(path)?,
        None => of_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| RecordsError::invalid("tls", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn of_file(path: &Path) -> Result<RootCertStore, RecordsError> {
    let refused = |error: &dyn std::fmt::Display| {
        RecordsError::invalid("ca_file", format!("{}: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(&error))? {
        let certificate = certificate.map_err(|error| refused(&error))?;
        roots.add(certificate).map_err(|error| refused(&error))?;
    }
    if roots.is_empty() {
        return Err(refused(&"holds no certificate"));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, RecordsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(RecordsError::invalid(
            "ca_file",
            "the system has no authorities: name a file with those of the nodes",
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_serve_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let error = |path: &Path| client(Some(path)).unwrap_err().to_string();
        assert!(error(&path).contains("ca.pem"));
        std::fs::write(&path, "no certificate at all").unwrap();
        assert!(error(&path).contains("holds no certificate"));
        std::fs::write(
            &path,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(error(&path).contains("ca.pem"));
    }
}
