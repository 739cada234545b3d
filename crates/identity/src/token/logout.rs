//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.4): an issuer says that somebody has signed out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::Refused;
use super::claims::{Audience, milliseconds, present, user_id};
use crate::IdentityConfig;

/// How old one may be, in milliseconds: an issuer that asks its clients in vain for longer gives up.
const OLDEST_MS: i64 = 300_000;
/// The longest `jti` that is kept, in bytes.
const MAX_ID_BYTES: usize = 200;

/// A logout token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// Its own id.
    pub jti: String,
    /// The session that has ended, if it names one.
    pub sid: Option<String>,
    /// The person of whom all sessions have ended, if it names no session; otherwise the session's.
    pub subject: Option<Uuid>,
    /// When it was made, in milliseconds since 1970; issuers say it to the second.
    pub issued_ms: i64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: i64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: f64,
    exp: f64,
    jti: Option<String>,
    sub: Option<String>,
    sid: Option<String>,
    /// What makes it a logout token. Unlike it, ID and access tokens have none.
    #[serde(rename = "events")]
    _events: Events,
    /// Prohibited, so that an ID token can never be taken for one (section 2.4).
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
}

#[derive(Deserialize)]
struct Events {
    /// An object, of which the content is free.
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    _logout: BTreeMap<String, serde_json::Value>,
}

/// Section 2.6, after the signature. The token has to be for one of `clients`.
pub(super) fn check(
    payload: &[u8],
    config: &IdentityConfig,
    clients: &[&str],
    now: DateTime<Utc>,
) -> Result<LogoutToken, Refused> {
    let claims: Claims = serde_json::from_slice(payload).map_err(|_| Refused::Malformed)?;
    if claims.iss != config.issuer {
        return Err(Refused::Issuer);
    }
    if !clients.iter().any(|client| claims.aud.names(client)) {
        return Err(Refused::Audience);
    }
    if claims.nonce {
        return Err(Refused::Kind);
    }
    let (issued_ms, expires_ms) = (milliseconds(claims.iat)?, milliseconds(claims.exp)?);
    let (now, leeway) = (now.timestamp_millis(), config.leeway_ms());
    if expires_ms.saturating_add(leeway) <= now || issued_ms.saturating_add(OLDEST_MS) <= now {
        return Err(Refused::Expired);
    }
    if issued_ms.saturating_sub(leeway) > now {
        return Err(Refused::NotYet);
    }
    let fits = |text: &String| !text.is_empty() && text.len() <= MAX_ID_BYTES;
    let jti = claims.jti.filter(fits).ok_or(Refused::Malformed)?;
    if claims.sid.as_ref().is_some_and(|sid| !fits(sid)) {
        return Err(Refused::Malformed);
    }
    let subject = claims.sub.as_deref().map(user_id).transpose()?;
    if claims.sid.is_none() && subject.is_none() {
        return Err(Refused::Subject);
    }
    Ok(LogoutToken {
        jti,
        sid: claims.sid,
        subject,
        issued_ms,
        expires_ms,
    })
}
