//! What an authorization code stands for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::pkce;

/// The grant behind one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeGrant {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) subject: Uuid,
    pub(crate) sid: Uuid,
    pub(crate) signed_in_at: DateTime<Utc>,
}

impl CodeGrant {
    /// Whether the exchange is the one that the code was made for (RFC 6749, 4.1.3; RFC 7636, 4.6).
    pub(crate) fn matches(&self, client_id: &str, redirect_uri: &str, verifier: &str) -> bool {
        self.client_id == client_id
            && self.redirect_uri == redirect_uri
            && pkce::verifies(verifier, &self.code_challenge)
    }
}
