//! The one master key, and the keys that are derived from it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use riwaq_kit::Secret;

const MASTER_BYTES: usize = 32;
const FILE: &str = "master.key";

/// Derives one key for each purpose (HKDF-SHA256, RFC 5869), so that none is used for two things.
#[derive(Clone)]
pub(crate) struct Secrets {
    master: [u8; MASTER_BYTES],
}

impl Secrets {
    /// From the configuration; in a data folder of our own it is made at the first start.
    pub(crate) fn load(configured: Option<&Secret>, own_folder: Option<&Path>) -> Result<Self> {
        let text = match (configured, own_folder) {
            (Some(secret), _) => secret.expose().to_owned(),
            (None, Some(folder)) => read_or_make(folder)?,
            (None, None) => bail!(
                "secrets.master_key is not set: every process of the installation needs the same one \
                 (make one with `openssl rand -base64 32`, give it by RIWAQ_SECRETS_MASTER_KEY_FILE)"
            ),
        };
        let bytes = decode(text.trim()).context("secrets.master_key must be 32 bytes in base64")?;
        Ok(Self { master: bytes })
    }

    /// A key of 32 bytes for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let mut key = [0; 32];
        let info = [purpose.as_bytes()];
        // Both fail only for lengths that HKDF-SHA256 cannot give; 32 is its own block.
        if let Ok(material) = Salt::new(HKDF_SHA256, b"riwaq/1")
            .extract(&self.master)
            .expand(&info, Length)
        {
            let _ = material.fill(&mut key);
        }
        key
    }

    /// The same as text, for what takes a secret as text.
    pub(crate) fn derive_text(&self, purpose: &str) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.derive(purpose)))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

fn decode(text: &str) -> Result<[u8; MASTER_BYTES]> {
    let plain = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let bytes = URL_SAFE_NO_PAD.decode(plain)?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| anyhow::anyhow!("it has {} bytes", bytes.len()))
}

/// Random bytes as text that can be typed.
pub(crate) fn random_text(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn read_or_make(folder: &Path) -> Result<String> {
    let path = folder.join(FILE);
    if !path.exists() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        make(folder, &path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whole or not at all: half a key after a crash would lock the data folder for good.
fn make(folder: &Path, path: &Path) -> Result<()> {
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", random_text(MASTER_BYTES)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let first = Secrets::load(None, Some(folder.path())).unwrap();
        let second = Secrets::load(None, Some(folder.path())).unwrap();
        assert_eq!(first.derive("x"), second.derive("x"));
        let mode = fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let secrets = Secrets { master: [7; 32] };
        assert_ne!(secrets.derive("a"), secrets.derive("b"));
        assert_ne!(secrets.derive("a"), [0; 32]);
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let short = Secret::new("c2hvcnQ=");
        assert!(Secrets::load(Some(&short), None).is_err());
        assert!(Secrets::load(None, None).is_err());
    }
}
