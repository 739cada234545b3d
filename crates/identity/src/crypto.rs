//! The ring provider for jsonwebtoken: RS256 and EdDSA, nothing else.
//!
//! A third of the time that the crate's own pure-Rust provider takes for a verification, and the
//! `rsa` crate, whose private operations leak by timing (RUSTSEC-2023-0071), never signs.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    ED25519, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use signature::{Error as Failed, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Key sets are read without them.
    key_utils: KeyUtils::new_unimplemented(),
};
static INSTALL: Once = Once::new();

/// Makes ring the cryptography of jsonwebtoken in this process. Whatever verifies or signs tokens
/// calls it first; it may be called again.
pub fn install_crypto() {
    INSTALL.call_once(|| {
        if PROVIDER.install_default().is_err() {
            tracing::warn!("another cryptography provider was installed for jsonwebtoken before");
        }
    });
}

enum Private {
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let unusable = |_| Error::from(ErrorKind::InvalidKeyFormat);
    let private = match (algorithm, key.family()) {
        (Algorithm::RS256, AlgorithmFamily::Rsa) => {
            Private::Rsa(RsaKeyPair::from_der(key.as_bytes()).map_err(unusable)?)
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Private::Ed(
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes()).map_err(unusable)?,
        ),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(RingSigner(private)))
}

struct RingSigner(Private);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Failed> {
        match &self.0 {
            Private::Rsa(pair) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signed,
                )
                .map_err(|_| Failed::new())?;
                Ok(signed)
            }
            Private::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        match self.0 {
            Private::Rsa(_) => Algorithm::RS256,
            Private::Ed(_) => Algorithm::EdDSA,
        }
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::RS256, AlgorithmFamily::Rsa) | (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            Ok(Box::new(RingVerifier {
                algorithm: *algorithm,
                key: key.clone(),
            }))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Failed> {
        let verified =
            match self.key.kind() {
                DecodingKeyKind::RsaModulusExponent { n, e } => RsaPublicKeyComponents { n, e }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
                DecodingKeyKind::SecretOrDer(key) if self.algorithm == Algorithm::EdDSA => {
                    UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
                }
                DecodingKeyKind::SecretOrDer(key) => {
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                        .verify(message, signature)
                }
            };
        verified.map_err(|_| Failed::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
