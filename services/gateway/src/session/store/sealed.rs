//! What of a session is kept encrypted.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use riwaq_kit::Problem;
use serde::{Deserialize, Serialize};

use super::{Inner, seconds};
use crate::session::issuer::Tokens;

/// What is kept encrypted.
#[derive(Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) access_token: String,
    pub(super) access_ends: DateTime<Utc>,
    pub(super) refresh_token: Option<String>,
    pub(super) id_token: Option<String>,
    /// Until when a replica has the renewal of these tokens for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claimed_until: Option<DateTime<Utc>>,
}

impl Inner {
    pub(super) fn seal(&self, fingerprint: &[u8; 32], tokens: Tokens) -> Result<Bytes, Problem> {
        let sealed = Sealed {
            access_token: tokens.access_token,
            access_ends: self.clock.now() + seconds(tokens.expires_in_seconds),
            refresh_token: tokens.refresh_token,
            id_token: tokens.id_token,
            claimed_until: None,
        };
        self.sealed(fingerprint, &sealed)
    }

    pub(super) fn sealed(&self, fingerprint: &[u8; 32], sealed: &Sealed) -> Result<Bytes, Problem> {
        let plain = serde_json::to_vec(sealed).map_err(Problem::internal)?;
        let sealed = self
            .keys
            .seal(fingerprint, &plain)
            .map_err(Problem::internal)?;
        Ok(sealed.into())
    }

    pub(super) fn unseal(&self, fingerprint: &[u8; 32], sealed: &[u8]) -> Option<Sealed> {
        let plain = self.keys.open(fingerprint, sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}
