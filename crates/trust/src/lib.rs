//! Whom a client believes to be a server.
//!
//! Owns the TLS settings of the connections to Cassandra, OpenSearch, Keycloak's administration and object storage, and of
//! `riwaq doctor`: TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by ring, verified against the authorities of a file alone, or
//! against those that the system trusts. The clients of RabbitMQ, SMTP and the issuer bring their own, where a file is
//! believed besides the system. Must not know which backend it is, or how it is spoken to.
#![warn(missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why the authorities of a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TrustError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// The TLS of a client that believes the authorities in `ca_file` (PEM, one or more certificates) and no others; without
/// a file, those of the system.
///
/// Ring is named, so that it does not matter which other providers are linked into the program. A system without
/// authorities is warned about and not refused: a connection without TLS does not need them.
///
/// # Errors
/// When the file cannot be read, holds no certificate, or holds one that cannot serve as an authority.
pub fn client(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let roots = match ca_file {
        Some(path) => of_file(path)?,
        None => of_the_system(),
    };
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| TrustError {
        path: ca_file.unwrap_or(Path::new("")).to_path_buf(),
        reason: error.to_string(),
    })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let refused = |reason: String| TrustError {
        path: path.to_path_buf(),
        reason,
    };
    let unusable = |error: &dyn std::fmt::Display| refused(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(refused("holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn of_the_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (usable, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates of the system cannot be used");
    }
    if usable == 0 {
        tracing::warn!(
            "the system trusts nobody: servers with TLS are refused unless `ca_file` names their authority"
        );
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_serve_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refused = || client(Some(&path)).unwrap_err().to_string();
        assert!(refused().contains("ca.pem"));
        std::fs::write(&path, "no certificate at all").unwrap();
        assert!(refused().ends_with("ca.pem: holds no certificate"));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, empty).unwrap();
        assert!(refused().contains("ca.pem"));
    }

    #[test]
    fn every_authority_of_a_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let authority = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let parameters = rcgen::CertificateParams::new(vec!["ca".into()]).unwrap();
            parameters.self_signed(&key).unwrap().pem()
        };
        std::fs::write(&path, authority() + &authority()).unwrap();
        assert_eq!(of_file(&path).unwrap().len(), 2);
        assert!(client(Some(&path)).is_ok());
    }

    #[test]
    fn without_a_file_the_system_decides() {
        assert!(client(None).is_ok());
    }
}
