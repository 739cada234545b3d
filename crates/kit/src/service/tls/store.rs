//! What ACME leaves on the disk: the account with its key, and the certificate with its. One folder an
//! authority, for one process, readable by its user alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use url::Url;

use super::TlsError;
use super::certificate::Certificate;

const ACCOUNT: &str = "account.json";
/// Key and chain in one file, so that they change together.
const CERTIFICATE: &str = "certificate.pem";
const LOCK: &str = "lock";

/// The folder; held as long as this lives.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    _held: File,
}

impl Store {
    /// Takes the folder of an authority within `folder`.
    pub(super) fn open(folder: &Path, directory: &Url) -> Result<Self, TlsError> {
        let folder = of_authority(folder, directory);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| TlsError::file(&folder, error))?;
        let path = folder.join(LOCK);
        let held = options()
            .truncate(false)
            .open(&path)
            .map_err(|error| TlsError::file(&path, error))?;
        if held.try_lock().is_err() {
            let message = format!(
                "{} is in use by another process: ACME is for one; several share a certificate from files",
                folder.display()
            );
            return Err(TlsError::config("acme.folder", message));
        }
        Ok(Self {
            folder,
            _held: held,
        })
    }

    /// The account that was made before.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, TlsError> {
        let path = self.folder.join(ACCOUNT);
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| TlsError::file(&path, error))
    }

    /// Keeps the account.
    pub(super) fn keep_account(&self, account: &AccountCredentials) -> Result<(), TlsError> {
        let path = self.folder.join(ACCOUNT);
        let text = serde_json::to_vec(account).map_err(|error| TlsError::file(&path, error))?;
        self.write(ACCOUNT, &text)
    }

    /// Forgets the account: the authority does not know it any more.
    pub(super) fn forget_account(&self) -> Result<(), TlsError> {
        let path = self.folder.join(ACCOUNT);
        fs::remove_file(&path).map_err(|error| TlsError::file(&path, error))
    }

    /// The certificate that was made before; none where it cannot be used.
    pub(super) fn certificate(&self) -> Result<Option<Certificate>, TlsError> {
        let path = self.folder.join(CERTIFICATE);
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        match Certificate::read(&text, &text) {
            Ok(certificate) => Ok(Some(certificate)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "asking for a new certificate");
                Ok(None)
            }
        }
    }

    /// Keeps a certificate with its key.
    pub(super) fn keep_certificate(&self, chain: &str, key: &str) -> Result<(), TlsError> {
        self.write(CERTIFICATE, format!("{key}\n{chain}").as_bytes())
    }

    /// The old content or the new one, whatever happens in between.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), TlsError> {
        let path = self.folder.join(name);
        let new = self.folder.join(format!("{name}.new"));
        let write = || {
            let mut file = options().truncate(true).open(&new)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| TlsError::file(&path, error))
    }
}

/// Each authority has its own: what a trial left is not shown to anybody afterwards.
fn of_authority(folder: &Path, directory: &Url) -> PathBuf {
    let host = directory.host_str().unwrap_or_default();
    let port = directory.port_or_known_default().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let host: String = host.chars().filter(|c| plain(*c)).collect();
    folder.join(format!("{host}-{port}"))
}

/// The certificate that is kept for an authority, for one who looks beside the process that holds the folder.
pub(super) fn look(folder: &Path, directory: &Url) -> Result<Option<Certificate>, TlsError> {
    let path = of_authority(folder, directory).join(CERTIFICATE);
    let Some(text) = read(&path)? else {
        return Ok(None);
    };
    let read = Certificate::read(&text, &text);
    read.map(Some).map_err(|error| TlsError::file(&path, error))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TlsError::file(path, error)),
    }
}
