//! What our tokens say. The contract of access tokens is written in `riwaq_identity`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::Serialize;
use uuid::Uuid;

/// An access token.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AccessClaims {
    pub(crate) iss: String,
    pub(crate) sub: Uuid,
    pub(crate) aud: &'static str,
    pub(crate) azp: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iat_ms: i64,
    pub(crate) nbf: i64,
    pub(crate) jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<Uuid>,
    pub(crate) typ: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) scope: String,
    pub(crate) realm_access: RealmAccess,
}

/// Roles, where Keycloak writes them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RealmAccess {
    pub(crate) roles: BTreeSet<String>,
}

/// An ID token (OpenID Connect Core, 2).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdClaims {
    pub(crate) iss: String,
    pub(crate) sub: Uuid,
    pub(crate) aud: String,
    pub(crate) azp: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    pub(crate) sid: Uuid,
    pub(crate) jti: Uuid,
    pub(crate) typ: &'static str,
    pub(crate) at_hash: String,
}

/// The left half of the access token's hash (OpenID Connect Core, 3.1.3.6).
pub(crate) fn at_hash(access_token: &str) -> String {
    let whole = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&whole.as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_access_token_is_half_a_sha256() {
        // The SHA-256 of "abc" begins with ba7816bf8f01cfea414140de5dae2223.
        let expected: Vec<u8> = vec![
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23,
        ];
        assert_eq!(at_hash("abc"), URL_SAFE_NO_PAD.encode(expected));
    }
}
