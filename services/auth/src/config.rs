//! Configuration.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use riwaq_kit::Locale;
use riwaq_mail::Mailbox;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::attempts::SlowDown;
use crate::keys::{RotationPolicy, SigningAlgorithm};

/// How the auth service works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address that people and programs reach this installation by, without a path: the issuer. Not read
    /// from this section: the program has one such setting for all services.
    #[serde(skip)]
    pub public_url: String,
    /// The name of the school or installation on pages and in mails.
    pub school_name: String,
    /// Whose language pages and mails are in where nothing else is known.
    pub default_locale: Locale,
    /// Whether people may register themselves.
    pub registration: bool,
    /// The roles of people who registered themselves.
    pub registration_roles: BTreeSet<String>,
    /// Who mails are from.
    pub mail_from: Mailbox,
    /// How long things are good for.
    pub lifetimes: Lifetimes,
    /// How failed sign-ins slow the next ones down.
    pub sign_in: SlowDown,
    /// How mails that anybody may cause (forgotten password, registration) are slowed down, by account.
    pub mails: SlowDown,
    /// How signing keys are rotated.
    pub keys: RotationPolicy,
    /// How often a replica reads the keys again, in seconds.
    pub key_refresh_seconds: u32,
    /// How access tokens are signed. ID tokens are signed with RS256.
    pub access_token_algorithm: SigningAlgorithm,
    /// How far the clocks of replicas, and of an issuer elsewhere, may differ, in milliseconds.
    pub clock_skew_milliseconds: u32,
    /// How often account changes that a crash left unfinished are looked for, in seconds.
    pub sweep_seconds: u32,
}

/// How long things are good for. All in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifetimes {
    /// Access and ID tokens (5 minutes).
    pub access_token_seconds: u32,
    /// Authorization codes (1 minute).
    pub code_seconds: u32,
    /// A refresh token that was just replaced may be used again for so long (10 seconds).
    pub refresh_grace_seconds: u32,
    /// A refresh token that is not used for so long is over (14 days).
    pub refresh_idle_seconds: u32,
    /// A session is over after so long, whatever happens (30 days).
    pub session_seconds: u32,
    /// So long after signing in the password is not asked for again at the sign-in page (12 hours).
    pub browser_session_seconds: u32,
    /// An activation link in a mail (7 days).
    pub activation_mail_seconds: u32,
    /// A printed activation code (60 days).
    pub activation_code_seconds: u32,
    /// A link to set a new password (1 hour).
    pub reset_seconds: u32,
}

/// A value of the configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigError {
    /// The field, from the section of this service.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "a constant address; a test parses it")]
    fn default() -> Self {
        Self {
            public_url: "http://localhost:8080".to_owned(),
            school_name: "Riwaq".to_owned(),
            default_locale: Locale::Fr,
            registration: false,
            registration_roles: BTreeSet::from(["student".to_owned()]),
            mail_from: Mailbox::named("Riwaq", "no-reply@riwaq.local".parse().expect("an address")),
            lifetimes: Lifetimes::default(),
            sign_in: SlowDown::default(),
            mails: SlowDown::mails(),
            keys: RotationPolicy::default(),
            key_refresh_seconds: 60,
            access_token_algorithm: SigningAlgorithm::RS256,
            clock_skew_milliseconds: 500,
            sweep_seconds: 10,
        }
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: u32 = 86_400;
        Self {
            access_token_seconds: 300,
            code_seconds: 60,
            refresh_grace_seconds: 10,
            refresh_idle_seconds: 14 * DAY,
            session_seconds: 30 * DAY,
            browser_session_seconds: DAY / 2,
            activation_mail_seconds: 7 * DAY,
            activation_code_seconds: 60 * DAY,
            reset_seconds: 3600,
        }
    }
}

impl Lifetimes {
    fn check(&self) -> Result<(), ConfigError> {
        check(
            (30..=3600).contains(&self.access_token_seconds),
            "lifetimes.access_token_seconds",
            "from 30 to 3600",
        )?;
        check(
            (5..=600).contains(&self.code_seconds),
            "lifetimes.code_seconds",
            "from 5 to 600",
        )?;
        check(
            self.refresh_grace_seconds <= 60,
            "lifetimes.refresh_grace_seconds",
            "at most 60",
        )?;
        check(
            self.refresh_idle_seconds > 0,
            "lifetimes.refresh_idle_seconds",
            "at least 1",
        )?;
        check(
            self.session_seconds > 0,
            "lifetimes.session_seconds",
            "at least 1",
        )
    }
}

fn check(good: bool, field: &'static str, message: &str) -> Result<(), ConfigError> {
    if good {
        return Ok(());
    }
    Err(ConfigError {
        field,
        message: message.to_owned(),
    })
}

pub(crate) fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(seconds))
}

impl Config {
    /// Checks what cannot work.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_public_url()?;
        self.lifetimes.check()?;
        self.check_keys()?;
        check(self.sweep_seconds > 0, "sweep_seconds", "at least 1")?;
        check(
            self.clock_skew_milliseconds <= 4000,
            "clock_skew_milliseconds",
            "at most 4000",
        )?;
        riwaq_directory::validate_roles(&self.registration_roles).map_err(|error| ConfigError {
            field: "registration_roles",
            message: error.to_string(),
        })
    }

    fn check_keys(&self) -> Result<(), ConfigError> {
        let keys = &self.keys;
        check(
            self.key_refresh_seconds > 0,
            "key_refresh_seconds",
            "at least 1",
        )?;
        check(
            u64::from(keys.publish_ahead_seconds) > 2 * u64::from(self.key_refresh_seconds),
            "keys.publish_ahead_seconds",
            "more than twice key_refresh_seconds, or replicas sign with keys that others do not publish",
        )?;
        check(
            keys.rotate_every_seconds > keys.publish_ahead_seconds,
            "keys.rotate_every_seconds",
            "more than keys.publish_ahead_seconds",
        )?;
        check(
            keys.keep_after_seconds > self.lifetimes.access_token_seconds,
            "keys.keep_after_seconds",
            "more than lifetimes.access_token_seconds",
        )
    }

    fn check_public_url(&self) -> Result<(), ConfigError> {
        let wrong = |message: &str| ConfigError {
            field: "public_url",
            message: message.to_owned(),
        };
        let url = Url::parse(&self.public_url).map_err(|_| wrong("not an absolute address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("http or https"));
        }
        // Compared byte by byte by every verifier, so there must be only one way to write it.
        if url.origin().ascii_serialization() != self.public_url {
            return Err(wrong(
                "scheme, host and port only, in small letters, without a slash at the end",
            ));
        }
        Ok(())
    }

    /// The issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.public_url
    }

    /// Whether browsers reach us under TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// A public address of ours.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn an_issuer_that_can_be_written_in_two_ways_is_refused() {
        for bad in [
            "",
            "riwaq.example",
            "https://riwaq.example/",
            "https://Riwaq.example",
            "https://riwaq.example:443",
            "https://riwaq.example/x",
            "ftp://riwaq.example",
            "https://u@riwaq.example",
            "https://riwaq.example?x",
        ] {
            let config = Config {
                public_url: bad.into(),
                ..Config::default()
            };
            assert_eq!(config.validate().unwrap_err().field, "public_url", "{bad}");
        }
        for good in [
            "https://riwaq.example",
            "http://127.0.0.1:8080",
            "https://riwaq.example:8443",
        ] {
            let config = Config {
                public_url: good.into(),
                ..Config::default()
            };
            assert_eq!(config.validate(), Ok(()), "{good}");
        }
    }

    #[test]
    fn figures_that_would_break_rotation_are_refused() {
        let with = |keys| {
            Config {
                keys,
                ..Config::default()
            }
            .validate()
            .unwrap_err()
            .field
        };
        assert_eq!(
            with(RotationPolicy {
                publish_ahead_seconds: 60,
                ..RotationPolicy::default()
            }),
            "keys.publish_ahead_seconds"
        );
        assert_eq!(
            with(RotationPolicy {
                keep_after_seconds: 10,
                ..RotationPolicy::default()
            }),
            "keys.keep_after_seconds"
        );
        assert_eq!(
            with(RotationPolicy {
                rotate_every_seconds: 1000,
                ..RotationPolicy::default()
            }),
            "keys.rotate_every_seconds"
        );
    }
}
