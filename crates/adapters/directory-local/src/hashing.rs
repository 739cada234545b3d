//! argon2id on a bounded number of threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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
    memory: Arc<Memory>,
    operations: AtomicU64,
}

/// The memory that hashes work in, one piece for each worker that was ever busy. Kept: the system's allocator would
/// hold on to a piece for every thread that ever computed a hash, and a fresh one costs thousands of page faults.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<Vec<Block>>>);

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
            memory: Arc::default(),
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
        let memory = Arc::clone(&self.memory);
        self.run(move || {
            let failed = |error| DirectoryError::Corrupt(format!("hashing: {error}"));
            let written = ParamsString::try_from(&params).map_err(failed)?;
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let output = memory
                .compute(&argon2, password.as_bytes(), &salt)
                .map_err(failed)?;
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: written,
                salt: Some(Salt::new(&salt).map_err(|error| failed(error.into()))?),
                hash: Some(output),
            };
            Ok(hash.to_string())
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
        let memory = Arc::clone(&self.memory);
        self.run(move || {
            let parsed = PasswordHash::new(&text)
                .map_err(|error| DirectoryError::Corrupt(format!("a password hash: {error}")))?;
            let matches = memory.verifies(password.as_bytes(), &parsed);
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

impl Memory {
    fn compute(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
    ) -> argon2::password_hash::Result<Output> {
        let params = argon2.params();
        let mut piece = self.pieces().pop().unwrap_or_default();
        piece.resize(params.block_count(), Block::new());
        let mut output = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(OUTPUT_BYTES);
        let output = output
            .get_mut(..length)
            .ok_or(argon2::password_hash::Error::OutputSize)?;
        let done = argon2.hash_password_into_with_memory(password, salt, output, &mut piece);
        self.pieces().push(piece);
        done?;
        Ok(Output::new(output)?)
    }

    /// Whether the password has this hash. With what the hash says of itself: parameters may have changed since.
    fn verifies(&self, password: &[u8], hash: &PasswordHash) -> bool {
        let (Some(salt), Some(wanted)) = (&hash.salt, &hash.hash) else {
            return false;
        };
        let version = hash
            .version
            .map_or(Ok(Version::default()), Version::try_from);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str());
        let (Ok(algorithm), Ok(version), Ok(params)) = (algorithm, version, Params::try_from(hash))
        else {
            return false;
        };
        let argon2 = Argon2::new(algorithm, version, params);
        // Outputs are compared in constant time.
        self.compute(&argon2, password, salt)
            .is_ok_and(|computed| computed == *wanted)
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1`.
    const REFERENCE: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[tokio::test]
    async fn hashes_of_other_programs_verify_in_memory_of_another_size() {
        let hasher = Hasher::new(&cheap()).unwrap();
        for _ in 0..2 {
            let right = hasher.verify(text("password"), Some(REFERENCE));
            assert!(right.await.unwrap().right);
            let wrong = hasher.verify(text("passwort"), Some(REFERENCE));
            assert!(!wrong.await.unwrap().right);
            let own = hasher.hash(text("own")).await.unwrap();
            assert!(hasher.verify(text("own"), Some(&own)).await.unwrap().right);
        }
        assert_eq!(
            hasher.memory.pieces().len(),
            1,
            "one at a time needs one piece"
        );
    }

    #[tokio::test]
    async fn a_rush_leaves_no_more_memory_than_workers() {
        let config = HashingConfig {
            parallel: 3,
            ..cheap()
        };
        let hasher = Hasher::new(&config).unwrap();
        let rush = (0..100).map(|_| hasher.verify(text("x"), None));
        futures::future::join_all(rush).await;
        assert!((1..=3).contains(&hasher.memory.pieces().len()));
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
