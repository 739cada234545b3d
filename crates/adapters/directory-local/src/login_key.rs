//! The key under which login names are hashed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::hmac;
use riwaq_directory::LoginName;
use uuid::Uuid;

use crate::ConfigError;

const MIN_KEY_BYTES: usize = 32;

/// Turns login names into keyed hashes. Whoever has the records alone cannot test whether an
/// address is among them. It must never change: names hashed under another key are not found.
#[derive(Clone)]
pub struct LoginKey(hmac::Key);

impl LoginKey {
    /// From a configured secret of at least 32 bytes.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn new(secret: &[u8]) -> Result<Self, ConfigError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(ConfigError {
                field: "login_key",
                message: "needs at least 32 bytes",
            });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The key of a name's claim.
    pub(crate) fn claim_key(&self, name: &LoginName) -> Bytes {
        self.tag(&["login name", name.field().name(), name.folded()])
    }

    /// A claim key that belongs to no name, for work that has to look like a look-up.
    pub(crate) fn decoy_claim_key(&self, text: &str) -> Bytes {
        self.tag(&["decoy", text])
    }

    /// An account id that belongs to nobody, for work that has to look like a look-up.
    pub(crate) fn decoy_account(&self, claim_key: &Bytes) -> Uuid {
        let tag = hmac::sign(&self.0, claim_key);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag.as_ref()[..16]);
        Uuid::from_bytes(bytes)
    }

    /// Makes a cursor of a store's bytes: opaque, and refused if it was not made here.
    pub(crate) fn seal_cursor(&self, bytes: &[u8]) -> String {
        let mut sealed = self.cursor_tag(bytes).to_vec();
        sealed.extend_from_slice(bytes);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The bytes of a cursor that was made here.
    pub(crate) fn open_cursor(&self, cursor: &str) -> Option<Bytes> {
        let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, bytes) = sealed.split_at_checked(16)?;
        // Not secret: only garbage and mistakes are kept out here.
        (self.cursor_tag(bytes) == tag).then(|| Bytes::copy_from_slice(bytes))
    }

    fn cursor_tag(&self, bytes: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"riwaq directory cursor\0");
        context.update(bytes);
        let mut tag = [0; 16];
        tag.copy_from_slice(&context.sign().as_ref()[..16]);
        tag
    }

    fn tag(&self, parts: &[&str]) -> Bytes {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"riwaq directory 1");
        for part in parts {
            context.update(b"\0");
            context.update(part.as_bytes());
        }
        Bytes::copy_from_slice(context.sign().as_ref())
    }
}

impl std::fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_keys_depend_on_the_key_and_the_name_and_show_neither() {
        let (one, two) = (
            LoginKey::new(&[1; 32]).unwrap(),
            LoginKey::new(&[2; 32]).unwrap(),
        );
        let name = LoginName::email("zoe@example.org").unwrap();
        assert_eq!(
            one.claim_key(&name),
            one.claim_key(&LoginName::email("ZOE@example.org").unwrap())
        );
        assert_ne!(one.claim_key(&name), two.claim_key(&name));
        assert_ne!(
            one.claim_key(&name),
            one.claim_key(&LoginName::email("zoé@example.org").unwrap())
        );
        assert!(!one.claim_key(&name).windows(3).any(|part| part == b"zoe"));
    }

    #[test]
    fn an_altered_cursor_is_refused() {
        let key = LoginKey::new(&[1; 32]).unwrap();
        let cursor = key.seal_cursor(b"somewhere");
        assert_eq!(key.open_cursor(&cursor).unwrap().as_ref(), b"somewhere");
        let altered = cursor.replacen(
            &cursor[30..31],
            if &cursor[30..31] == "A" { "B" } else { "A" },
            1,
        );
        assert_eq!(key.open_cursor(&altered), None);
        assert_eq!(LoginKey::new(&[2; 32]).unwrap().open_cursor(&cursor), None);
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(LoginKey::new(&[1; 31]).is_err());
    }
}
