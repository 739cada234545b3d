//! The claims as they are written, and the checks that need no key.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{Refused, Token, TokenOwner};
use crate::{IdentityConfig, SERVICE_CLIENT_PREFIX, SERVICE_ROLE};

/// The part of a token's header that is looked at. Keys that it may carry are not.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, section 4.1.11): we understand none.
    pub(super) crit: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Audience,
    sub: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    iat_ms: Option<i64>,
    jti: Option<Box<str>>,
    sid: Option<Box<str>>,
    azp: Option<Box<str>>,
    client_id: Option<Box<str>>,
    typ: Option<String>,
    realm_access: Option<RealmAccess>,
}

#[derive(Debug, Clone, Deserialize)]
struct RealmAccess {
    #[serde(default)]
    roles: Vec<Box<str>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Checks everything that the signature does not say.
    pub(super) fn check(
        self,
        raw: &str,
        config: &IdentityConfig,
        now: DateTime<Utc>,
    ) -> Result<Token, Refused> {
        if self.iss != config.issuer {
            return Err(Refused::Issuer);
        }
        let named = match &self.aud {
            Audience::One(one) => *one == config.audience,
            Audience::Many(many) => many.contains(&config.audience),
        };
        if !named {
            return Err(Refused::Audience);
        }
        if self
            .typ
            .as_ref()
            .is_some_and(|typ| !typ.eq_ignore_ascii_case("bearer"))
        {
            return Err(Refused::Kind);
        }
        let now = now.timestamp_millis();
        let leeway = i64::try_from(config.leeway_seconds)
            .unwrap_or(0)
            .saturating_mul(1000);
        let (expires_ms, issued_ms) = (milliseconds(self.exp)?, milliseconds(self.iat)?);
        if expires_ms.saturating_add(leeway) <= now {
            return Err(Refused::Expired);
        }
        let begins = self.nbf.map_or(Ok(issued_ms), milliseconds)?.max(issued_ms);
        if begins.saturating_sub(leeway) > now {
            return Err(Refused::NotYet);
        }
        let written = self.sub.ok_or(Refused::Subject)?;
        let subject = Uuid::try_parse(&written).map_err(|_| Refused::Subject)?;
        // Braces, a URN or no hyphens would be other spellings of the same id.
        if !written.eq_ignore_ascii_case(&subject.hyphenated().to_string()) || subject.is_nil() {
            return Err(Refused::Subject);
        }
        let roles = self
            .realm_access
            .map(|access| access.roles)
            .unwrap_or_default();
        let client = self.azp.or(self.client_id);
        let owner = owner(&roles, self.sid.as_deref(), client.as_deref());
        // Only a refinement of `iat`, never another time.
        let issued_ms = self
            .iat_ms
            .filter(|ms| ms.div_euclid(1000) == issued_ms.div_euclid(1000))
            .unwrap_or(issued_ms);
        Ok(Token {
            subject,
            owner,
            roles,
            sid: self.sid,
            jti: self.jti,
            client,
            issued_ms,
            expires_ms,
            raw: Arc::from(raw),
        })
    }
}

fn owner(roles: &[Box<str>], sid: Option<&str>, client: Option<&str>) -> TokenOwner {
    let has_role = roles.iter().any(|role| **role == *SERVICE_ROLE);
    let name = client.and_then(|client| client.strip_prefix(SERVICE_CLIENT_PREFIX));
    match (has_role, sid, name) {
        (true, None, Some(name)) if !name.is_empty() => TokenOwner::Service(name.into()),
        _ => TokenOwner::User,
    }
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction.
fn milliseconds(seconds: f64) -> Result<i64, Refused> {
    const LATEST: f64 = 253_402_300_800.0; // the year 10000
    if !(0.0..LATEST).contains(&seconds) {
        return Err(Refused::Malformed);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let milliseconds = (seconds * 1000.0).floor() as i64;
    Ok(milliseconds)
}
