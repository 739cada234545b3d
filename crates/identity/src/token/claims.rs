//! The claims as they are written, and the checks that need no key.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{Refused, Token, TokenOwner};
use crate::{IdentityConfig, SERVICE_CLIENT_PREFIX, SERVICE_ROLE};

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

/// One audience, or several in an array (RFC 7519, section 4.1.3).
#[derive(Debug, Clone)]
pub(super) struct Audience(Vec<Box<str>>);

impl Audience {
    pub(super) fn names(&self, audience: &str) -> bool {
        self.0.iter().any(|one| **one == *audience)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audience;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or an array of them")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<Audience, E> {
                Ok(Audience(vec![one.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Audience, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = all.next_element()? {
                    many.push(one);
                }
                Ok(Audience(many))
            }
        }

        value.deserialize_any(OneOrMany)
    }
}

impl Claims {
    /// Reads them. A claim that is there twice, or of another type, makes the token malformed: which one counts must
    /// not depend on who reads.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(payload).map_err(|_| Refused::Malformed)
    }

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
        if !self.aud.names(&config.audience) {
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
        let leeway = config.leeway_ms();
        let (expires_ms, issued_ms) = (milliseconds(self.exp)?, milliseconds(self.iat)?);
        if expires_ms.saturating_add(leeway) <= now {
            return Err(Refused::Expired);
        }
        let begins = self.nbf.map_or(Ok(issued_ms), milliseconds)?.max(issued_ms);
        if begins.saturating_sub(leeway) > now {
            return Err(Refused::NotYet);
        }
        let subject = user_id(&self.sub.ok_or(Refused::Subject)?)?;
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

/// A user id as `sub` writes it. Braces, a URN or no hyphens would be other spellings of the same one.
pub(super) fn user_id(written: &str) -> Result<Uuid, Refused> {
    let id = Uuid::try_parse(written).map_err(|_| Refused::Subject)?;
    let spelling = id.hyphenated();
    let mut buffer = Uuid::encode_buffer();
    if !written.eq_ignore_ascii_case(spelling.encode_lower(&mut buffer)) || id.is_nil() {
        return Err(Refused::Subject);
    }
    Ok(id)
}

/// True for whatever the value is, `null` too.
pub(super) fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction.
pub(super) fn milliseconds(seconds: f64) -> Result<i64, Refused> {
    const LATEST: f64 = 253_402_300_800.0; // the year 10000
    if !(0.0..LATEST).contains(&seconds) {
        return Err(Refused::Malformed);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let milliseconds = (seconds * 1000.0).floor() as i64;
    Ok(milliseconds)
}
