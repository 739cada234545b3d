//! A certificate by ACME: ordered when there is none, and again at two thirds of its life.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use instant_acme::ExternalAccountKey;
use rand::RngExt as _;
use riwaq_clock::SharedClock;
use url::Url;

use super::TlsError;
use super::certificate::{Certificate, CertificateFacts, Certificates};
use super::challenge::Challenges;
use super::order::{self, OrderError};
use super::store::Store;
use crate::problem::Chain;
use crate::service::config::AcmeConfig;

/// The longest pause after orders that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);
/// The longest sleep: wall time may jump, and the metric wants to be fresh.
const LOOK: Duration = Duration::from_secs(3600);
/// The least part of a certificate's life between two orders.
const LEAST_PART: i32 = 6;
/// Most names of one certificate, with the authorities that are known.
const MOST_NAMES: usize = 100;

/// What orders the certificate of a listener.
pub(in crate::service) struct Acme {
    config: AcmeConfig,
    store: Store,
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    clock: SharedClock,
    /// Whether the certificate of before lasts, and has every configured name.
    complete: bool,
}

impl Acme {
    /// Takes the folder, and the certificate in it.
    pub(super) async fn open(
        config: &AcmeConfig,
        certificates: Arc<Certificates>,
        challenges: Arc<Challenges>,
        clock: SharedClock,
    ) -> Result<Self, TlsError> {
        let directory = check(config)?;
        let mut config = config.clone();
        for name in &mut config.domains {
            *name = name.to_ascii_lowercase();
        }
        let store = Store::open(&config.folder, &directory)?;
        let mut complete = false;
        if let Some(kept) = store.certificate()? {
            // One that has ended or lacks a name is shown until there is a better one.
            let names = config
                .domains
                .iter()
                .all(|name| kept.facts.names.contains(name));
            complete = names && kept.facts.until > clock.now();
            tracing::info!(until = %kept.facts.until, complete, "the certificate of before");
            certificates.replace(kept);
        }
        certificates.measure(clock.now());
        Ok(Self {
            config,
            store,
            certificates,
            challenges,
            clock,
            complete,
        })
    }

    /// Orders and renews for ever.
    pub(super) async fn keep(self) {
        // The client of the authority takes the process's own; what is there already stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut failures = 0_u32;
        let mut next = self.due();
        loop {
            let now = self.clock.now();
            if now < next {
                let left = (next - now).to_std().unwrap_or_default();
                self.clock.sleep(left.min(LOOK)).await;
                self.certificates.measure(self.clock.now());
                continue;
            }
            let outcome = match self.renew().await {
                Ok(new) => {
                    tracing::info!(until = %new.facts.until, names = ?new.facts.names, "a new certificate");
                    // Where our clock is wrong even a new one seems old, and authorities count.
                    let least = self.clock.now() + new.facts.life() / LEAST_PART;
                    next = renewal(&new.facts).max(least);
                    self.certificates.replace(new);
                    failures = 0;
                    "issued"
                }
                Err(error) => {
                    let pause = pause(self.config.retry_seconds, failures);
                    failures += 1;
                    next = self.clock.now() + pause;
                    tracing::error!(error = %Chain(&error), again = %next, "no certificate from the authority");
                    "failed"
                }
            };
            metrics::counter!("riwaq_tls_acme_orders_total", "outcome" => outcome).increment(1);
            self.certificates.measure(self.clock.now());
        }
    }

    /// When to order: now where there is nothing, else at two thirds of the present one's life and a little
    /// later, not at the same moment as everybody who started with us.
    fn due(&self) -> DateTime<Utc> {
        let current = self.certificates.current();
        let current = current.filter(|_| self.complete);
        current.map_or_else(|| self.clock.now(), |current| renewal(&current.facts))
    }

    async fn renew(&self) -> Result<Certificate, OrderError> {
        let patience = Duration::from_secs(self.config.order_timeout_seconds);
        let ordering = order::order(&self.config, &self.store, &self.challenges);
        let ordered = tokio::time::timeout(patience, ordering)
            .await
            .map_err(|_| OrderError::TimedOut)??;
        let new = Certificate::read(ordered.chain.as_bytes(), ordered.key.as_bytes());
        let new = new.map_err(|error| OrderError::Refused(format!("what it issued: {error}")))?;
        if let Err(error) = self.store.keep_certificate(&ordered.chain, &ordered.key) {
            // It serves as long as this process runs; authorities count, so another order would not help.
            tracing::error!(%error, "the new certificate cannot be kept");
        }
        Ok(new)
    }
}

fn renewal(current: &CertificateFacts) -> DateTime<Utc> {
    let life = current.life();
    let jitter = rand::rng().random_range(0..=(life / 50).num_seconds().max(0));
    current.from + life * 2 / 3 + TimeDelta::seconds(jitter)
}

/// How long to wait after so many failures before this one: doubled, and up to a quarter more.
fn pause(first_seconds: u64, failures: u32) -> Duration {
    let pause = Duration::from_secs(first_seconds)
        .saturating_mul(2_u32.saturating_pow(failures.min(20)))
        .min(LONGEST_PAUSE);
    pause + pause.mul_f64(rand::rng().random_range(0.0..0.25))
}

/// The settings, before anything is asked of anybody; the address of the directory.
pub(super) fn check(config: &AcmeConfig) -> Result<Url, TlsError> {
    if config.domains.is_empty() || config.domains.len() > MOST_NAMES {
        let message = format!("names 1 to {MOST_NAMES} domains");
        return Err(TlsError::config("acme.domains", message));
    }
    for name in &config.domains {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
            let message = format!(
                "{name:?} is not a name that can be proved on a listener (letters, digits, dots, dashes; no wildcard; names in other scripts as xn--…)"
            );
            return Err(TlsError::config("acme.domains", message));
        }
    }
    if !config.accept_terms {
        let message = "read the authority's terms of service and set it to true";
        return Err(TlsError::config("acme.accept_terms", message));
    }
    for contact in &config.contact {
        if !contact.starts_with("mailto:") {
            let message = format!("{contact:?} does not begin with mailto:");
            return Err(TlsError::config("acme.contact", message));
        }
    }
    for (field, value) in [
        ("acme.retry_seconds", config.retry_seconds),
        ("acme.order_timeout_seconds", config.order_timeout_seconds),
    ] {
        if value == 0 {
            return Err(TlsError::config(field, "must be at least 1"));
        }
    }
    external_account(config)?;
    if config.folder.as_os_str().is_empty() {
        return Err(TlsError::config("acme.folder", "is not set"));
    }
    let directory = Url::parse(&config.directory_url)
        .map_err(|error| TlsError::config("acme.directory_url", error.to_string()))?;
    if directory.scheme() != "https" || directory.host_str().is_none() {
        return Err(TlsError::config("acme.directory_url", "must be https://"));
    }
    Ok(directory)
}

/// What says to the authority which of its customers we are; none where it does not ask.
pub(super) fn external_account(
    config: &AcmeConfig,
) -> Result<Option<ExternalAccountKey>, TlsError> {
    let (id, key) = match (&config.eab_key_id, &config.eab_key) {
        (None, None) => return Ok(None),
        (Some(id), Some(key)) => (id, key.expose().trim_end_matches('=')),
        (None, Some(_)) => return Err(TlsError::config("acme.eab_key_id", "is not set")),
        (Some(_), None) => return Err(TlsError::config("acme.eab_key", "is not set")),
    };
    let key = URL_SAFE_NO_PAD
        .decode(key)
        .map_err(|_| TlsError::config("acme.eab_key", "is not base64url"))?;
    Ok(Some(ExternalAccountKey::new(id.clone(), &key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn settings_that_cannot_work_name_their_field() {
        let good = AcmeConfig {
            domains: vec!["ent.school.example".into()],
            accept_terms: true,
            folder: "/var/lib/riwaq/acme".into(),
            ..AcmeConfig::default()
        };
        assert!(check(&good).is_ok());
        let refused = |change: fn(&mut AcmeConfig)| {
            let mut bad = good.clone();
            change(&mut bad);
            check(&bad).unwrap_err().to_string()
        };
        for (field, change) in [
            ("domains", (|c| c.domains.clear()) as fn(&mut AcmeConfig)),
            ("domains", |c| c.domains = vec!["*.school.example".into()]),
            ("domains", |c| c.domains = vec!["école.example".into()]),
            ("accept_terms", |c| c.accept_terms = false),
            ("contact", |c| c.contact = vec!["it@school.example".into()]),
            ("directory_url", |c| c.directory_url = "http://ca".into()),
            ("folder", |c| c.folder = "".into()),
            ("eab_key", |c| c.eab_key_id = Some("kid".into())),
            ("eab_key_id", |c| c.eab_key = Some(Secret::new("a2V5"))),
            ("eab_key", |c| {
                c.eab_key_id = Some("kid".into());
                c.eab_key = Some(Secret::new("a+b/"));
            }),
            ("retry_seconds", |c| c.retry_seconds = 0),
        ] {
            let message = refused(change);
            assert!(
                message.starts_with(&format!("server.tls.acme.{field}: ")),
                "{message}"
            );
        }
    }

    #[test]
    fn pauses_grow_and_end_at_half_a_day() {
        for (failures, least, most) in [(0, 900, 1_125), (1, 1_800, 2_250), (30, 43_200, 54_000)] {
            let seconds = pause(900, failures).as_secs();
            assert!((least..=most).contains(&seconds), "{failures}: {seconds}");
        }
    }
}
