//! The issuer's public keys by their ids.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// One verification key, and the only algorithm that it may be used with. The key decides that, not
/// the token: so a public key can never be taken for an HMAC secret.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// A key set (RFC 7517) as far as it is of use.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    keys: HashMap<String, Key>,
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
                keys.insert(entry.kid, key);
            }
        }
        if keys.is_empty() {
            return Err("the key set has no key for RS256 or EdDSA");
        }
        Ok(Self { keys })
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }

    /// Whether a key of `self` is gone from `newer`, or is another one there.
    pub(super) fn lost_in(&self, newer: &Self) -> bool {
        self.keys
            .iter()
            .any(|(kid, key)| newer.keys.get(kid).is_none_or(|other| !key.same(other)))
    }
}

impl Key {
    fn same(&self, other: &Self) -> bool {
        use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        match (self.decoding.kind(), other.decoding.kind()) {
            (RsaModulusExponent { n, e }, RsaModulusExponent { n: m, e: f }) => n == m && e == f,
            (SecretOrDer(key), SecretOrDer(other)) => key == other,
            _ => false,
        }
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
            ("RSA", _) if alg.is_none_or(|alg| alg == "RS256") => {
                let decoding =
                    DecodingKey::from_rsa_components(self.n.as_deref()?, self.e.as_deref()?)
                        .ok()?;
                Some(Key {
                    algorithm: Algorithm::RS256,
                    decoding,
                })
            }
            ("OKP", Some("Ed25519"))
                if alg.is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519") =>
            {
                let decoding = DecodingKey::from_ed_components(self.x.as_deref()?).ok()?;
                Some(Key {
                    algorithm: Algorithm::EdDSA,
                    decoding,
                })
            }
            _ => None,
        }
    }
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
        assert_eq!(set.get("ed").unwrap().algorithm, Algorithm::EdDSA);
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
}
