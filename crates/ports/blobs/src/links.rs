//! Signed links: who may read one blob, how, and until when, in a text that cannot be altered.
//!
//! A link is `v1.` + base64url(JSON claims) + `.` + base64url(HMAC-SHA256 over all before it) (RFC 2104, RFC 4648 §5
//! without padding). It is not encrypted: it carries nothing that its holder may not know, and the person it was
//! issued to only as an opaque id.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::{BlobKey, BlobsError};

const VERSION: &str = "v1";

/// The longest link that is looked at, in bytes: twice what the longest claims need.
const MAX_LINK_BYTES: usize = 4_096;

/// The least length of a key in bytes: that of the digest (RFC 2104 §3).
const MIN_KEY_BYTES: usize = 32;

/// What the holder may do with the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LinkMethod {
    /// Read it; includes HEAD (RFC 9110 §9.3.2).
    Get,
    /// Write it; reserved for direct uploads.
    Put,
}

/// How a browser is to show the content (RFC 6266).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Saved as a file.
    Attachment,
    /// Shown in place; only for media types that cannot run anything.
    Inline,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attachment => "attachment",
            Self::Inline => "inline",
        })
    }
}

/// What a link covers. Every field is under the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What it allows.
    #[serde(rename = "m")]
    pub method: LinkMethod,
    /// Which blob.
    #[serde(rename = "b")]
    pub blob: BlobKey,
    /// Attachment or inline.
    #[serde(rename = "d")]
    pub disposition: Disposition,
    /// The name under which the content is saved.
    #[serde(rename = "n")]
    pub file_name: String,
    /// The media type under which the content is served.
    #[serde(rename = "t")]
    pub media_type: String,
    /// From when on it is refused.
    #[serde(rename = "e", with = "chrono::serde::ts_seconds")]
    pub expires_at: DateTime<Utc>,
    /// The opaque id of the person it was issued to, for the access journal.
    #[serde(rename = "p")]
    pub issued_to: String,
    /// What the issuer wants back when the link is used (an object's id and version).
    #[serde(rename = "r")]
    pub reference: String,
}

/// Why a link is refused. A holder should be told no more than that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It is not a link, or was not signed by a present or previous key.
    #[error("the link is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
    /// It does not allow this method.
    #[error("the link does not allow this method")]
    Method,
}

/// A secret of at least 32 bytes. Never printed.
#[derive(Clone)]
pub struct LinkKey(hmac::Key);

impl LinkKey {
    /// Takes the secret.
    ///
    /// # Errors
    /// `InvalidInput` when it is shorter than 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, BlobsError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(BlobsError::InvalidInput {
                field: "link_key",
                reason: format!("must have at least {MIN_KEY_BYTES} bytes"),
            });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

/// Makes and checks links. To change the key, give the old one as previous for as long as its links live.
#[derive(Clone, Debug)]
pub struct LinkSigner {
    current: LinkKey,
    previous: Option<LinkKey>,
}

impl LinkSigner {
    /// Signs with `current`; accepts `previous` too.
    #[must_use]
    pub fn new(current: LinkKey, previous: Option<LinkKey>) -> Self {
        Self { current, previous }
    }

    /// The link as text: URL-safe, without `/`.
    ///
    /// # Errors
    /// `InvalidInput` when names are so long that the link would not be accepted back.
    pub fn sign(&self, link: &Link) -> Result<String, BlobsError> {
        let refused = |reason: String| BlobsError::InvalidInput {
            field: "link",
            reason,
        };
        let claims = serde_json::to_vec(link).map_err(|error| refused(error.to_string()))?;
        let mut text = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&self.current.0, text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut text);
        if text.len() > MAX_LINK_BYTES {
            return Err(refused(format!("longer than {MAX_LINK_BYTES} bytes")));
        }
        Ok(text)
    }

    /// Reads a link that allows `method` at `now`. The signature is compared in constant time, before anything of the
    /// claims is read; no input panics.
    ///
    /// # Errors
    /// `Invalid`, `Expired`, `Method`.
    pub fn verify(
        &self,
        text: &str,
        method: LinkMethod,
        now: DateTime<Utc>,
    ) -> Result<Link, LinkError> {
        if text.len() > MAX_LINK_BYTES {
            return Err(LinkError::Invalid);
        }
        let (signed, tag) = text.rsplit_once('.').ok_or(LinkError::Invalid)?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| LinkError::Invalid)?;
        let keys = std::iter::once(&self.current).chain(&self.previous);
        // Both keys are always tried: the time says nothing about which one fits.
        let fits = keys.map(|key| hmac::verify(&key.0, signed.as_bytes(), &tag).is_ok());
        if !fits.fold(false, |any, fit| any | fit) {
            return Err(LinkError::Invalid);
        }
        let claims = signed
            .strip_prefix(VERSION)
            .and_then(|rest| rest.strip_prefix('.'));
        let claims = URL_SAFE_NO_PAD.decode(claims.ok_or(LinkError::Invalid)?);
        let link: Link = claims
            .ok()
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .ok_or(LinkError::Invalid)?;
        if link.method != method {
            return Err(LinkError::Method);
        }
        if now >= link.expires_at {
            return Err(LinkError::Expired);
        }
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use proptest::prelude::*;
    use riwaq_clock::{Clock, ManualClock};

    use super::*;

    fn key(fill: u8) -> LinkKey {
        LinkKey::new(&[fill; 32]).unwrap()
    }

    fn link(now: DateTime<Utc>) -> Link {
        Link {
            method: LinkMethod::Get,
            blob: BlobKey::random(),
            disposition: Disposition::Attachment,
            file_name: "محاضرة 1 — été.pdf".into(),
            media_type: "application/pdf".into(),
            expires_at: now + TimeDelta::seconds(300),
            issued_to: "person-1".into(),
            reference: "file-1/3".into(),
        }
    }

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn a_link_is_read_back_until_it_expires() {
        let clock = ManualClock::at(start());
        let signer = LinkSigner::new(key(1), None);
        let link = link(clock.now());
        let text = signer.sign(&link).unwrap();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        );
        assert_eq!(
            signer.verify(&text, LinkMethod::Get, clock.now()),
            Ok(link.clone())
        );
        clock.advance(Duration::from_secs(299));
        assert_eq!(signer.verify(&text, LinkMethod::Get, clock.now()), Ok(link));
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            signer.verify(&text, LinkMethod::Get, clock.now()),
            Err(LinkError::Expired)
        );
    }

    #[test]
    fn another_method_is_refused() {
        let signer = LinkSigner::new(key(1), None);
        let text = signer.sign(&link(start())).unwrap();
        assert_eq!(
            signer.verify(&text, LinkMethod::Put, start()),
            Err(LinkError::Method)
        );
    }

    #[test]
    fn every_altered_character_is_refused() {
        let signer = LinkSigner::new(key(1), None);
        let text = signer.sign(&link(start())).unwrap();
        for at in 0..text.len() {
            for other in ['A', 'B', '.', '/', '='] {
                let mut altered: Vec<char> = text.chars().collect();
                if altered[at] == other {
                    continue;
                }
                altered[at] = other;
                let altered: String = altered.into_iter().collect();
                let result = signer.verify(&altered, LinkMethod::Get, start());
                assert_eq!(result, Err(LinkError::Invalid), "{at} {other}");
            }
        }
    }

    #[test]
    fn claims_that_were_exchanged_are_refused() {
        let signer = LinkSigner::new(key(1), None);
        let mine = signer.sign(&link(start())).unwrap();
        let mut other = link(start());
        other.expires_at += TimeDelta::days(1);
        let other = signer.sign(&other).unwrap();
        let (claims, _) = other.rsplit_once('.').unwrap();
        let (_, tag) = mine.rsplit_once('.').unwrap();
        let forged = format!("{claims}.{tag}");
        assert_eq!(
            signer.verify(&forged, LinkMethod::Get, start()),
            Err(LinkError::Invalid)
        );
    }

    #[test]
    fn a_rotated_key_is_accepted_as_previous_and_then_no_more() {
        let old = LinkSigner::new(key(1), None);
        let text = old.sign(&link(start())).unwrap();
        let rotated = LinkSigner::new(key(2), Some(key(1)));
        assert!(rotated.verify(&text, LinkMethod::Get, start()).is_ok());
        let fresh = rotated.sign(&link(start())).unwrap();
        assert_eq!(
            old.verify(&fresh, LinkMethod::Get, start()),
            Err(LinkError::Invalid)
        );
        let later = LinkSigner::new(key(3), Some(key(2)));
        assert_eq!(
            later.verify(&text, LinkMethod::Get, start()),
            Err(LinkError::Invalid)
        );
    }

    #[test]
    fn short_keys_and_endless_names_are_refused() {
        assert!(LinkKey::new(&[0; 31]).is_err());
        let mut long = link(start());
        long.file_name = "x".repeat(MAX_LINK_BYTES);
        assert!(LinkSigner::new(key(1), None).sign(&long).is_err());
        assert_eq!(format!("{:?}", key(7)), "LinkKey(..)");
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(text in ".{0,300}", dots in "[A-Za-z0-9_.=-]{0,300}") {
            let signer = LinkSigner::new(key(1), Some(key(2)));
            for text in [&text, &dots, &format!("v1.{dots}"), &format!("v1.{dots}.{dots}")] {
                prop_assert_eq!(signer.verify(text, LinkMethod::Get, start()), Err(LinkError::Invalid));
            }
        }
    }
}
