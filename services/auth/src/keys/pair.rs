//! Key pairs and signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use riwaq_kit::{ApiResult, Problem};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const RSA_BITS: usize = 2048;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits: what OpenID Connect asks of every provider.
    #[default]
    RS256,
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// The public half, as a key set writes it: base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublicKey {
    Rsa { n: String, e: String },
    Ed25519 { x: String },
}

/// A private key, ready to sign.
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A new key pair: the private half in PKCS #8.
pub(crate) struct Generated {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) public: PublicKey,
}

impl SigningAlgorithm {
    /// The name in token headers (RFC 7518, 3.1; RFC 8037).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Makes a key pair. For RSA this takes a while: call it where blocking is allowed.
    pub(crate) fn generate(self) -> ApiResult<Generated> {
        match self {
            Self::RS256 => generate_rsa(),
            Self::EdDsa => generate_ed25519(),
        }
    }
}

fn generate_rsa() -> ApiResult<Generated> {
    let key = rsa::RsaPrivateKey::new(&mut SystemRng, RSA_BITS).map_err(Problem::internal)?;
    let pkcs8 = key.to_pkcs8_der().map_err(Problem::internal)?;
    let public = PublicKey::Rsa {
        n: URL_SAFE_NO_PAD.encode(key.n().to_bytes_be()),
        e: URL_SAFE_NO_PAD.encode(key.e().to_bytes_be()),
    };
    Ok(Generated {
        pkcs8: pkcs8.as_bytes().to_vec(),
        public,
    })
}

fn generate_ed25519() -> ApiResult<Generated> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Problem::internal("ring makes no Ed25519 key"))?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())
        .map_err(|error| Problem::internal(error.to_string()))?;
    let public = PublicKey::Ed25519 {
        x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
    };
    Ok(Generated {
        pkcs8: pkcs8.as_ref().to_vec(),
        public,
    })
}

impl SigningKey {
    pub(crate) fn from_pkcs8(
        algorithm: SigningAlgorithm,
        kid: &str,
        pkcs8: &[u8],
    ) -> ApiResult<Self> {
        let refused =
            |error: ring::error::KeyRejected| Problem::internal(format!("key {kid}: {error}"));
        let pair = match algorithm {
            SigningAlgorithm::RS256 => Pair::Rsa(RsaKeyPair::from_pkcs8(pkcs8).map_err(refused)?),
            SigningAlgorithm::EdDsa => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(refused)?)
            }
        };
        Ok(Self {
            kid: kid.to_owned(),
            pair,
        })
    }

    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Rsa(_) => SigningAlgorithm::RS256,
            Pair::Ed25519(_) => SigningAlgorithm::EdDsa,
        }
    }

    /// A compact JWS (RFC 7515, 7.1) with these claims; `kind` is the header `typ`.
    pub(crate) fn sign(&self, kind: &str, claims: &impl Serialize) -> ApiResult<String> {
        let header = json!({ "alg": self.algorithm().name(), "typ": kind, "kid": self.kid });
        let header = serde_json::to_vec(&header).map_err(Problem::internal)?;
        let claims = serde_json::to_vec(claims).map_err(Problem::internal)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> ApiResult<Vec<u8>> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(|_| Problem::internal("RSA signing failed"))?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl PublicKey {
    /// Whether the signature over `message` is of this key, made by its own algorithm.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let decode = |text: &String| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents {
                n: decode(n),
                e: decode(e),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok(),
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, decode(x))
                .verify(message, signature)
                .is_ok(),
        }
    }

    /// As a member of a key set (RFC 7517, RFC 8037).
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa { n, e } => {
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": e })
            }
            Self::Ed25519 { x } => {
                json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x })
            }
        }
    }
}

/// The operating system's randomness in the form that `rsa` takes.
struct SystemRng;

impl rsa::rand_core::RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    #[expect(
        clippy::expect_used,
        reason = "this trait has no way to fail, and a key without randomness must not be"
    )]
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        SystemRandom::new()
            .fill(dest)
            .expect("the system gives random bytes");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        SystemRandom::new()
            .fill(dest)
            .map_err(|_| rsa::rand_core::Error::new("no random bytes"))
    }
}

impl rsa::rand_core::CryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(token: &str) -> (Value, Value, &str, Vec<u8>) {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let json =
            |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        (
            json(header),
            json(claims),
            message,
            URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
    }

    #[test]
    fn a_token_verifies_with_its_own_key_only() {
        for algorithm in [SigningAlgorithm::RS256, SigningAlgorithm::EdDsa] {
            let made = algorithm.generate().unwrap();
            let key = SigningKey::from_pkcs8(algorithm, "k1", &made.pkcs8).unwrap();
            let token = key.sign("JWT", &json!({ "sub": "x" })).unwrap();
            let (header, claims, message, signature) = parts(&token);
            assert_eq!(
                header,
                json!({ "alg": algorithm.name(), "typ": "JWT", "kid": "k1" })
            );
            assert_eq!(claims, json!({ "sub": "x" }));
            assert!(made.public.verifies(message.as_bytes(), &signature));
            assert!(!made.public.verifies(b"other", &signature));
            let other = SigningAlgorithm::EdDsa.generate().unwrap();
            assert!(!other.public.verifies(message.as_bytes(), &signature));
        }
    }

    #[test]
    fn a_key_set_never_shows_the_private_half() {
        let made = SigningAlgorithm::RS256.generate().unwrap();
        let jwk = made.public.jwk("k1");
        let names: Vec<&String> = jwk.as_object().unwrap().keys().collect();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(jwk["e"], "AQAB");
    }
}
