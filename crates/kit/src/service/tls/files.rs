//! A certificate from files, read again and again: what renews it elsewhere need not tell us.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, Digest, SHA256};
use riwaq_clock::SharedClock;

use super::TlsError;
use super::certificate::{Certificate, Certificates, Unusable};
use crate::service::config::TlsConfig;

const CHAIN: &str = "certificate_file";
const KEY: &str = "key_file";

/// The two files.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    chain: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// Those of a configuration without ACME.
    pub(super) fn configured(config: &TlsConfig) -> Result<Self, TlsError> {
        for (field, file) in [(CHAIN, &config.certificate_file), (KEY, &config.key_file)] {
            if file.as_os_str().is_empty() {
                return Err(TlsError::config(field, "is not set, and there is no acme"));
            }
        }
        Ok(Self {
            chain: config.certificate_file.clone(),
            key: config.key_file.clone(),
        })
    }

    /// What is in them.
    pub(super) async fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let chain = tokio::fs::read(&self.chain).await;
        let chain = chain.map_err(|error| wrong(CHAIN, &self.chain, error))?;
        let key = tokio::fs::read(&self.key).await;
        let key = key.map_err(|error| wrong(KEY, &self.key, error))?;
        Ok((chain, key))
    }

    /// The certificate that the contents make.
    pub(super) fn certificate(&self, chain: &[u8], key: &[u8]) -> Result<Certificate, TlsError> {
        Certificate::read(chain, key).map_err(|error| match error {
            Unusable::Chain(cause) => wrong(CHAIN, &self.chain, cause),
            Unusable::Key(cause) => wrong(KEY, &self.key, cause),
            Unusable::Pair => {
                let chain = self.chain.display();
                let cause = format!("it does not belong to the certificate in {chain}");
                wrong(KEY, &self.key, cause)
            }
        })
    }
}

fn wrong(field: &'static str, path: &Path, cause: impl std::fmt::Display) -> TlsError {
    TlsError::config(field, format!("{}: {cause}", path.display()))
}

/// What was last seen in the two files.
pub(in crate::service) struct Files {
    pair: Pair,
    interval: Duration,
    certificates: Arc<Certificates>,
    clock: SharedClock,
    /// Of the contents that were last looked at, good or bad.
    seen: Option<Vec<u8>>,
    /// What was last wrong, so that it is said once.
    wrong: Option<String>,
}

impl Files {
    /// Reads them for the first time.
    pub(super) async fn open(
        config: &TlsConfig,
        certificates: Arc<Certificates>,
        clock: SharedClock,
    ) -> Result<Self, TlsError> {
        let pair = Pair::configured(config)?;
        if config.reload_seconds == 0 {
            return Err(TlsError::config("reload_seconds", "must be at least 1"));
        }
        let mut files = Self {
            pair,
            interval: Duration::from_secs(config.reload_seconds),
            certificates,
            clock,
            seen: None,
            wrong: None,
        };
        if let Some(first) = files.changed().await? {
            if first.facts.until <= files.clock.now() {
                tracing::error!(until = %first.facts.until, "the certificate has expired: browsers will refuse it");
            }
            files.certificates.replace(first);
        }
        files.certificates.measure(files.clock.now());
        Ok(files)
    }

    /// Reads them again for ever. What cannot be used leaves everything as it was.
    pub(super) async fn watch(mut self) {
        loop {
            self.clock.sleep(self.interval).await;
            self.look().await;
            self.certificates.measure(self.clock.now());
        }
    }

    async fn look(&mut self) {
        let changed = match self.changed().await {
            Ok(None) => return,
            Ok(Some(new)) if new.facts.until <= self.clock.now() => {
                let cause = format!("it has expired on {}", new.facts.until);
                Err(wrong(CHAIN, &self.pair.chain, cause))
            }
            Ok(Some(new)) => Ok(new),
            Err(error) => Err(error),
        };
        let outcome = match changed {
            Ok(new) => {
                tracing::info!(until = %new.facts.until, names = ?new.facts.names, "a new certificate");
                self.certificates.replace(new);
                self.wrong = None;
                "loaded"
            }
            Err(error) => {
                let reason = error.to_string();
                if self.wrong.as_ref() != Some(&reason) {
                    tracing::error!(%error, "the certificate stays as it was");
                    self.wrong = Some(reason);
                }
                "refused"
            }
        };
        metrics::counter!("riwaq_tls_reloads_total", "outcome" => outcome).increment(1);
    }

    /// What is in the files, where that is not what was there the last time.
    async fn changed(&mut self) -> Result<Option<Certificate>, TlsError> {
        let (chain, key) = self.pair.read().await?;
        let seen = digest(&chain, &key).as_ref().to_vec();
        if self.seen.as_ref() == Some(&seen) {
            return Ok(None);
        }
        self.seen = Some(seen);
        self.pair.certificate(&chain, &key).map(Some)
    }
}

fn digest(chain: &[u8], key: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&(chain.len() as u64).to_be_bytes());
    context.update(chain);
    context.update(key);
    context.finish()
}
