//! The issuer's public keys by their ids.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use super::jws::Algorithm;

/// One verification key, and the only algorithm that it may be used with. The key decides that, not
/// the token: so a public key can never be taken for an HMAC secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Modulus and exponent, big endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// The point.
    Ed25519([u8; 32]),
}

/// A key set (RFC 7517) as far as it is of use.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: HashMap<String, Arc<Key>>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Entry {
    kid: String,
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds or uses (Keycloak publishes an encryption key too), and
    /// entries that cannot be read, are left out; a document without any usable key is an error.
    pub(super) fn parse(document: &[u8]) -> Result<Self, &'static str> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|_| "the key set is not a JSON Web Key Set")?;
        let mut keys = HashMap::new();
        for value in document.keys {
            let Ok(entry) = serde_json::from_value::<Entry>(value) else {
                continue;
            };
            if let Some(key) = entry.key() {
                keys.insert(entry.kid, Arc::new(key));
            }
        }
        if keys.is_empty() {
            return Err("the key set has no key for RS256 or EdDSA");
        }
        Ok(Self { keys })
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys.get(kid)
    }

    /// Whether a key of `self` is gone from `newer`, or is another one there.
    pub(super) fn lost_in(&self, newer: &Self) -> bool {
        self.keys
            .iter()
            .any(|(kid, key)| newer.keys.get(kid) != Some(key))
    }
}

impl Key {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether this key made `signature` of `message`. RSA keys have at least 2048 bits (RFC 7518, section 3.3):
    /// ring refuses shorter ones, and those longer than 8192.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

impl Entry {
    fn key(&self) -> Option<Key> {
        if self
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let alg = self.alg.as_deref();
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) if alg.is_none_or(|alg| alg == "RS256") => Some(Key::Rsa {
                n: number(self.n.as_deref()?)?,
                e: number(self.e.as_deref()?)?,
            }),
            ("OKP", Some("Ed25519"))
                if alg.is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519") =>
            {
                let point = URL_SAFE_NO_PAD.decode(self.x.as_deref()?).ok()?;
                Some(Key::Ed25519(point.try_into().ok()?))
            }
            _ => None,
        }
    }
}

/// Base64urlUInt (RFC 7518, section 2). It has no leading zeros, but some publish the sign byte of their encoding.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let begin = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[begin..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signature_keys_of_known_kinds_are_taken() {
        let document = br#"{"keys":[
            {"kid":"enc","kty":"RSA","use":"enc","alg":"RSA-OAEP","n":"AQAB","e":"AQAB"},
            {"kid":"hmac","kty":"oct","k":"c2VjcmV0"},
            {"kid":"p256","kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"},
            {"kid":"ps","kty":"RSA","alg":"PS256","n":"AQAB","e":"AQAB"},
            {"kty":"RSA","n":"AQAB","e":"AQAB"},
            17,
            {"kid":"bad","kty":"RSA","n":"***","e":"AQAB"},
            {"kid":"ed","kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kid":"rsa","kty":"RSA","n":"AQAB","e":"AQAB"}
        ]}"#;
        let set = KeySet::parse(document).unwrap();
        let mut kids: Vec<_> = set.keys.keys().cloned().collect();
        kids.sort();
        assert_eq!(kids, ["ed", "rsa"]);
        assert_eq!(set.get("ed").unwrap().algorithm(), Algorithm::EdDsa);
        assert_eq!(set.get("rsa").unwrap().algorithm(), Algorithm::Rs256);
    }

    #[test]
    fn documents_without_a_usable_key_are_refused() {
        for document in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kid":"a","kty":"oct"}]}"#,
        ] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
    }

    #[test]
    fn a_key_is_lost_when_it_is_gone_or_another_one() {
        let set = |keys: &str| KeySet::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes()).unwrap();
        let (a, other_a) = (
            r#"{"kid":"a","kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kid":"a","kty":"RSA","n":"AQAD","e":"AQAB"}"#,
        );
        // The sign byte in front makes no other key.
        let same_a = r#"{"kid":"a","kty":"RSA","n":"AAEAAQ","e":"AQAB"}"#;
        let b = r#"{"kid":"b","kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        assert!(!set(a).lost_in(&set(&format!("{b},{same_a}"))));
        assert!(set(a).lost_in(&set(b)));
        assert!(set(a).lost_in(&set(other_a)));
    }
}
