//! Everything that is derived from the one configured secret, and random values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use riwaq_kit::{ApiResult, Problem};

/// The shortest secret that is taken, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// The configured secret. It must stay the same on every replica and over restarts: signing keys,
/// refresh tokens, pages and links become unreadable with another one.
#[derive(Clone)]
pub struct MasterSecret(Prk);

/// A secret that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret needs at least 32 bytes")]
pub struct SecretTooShort;

impl MasterSecret {
    /// From at least [`MIN_SECRET_BYTES`] bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn new(secret: &[u8]) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort);
        }
        Ok(Self(
            Salt::new(HKDF_SHA256, b"riwaq auth 1").extract(secret),
        ))
    }

    /// A key for authenticating values of one purpose.
    pub(crate) fn mac(&self, purpose: &'static str) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, &self.derive(purpose)))
    }

    /// A key for encrypting values of one purpose.
    pub(crate) fn sealing(&self, purpose: &'static str) -> Option<SealingKey> {
        let key = UnboundKey::new(&AES_256_GCM, &self.derive(purpose)).ok()?;
        Some(SealingKey(std::sync::Arc::new(LessSafeKey::new(key))))
    }

    fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let mut key = [0; 32];
        // Fails only for lengths beyond what HKDF gives, which 32 is not; a zero key would make
        // nothing readable rather than everything.
        let _ = self
            .0
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key));
        key
    }
}

impl std::fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterSecret(hidden)")
    }
}

/// Authenticates values of one purpose (HMAC-SHA256).
#[derive(Clone)]
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    /// The tag over these parts; no two lists of parts have the same tag.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Compares without telling by its duration where the difference is.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        equal(&self.tag(parts), tag)
    }

    /// The tag as text.
    pub(crate) fn tag_text(&self, parts: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(self.tag(parts))
    }
}

/// Encrypts values of one purpose (AES-256-GCM, random nonces: for a few values, not for millions).
#[derive(Clone)]
pub(crate) struct SealingKey(std::sync::Arc<LessSafeKey>);

impl SealingKey {
    /// Encrypts for a place: it can be opened for the same place only.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> ApiResult<Vec<u8>> {
        let nonce = random::<NONCE_BYTES>()?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Problem::internal("encryption failed"))?;
        let mut framed = nonce.to_vec();
        framed.append(&mut sealed);
        Ok(framed)
    }

    /// Decrypts; `None` with another key, for another place, or where something was altered.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> ApiResult<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Problem::unavailable("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A secret of 256 random bits as text, for codes, cookies and client secrets.
pub(crate) fn random_text() -> ApiResult<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// What is kept of a secret of full entropy.
pub(crate) fn fingerprint(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

/// Compares without telling by its duration where the difference is.
pub(crate) fn equal(one: &[u8], two: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    one.ct_eq(two).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> MasterSecret {
        MasterSecret::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn keys_differ_by_purpose_and_by_secret() {
        let tag = |secret: &MasterSecret, purpose| secret.mac(purpose).tag(&[b"x"]);
        assert_eq!(tag(&secret(1), "a"), tag(&secret(1), "a"));
        assert_ne!(tag(&secret(1), "a"), tag(&secret(1), "b"));
        assert_ne!(tag(&secret(1), "a"), tag(&secret(2), "a"));
        assert!(MasterSecret::new(&[1; 31]).is_err());
    }

    #[test]
    fn parts_cannot_be_shifted_into_one_another() {
        let key = secret(1).mac("a");
        assert_ne!(key.tag(&[b"ab", b"c"]), key.tag(&[b"a", b"bc"]));
        assert!(key.verify(&[b"a"], &key.tag(&[b"a"])));
        assert!(!key.verify(&[b"a"], &key.tag(&[b"a"])[..31]));
    }

    #[test]
    fn what_is_sealed_opens_only_whole_and_in_its_place() {
        let key = secret(1).sealing("keys").unwrap();
        let sealed = key.seal("here", b"private").unwrap();
        assert_eq!(key.open("here", &sealed).unwrap(), b"private");
        assert_eq!(key.open("there", &sealed), None);
        assert_eq!(
            secret(2).sealing("keys").unwrap().open("here", &sealed),
            None
        );
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(key.open("here", &altered), None);
        assert_eq!(key.open("here", &sealed[..5]), None);
        assert_ne!(
            sealed,
            key.seal("here", b"private").unwrap(),
            "nonces differ"
        );
    }
}
