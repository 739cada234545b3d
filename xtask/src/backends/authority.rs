//! The authority that signs every test server's certificate: made once, for loopback only.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::install;

/// Every name under which a test reaches a server.
const NAMES: &[&str] = &["localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"];

/// Files in PEM: an authority, and one certificate with its key that all the servers show.
#[derive(Clone)]
pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What a client must trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What a server shows.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The key to it (PKCS #8).
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// Key and certificates in one file, as Cassandra wants them.
    pub(crate) fn key_and_certificate(&self) -> PathBuf {
        self.folder.join("server-with-key.pem")
    }

    /// Makes the files when they are missing. The authority's own key is thrown away: nobody can
    /// sign another certificate with it.
    pub(crate) fn prepare(&self) -> Result<()> {
        install::once(&self.folder, || {
            let authority =
                CertifiedIssuer::self_signed(authority_params()?, KeyPair::generate()?)?;
            let key = KeyPair::generate()?;
            let certificate = server_params()?.signed_by(&key, &authority)?;
            let chain = format!("{}{}", certificate.pem(), authority.pem());
            fs::write(self.ca(), authority.pem())?;
            fs::write(self.certificate(), &chain)?;
            write_private(&self.key(), &key.serialize_pem())?;
            write_private(
                &self.key_and_certificate(),
                &format!("{}{chain}", key.serialize_pem()),
            )
        })
    }
}

fn authority_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Riwaq test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    dated(&mut params);
    Ok(params)
}

fn server_params() -> Result<CertificateParams> {
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    dated(&mut params);
    Ok(params)
}

/// Fixed dates: a test does not fail because a cache grew old.
fn dated(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
