//! Refresh tokens: a name of a chain and a place in it, authenticated. Nothing of them is stored.
//!
//! A token is computed from its chain's random salt and its number by a key that the records do not
//! hold. So whoever reads the records cannot make one, an old token is told from a forged one without
//! keeping it, and two tabs that refresh at once get the same next token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::secrets::MacKey;

const PREFIX: &str = "rt1.";
const NAME_BYTES: usize = 16 + 8 + 4;

/// What a token says about itself, before it is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenName {
    /// The session.
    pub(crate) sid: Uuid,
    /// The chain of tokens in the session.
    pub(crate) chain: u64,
    /// The place in the chain.
    pub(crate) number: u32,
}

/// A token as it was presented.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(crate) name: TokenName,
    tag: Vec<u8>,
}

impl TokenName {
    fn bytes(&self) -> [u8; NAME_BYTES] {
        let mut bytes = [0; NAME_BYTES];
        bytes[..16].copy_from_slice(self.sid.as_bytes());
        bytes[16..24].copy_from_slice(&self.chain.to_be_bytes());
        bytes[24..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// The token with this name.
    pub(crate) fn token(&self, key: &MacKey, salt: &str) -> String {
        let name = self.bytes();
        let mut bytes = name.to_vec();
        bytes.extend_from_slice(&key.tag(&[&name, salt.as_bytes()]));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Presented {
    /// Takes a token apart; `None` for what cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (name, tag) = bytes.split_at_checked(NAME_BYTES)?;
        if tag.len() != 32 {
            return None;
        }
        let name = TokenName {
            sid: Uuid::from_slice(&name[..16]).ok()?,
            chain: u64::from_be_bytes(name[16..24].try_into().ok()?),
            number: u32::from_be_bytes(name[24..].try_into().ok()?),
        };
        Some(Self {
            name,
            tag: tag.to_vec(),
        })
    }

    /// Whether we made it.
    pub(crate) fn is_genuine(&self, key: &MacKey, salt: &str) -> bool {
        key.verify(&[&self.name.bytes(), salt.as_bytes()], &self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::MasterSecret;

    #[test]
    fn a_token_is_genuine_with_its_own_salt_and_key_only() {
        let key = |byte| MasterSecret::new(&[byte; 32]).unwrap().mac("refresh");
        let name = TokenName {
            sid: Uuid::from_u128(7),
            chain: 3,
            number: 1,
        };
        let token = name.token(&key(1), "salt");
        let presented = Presented::parse(&token).unwrap();
        assert_eq!(presented.name, name);
        assert!(presented.is_genuine(&key(1), "salt"));
        assert!(!presented.is_genuine(&key(1), "other"));
        assert!(!presented.is_genuine(&key(2), "salt"));
        assert_eq!(token, name.token(&key(1), "salt"), "it can be made again");
    }

    #[test]
    fn an_altered_token_is_not_genuine_and_garbage_is_none() {
        let key = MasterSecret::new(&[1; 32]).unwrap().mac("refresh");
        let token = TokenName {
            sid: Uuid::from_u128(7),
            chain: 3,
            number: 1,
        }
        .token(&key, "salt");
        let bytes = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let altered =
                Presented::parse(&format!("rt1.{}", URL_SAFE_NO_PAD.encode(altered))).unwrap();
            assert!(!altered.is_genuine(&key, "salt"), "byte {at}");
        }
        for garbage in [
            "",
            "rt1.",
            "rt1.AAAA",
            &token[..20],
            &token[4..],
            &format!("{token}AAAA"),
            "💥",
            "eyJhbGciOiJub25lIn0.e30.",
        ] {
            assert!(Presented::parse(garbage).is_none(), "{garbage}");
        }
    }
}
