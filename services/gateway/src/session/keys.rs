//! What sessions are sealed, found and checked with: keys derived from one secret, one for each purpose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// The keys of sessions.
pub(crate) struct SessionKeys {
    seal: LessSafeKey,
    csrf: hmac::Key,
    random: SystemRandom,
}

/// What a cookie holds: 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId([u8; 32]);

impl SessionId {
    /// Reads a cookie's value.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The cookie's value.
    pub(crate) fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Under which it is kept: whoever reads the store cannot sign in with it.
    pub(crate) fn fingerprint(self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        fingerprint
    }
}

impl SessionKeys {
    /// From a secret of at least 32 bytes.
    pub(crate) fn new(secret: &[u8]) -> Result<Self, Unspecified> {
        if secret.len() < 32 {
            return Err(Unspecified);
        }
        let secret = Salt::new(HKDF_SHA256, b"riwaq gateway sessions").extract(secret);
        let seal = UnboundKey::new(&AES_256_GCM, &derive(&secret, b"seal")?)?;
        Ok(Self {
            seal: LessSafeKey::new(seal),
            csrf: hmac::Key::new(hmac::HMAC_SHA256, &derive(&secret, b"csrf")?),
            random: SystemRandom::new(),
        })
    }

    /// A new session's id.
    pub(crate) fn new_id(&self) -> Result<SessionId, Unspecified> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes)?;
        Ok(SessionId(bytes))
    }

    /// The token that a page must send along with changes. Derived, so that it need not be kept.
    pub(crate) fn csrf_token(&self, id: SessionId) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.csrf, &id.0))
    }

    /// Whether `token` is that of the session.
    pub(crate) fn is_csrf_token(&self, id: SessionId, token: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|tag| hmac::verify(&self.csrf, &id.0, &tag).is_ok())
    }

    /// Encrypts `plain` for `purpose`: only whoever opens it for the same purpose can.
    pub(crate) fn seal(&self, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let mut sealed = plain.to_vec();
        self.seal.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose),
            &mut sealed,
        )?;
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// Decrypts what [`SessionKeys::seal`] made.
    pub(crate) fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let (nonce, cipher) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut plain = cipher.to_vec();
        let length = self
            .seal
            .open_in_place(nonce, Aad::from(purpose), &mut plain)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

fn derive(secret: &Prk, purpose: &[u8]) -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    secret.expand(&[purpose], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SessionKeys {
        SessionKeys::new(&[7; 32]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_only_whole_and_for_its_purpose() {
        let keys = keys();
        let sealed = keys.seal(b"session a", b"token").unwrap();
        assert_eq!(keys.open(b"session a", &sealed).unwrap(), b"token");
        assert!(keys.open(b"session b", &sealed).is_err());
        assert!(
            SessionKeys::new(&[8; 32])
                .unwrap()
                .open(b"session a", &sealed)
                .is_err()
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keys.open(b"session a", &altered).is_err(), "{at}");
            assert!(keys.open(b"session a", &sealed[..at]).is_err(), "{at}");
        }
        assert_ne!(
            keys.seal(b"x", b"token").unwrap(),
            keys.seal(b"x", b"token").unwrap()
        );
    }

    #[test]
    fn a_csrf_token_belongs_to_one_session() {
        let keys = keys();
        let (one, other) = (keys.new_id().unwrap(), keys.new_id().unwrap());
        let token = keys.csrf_token(one);
        assert!(keys.is_csrf_token(one, &token));
        assert!(!keys.is_csrf_token(other, &token));
        assert!(!keys.is_csrf_token(one, ""));
        assert!(!keys.is_csrf_token(one, &one.to_text()));
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(SessionKeys::new(&[7; 31]).is_err());
    }
}
