//! argon2id on a bounded number of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use riwaq_directory::DirectoryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::secrets::random;
use crate::{ConfigError, HashingConfig};

const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords. At most `parallel` at a time take memory; a rush waits in
/// a queue of bounded length.
#[derive(Debug)]
pub(crate) struct Hasher {
    params: Params,
    /// No password has this hash, and verifying against it costs what verifying costs.
    nobodys_hash: String,
    /// One permit for each password that is admitted, waiting or not.
    admission: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    operations: AtomicU64,
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The password is right.
    pub(crate) right: bool,
    /// The hash was made with other parameters than those configured now.
    pub(crate) outdated: bool,
}

impl Hasher {
    pub(crate) fn new(config: &HashingConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let params = Params::new(
            config.memory_kib,
            config.iterations,
            config.lanes,
            Some(OUTPUT_BYTES),
        )
        .map_err(|_| ConfigError {
            field: "hashing",
            message: "argon2 refuses these parameters",
        })?;
        Ok(Self {
            nobodys_hash: nobodys_hash(config)?,
            params,
            admission: Arc::new(Semaphore::new(config.parallel + config.queue)),
            workers: Arc::new(Semaphore::new(config.parallel)),
            operations: AtomicU64::new(0),
        })
    }

    /// How many hashes were computed since the start.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// A new hash with a new salt, in PHC format.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, DirectoryError> {
        let salt = random::<SALT_BYTES>()?;
        let params = self.params.clone();
        self.run(move || {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map(|hash| hash.to_string())
                .map_err(|error| DirectoryError::Corrupt(format!("hashing: {error}")))
        })
        .await?
    }

    /// Compares with a stored hash; with none, does the same work for nothing.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<&str>,
    ) -> Result<Verified, DirectoryError> {
        let text = stored.unwrap_or(&self.nobodys_hash).to_owned();
        let current = self.params.clone();
        let real = stored.is_some();
        self.run(move || {
            let parsed = PasswordHash::new(&text)
                .map_err(|error| DirectoryError::Corrupt(format!("a password hash: {error}")))?;
            let matches = Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok();
            let used = Params::try_from(&parsed)
                .map_err(|error| DirectoryError::Corrupt(format!("a password hash: {error}")))?;
            let outdated = parsed.algorithm != Algorithm::Argon2id.ident()
                || (used.m_cost(), used.t_cost(), used.p_cost())
                    != (current.m_cost(), current.t_cost(), current.p_cost());
            Ok(Verified {
                right: matches && real,
                outdated: outdated && real,
            })
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
    ) -> Result<Result<T, DirectoryError>, DirectoryError> {
        let admitted = Arc::clone(&self.admission)
            .try_acquire_owned()
            .map_err(|_| DirectoryError::Busy)?;
        let closed = |_| DirectoryError::Unavailable("the password hasher is closed".into());
        let turn = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(closed)?;
        self.operations.fetch_add(1, Ordering::Relaxed);
        // The permits go with the work: when the caller goes away, the thread is still busy.
        let permits: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (admitted, turn);
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permits);
            result
        })
        .await
        .map_err(|error| DirectoryError::Unavailable(Box::new(error)))
    }
}

/// A well-formed hash of random bytes that no computation made.
fn nobodys_hash(config: &HashingConfig) -> Result<String, ConfigError> {
    let no_random = |_| ConfigError {
        field: "hashing",
        message: "the system gives no random bytes",
    };
    let salt = random::<SALT_BYTES>().map_err(no_random)?;
    let output = random::<OUTPUT_BYTES>().map_err(no_random)?;
    Ok(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        config.memory_kib,
        config.iterations,
        config.lanes,
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> HashingConfig {
        HashingConfig {
            memory_kib: 8,
            iterations: 1,
            ..HashingConfig::default()
        }
    }

    fn text(password: &str) -> Zeroizing<String> {
        Zeroizing::new(password.to_owned())
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let hash = hasher.hash(text("right")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert_ne!(
            hash,
            hasher.hash(text("right")).await.unwrap(),
            "salts differ"
        );
        let good = hasher.verify(text("right"), Some(&hash)).await.unwrap();
        assert_eq!(
            good,
            Verified {
                right: true,
                outdated: false
            }
        );
        assert!(
            !hasher
                .verify(text("wrong"), Some(&hash))
                .await
                .unwrap()
                .right
        );
        assert!(!hasher.verify(text("right"), None).await.unwrap().right);
        assert_eq!(hasher.operations(), 5);
    }

    #[tokio::test]
    async fn other_parameters_make_a_hash_outdated() {
        let hash = Hasher::new(&cheap())
            .unwrap()
            .hash(text("right"))
            .await
            .unwrap();
        let hasher = Hasher::new(&HashingConfig {
            iterations: 2,
            ..cheap()
        })
        .unwrap();
        let verified = hasher.verify(text("right"), Some(&hash)).await.unwrap();
        assert_eq!(
            verified,
            Verified {
                right: true,
                outdated: true
            }
        );
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_none_is_corrupt_and_no_panic() {
        let hasher = Hasher::new(&cheap()).unwrap();
        let result = hasher.verify(text("x"), Some("plain text")).await;
        assert!(
            matches!(result, Err(DirectoryError::Corrupt(_))),
            "{result:?}"
        );
    }

    /// Workers are held by the test itself, so nothing depends on how fast a hash is.
    #[tokio::test]
    async fn a_rush_waits_in_a_queue_of_bounded_length() {
        let hasher = Arc::new(
            Hasher::new(&HashingConfig {
                parallel: 2,
                queue: 498,
                ..cheap()
            })
            .unwrap(),
        );
        let held = hasher.workers.clone().acquire_many_owned(2).await.unwrap();
        let rush: Vec<_> = (0..500)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                let mut waiting = Box::pin(async move { hasher.verify(text("x"), None).await });
                assert!(
                    futures::FutureExt::now_or_never(&mut waiting).is_none(),
                    "it waits for its turn"
                );
                waiting
            })
            .collect();
        assert!(matches!(
            hasher.hash(text("one too many")).await,
            Err(DirectoryError::Busy)
        ));
        assert_eq!(hasher.operations(), 0);
        drop(held);
        for result in futures::future::join_all(rush).await {
            assert!(!result.unwrap().right);
        }
        assert_eq!(hasher.operations(), 500);
        assert!(hasher.hash(text("there is room again")).await.is_ok());
    }
}
