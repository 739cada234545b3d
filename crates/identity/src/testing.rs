//! An issuer for tests of services: real keys, real signatures, no server.
//!
//! ```
//! # use riwaq_clock::SystemClock;
//! # use riwaq_identity::testing::TestIssuer;
//! let issuer = TestIssuer::new(SystemClock::shared());
//! let identity = issuer.identity(); // goes into the service's Deps
//! let teacher = uuid::Uuid::new_v4();
//! let header = format!("Bearer {}", issuer.user_token(teacher, &["teacher"]));
//! # drop((identity, header));
//! ```

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use riwaq_api::{TokenError, TokenSource};
use riwaq_clock::SharedClock;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::{PermissionSet, RoleSource, RoleSourceError};
use crate::identity::{Identity, IdentityDeps};
use crate::token::{
    KeyFetchError, KeyFetcher, Revocation, RevocationSource, RevocationSourceError,
};
use crate::{AUDIENCE, IdentityConfig, SERVICE_ROLE, service_id};

/// Seconds that its tokens live.
pub const TOKEN_SECONDS: i64 = 300;
const ISSUER: &str = "https://issuer.test";

/// One signing key with its public half as a JSON Web Key.
#[derive(Clone)]
pub struct TestKey {
    /// Its id.
    pub kid: String,
    /// Its algorithm, as headers name it.
    pub algorithm: &'static str,
    /// Its public half.
    pub jwk: Value,
    private: Arc<Private>,
}

enum Private {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// An RSA key of 2048 bits. Made once in each process (it takes a moment), under any id.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        static PRIVATE: OnceLock<rsa::RsaPrivateKey> = OnceLock::new();
        let private = PRIVATE
            .get_or_init(|| rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
        let encode = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        let pair = RsaKeyPair::from_der(private.to_pkcs1_der().unwrap().as_bytes()).unwrap();
        Self {
            kid: kid.to_owned(),
            algorithm: "RS256",
            jwk: json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": encode(private.n()), "e": encode(private.e())}),
            private: Arc::new(Private::Rsa(pair)),
        }
    }

    /// A new Ed25519 key.
    #[must_use]
    pub fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Self {
            kid: kid.to_owned(),
            algorithm: "EdDSA",
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}),
            private: Arc::new(Private::Ed25519(pair)),
        }
    }

    /// A token with these claims, under a header of this key's id and algorithm.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid});
        self.sign_under(&header, claims)
    }

    /// A token with these claims under any header.
    #[must_use]
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts, which need not be JSON.
    #[must_use]
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }

    /// This key's signature of `message`.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &*self.private {
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// An issuer whose keys and tokens a test controls.
pub struct TestIssuer {
    clock: SharedClock,
    published: Arc<Published>,
    signing: Mutex<TestKey>,
}

/// What it publishes, and how it answers.
#[derive(Default)]
struct Published {
    keys: Mutex<Vec<Value>>,
    down: Mutex<bool>,
    fetches: Mutex<usize>,
}

impl TestIssuer {
    /// An issuer with one RSA key.
    #[must_use]
    pub fn new(clock: SharedClock) -> Arc<Self> {
        let key = TestKey::rsa("test-1");
        let published = Arc::new(Published::default());
        published.keys.lock().unwrap().push(key.jwk.clone());
        Arc::new(Self {
            clock,
            published,
            signing: Mutex::new(key),
        })
    }

    /// The issuer as its tokens name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        ISSUER
    }

    /// The configuration that believes this issuer.
    #[must_use]
    pub fn config(&self) -> IdentityConfig {
        IdentityConfig {
            issuer: ISSUER.to_owned(),
            ..IdentityConfig::default()
        }
    }

    /// A ready verifier with the given roles and no revocations.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let identity = self.identity_with(Vec::new(), Vec::new());
        identity.preload(Vec::new(), Vec::new());
        identity
    }

    /// A verifier that loads these revocations and roles, and has not done so yet.
    #[must_use]
    pub fn identity_with(
        &self,
        revocations: Vec<Revocation>,
        roles: Vec<(String, PermissionSet)>,
    ) -> Identity {
        let deps = IdentityDeps {
            clock: Arc::clone(&self.clock),
            keys: self.keys(),
            revocations: Arc::new(Fixed(revocations)),
            roles: Arc::new(Fixed(roles)),
        };
        Identity::new(self.config(), deps)
    }

    /// Its key set, as the verifier fetches it.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyFetcher> {
        Arc::new(PublishedKeys(Arc::clone(&self.published)))
    }

    /// How often its key set was fetched.
    #[must_use]
    pub fn fetches(&self) -> usize {
        *self.published.fetches.lock().unwrap()
    }

    /// Whether it answers.
    pub fn set_down(&self, down: bool) {
        *self.published.down.lock().unwrap() = down;
    }

    /// Signs with `key` from now on and publishes it beside the others.
    pub fn rotate_to(&self, key: TestKey) {
        self.published.keys.lock().unwrap().push(key.jwk.clone());
        *self.signing.lock().unwrap() = key;
    }

    /// Takes every key but the signing one out of its key set.
    pub fn withdraw_old_keys(&self) {
        let kept = self.signing_key().jwk;
        *self.published.keys.lock().unwrap() = vec![kept];
    }

    /// The key that it signs with now.
    #[must_use]
    pub fn signing_key(&self) -> TestKey {
        self.signing.lock().unwrap().clone()
    }

    /// A user's access token with a new session.
    #[must_use]
    pub fn user_token(&self, user: Uuid, roles: &[&str]) -> String {
        self.sign(&self.user_claims(user, roles))
    }

    /// A service's own token, by its short name (`users`).
    #[must_use]
    pub fn service_token(&self, service: &str) -> String {
        let client = format!("riwaq-{service}");
        let mut claims = self.user_claims(service_id(&client), &[SERVICE_ROLE]);
        let map = claims.as_object_mut().unwrap();
        map.remove("sid");
        map.insert("azp".to_owned(), json!(client));
        self.sign(&claims)
    }

    /// A source of that service's tokens, for a channel.
    #[must_use]
    pub fn service_tokens(self: &Arc<Self>, service: &str) -> Arc<dyn TokenSource> {
        Arc::new(TestTokens {
            issuer: Arc::clone(self),
            service: service.to_owned(),
        })
    }

    /// The claims of a good user token, to be changed before [`TestIssuer::sign`].
    #[must_use]
    pub fn user_claims(&self, user: Uuid, roles: &[&str]) -> Value {
        let now = self.clock.now();
        json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "iat": now.timestamp(),
            "iat_ms": now.timestamp_millis(),
            "exp": now.timestamp() + TOKEN_SECONDS,
            "jti": Uuid::new_v4(),
            "sid": Uuid::new_v4(),
            "azp": "riwaq-cli",
            "typ": "Bearer",
            "scope": "openid",
            "realm_access": {"roles": roles},
        })
    }

    /// Signs any claims with the present key.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.signing_key().sign(claims)
    }
}

impl std::fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestIssuer")
    }
}

struct PublishedKeys(Arc<Published>);

impl std::fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublishedKeys")
    }
}

#[async_trait]
impl KeyFetcher for PublishedKeys {
    async fn fetch(&self) -> Result<Bytes, KeyFetchError> {
        *self.0.fetches.lock().unwrap() += 1;
        if *self.0.down.lock().unwrap() {
            return Err(KeyFetchError {
                reason: "the test issuer is down".to_owned(),
            });
        }
        let document = json!({"keys": *self.0.keys.lock().unwrap()});
        Ok(Bytes::from(document.to_string()))
    }
}

/// A source that always gives the same.
#[derive(Debug, Clone)]
struct Fixed<T>(Vec<T>);

#[async_trait]
impl RevocationSource for Fixed<Revocation> {
    async fn list(&self) -> Result<Vec<Revocation>, RevocationSourceError> {
        Ok(self.0.clone())
    }
}

#[async_trait]
impl RoleSource for Fixed<(String, PermissionSet)> {
    async fn list(&self) -> Result<Vec<(String, PermissionSet)>, RoleSourceError> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct TestTokens {
    issuer: Arc<TestIssuer>,
    service: String,
}

#[async_trait]
impl TokenSource for TestTokens {
    async fn token(&self) -> Result<Arc<str>, TokenError> {
        Ok(self.issuer.service_token(&self.service).into())
    }

    fn refused(&self, _: &str) {}
}
