//! Signed cursors: the last clustering key of a page, opened only for the same list and person.
//!
//! A cursor is `base64url(payload || tag)`, where the payload is the position as JSON and the tag is
//! HMAC-SHA256 (RFC 2104) over the list, its query, the user and the payload, each with its length in
//! front, so that no two different scopes sign the same bytes. It is never a driver's paging state.
//! The position is signed, not hidden: put nothing in it that the reader of the list may not know.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Bytes of the HMAC-SHA256 tag.
const TAG_BYTES: usize = 32;
/// The longest cursor that is looked at, in characters.
pub const MAX_CURSOR_CHARS: usize = 2048;
/// The shortest secret, in bytes: the output size of the hash (RFC 2104, section 3).
pub const MIN_SECRET_BYTES: usize = 32;
/// Written first into the signed bytes; changes when the layout of a cursor does.
const LAYOUT: &[u8] = b"riwaq-cursor-1";

/// What a cursor belongs to. Any difference makes it [`Error::BadCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorScope<'a> {
    /// The list, for example `courses` or `courses/0192…/enrolments`.
    pub list: &'a str,
    /// Whatever else chooses or orders its items, for example `scope=mine`; empty where nothing does.
    pub query: &'a str,
    /// Who reads it; empty for a list that is the same for everybody.
    pub user: &'a str,
}

/// Makes and opens cursors. Every replica of a service holds the same secret.
#[derive(Clone)]
pub struct CursorKey {
    /// The first one signs; all of them open, so that a secret can be replaced without breaking a reader's page.
    keys: Arc<[hmac::Key]>,
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorKey")
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl CursorKey {
    /// A key from a secret of at least [`MIN_SECRET_BYTES`] random bytes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the secret is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        Self::rotated(secret, &[])
    }

    /// A key that signs with `current` and also opens what a secret of `previous` has signed.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when one of the secrets is shorter than [`MIN_SECRET_BYTES`].
    pub fn rotated(current: &[u8], previous: &[&[u8]]) -> Result<Self, Error> {
        let mut keys = Vec::with_capacity(previous.len() + 1);
        for secret in std::iter::once(&current).chain(previous) {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(Error::InvalidInput {
                    field: "cursor_secret",
                    reason: format!("must have at least {MIN_SECRET_BYTES} bytes"),
                });
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, secret));
        }
        Ok(Self { keys: keys.into() })
    }

    /// The cursor that continues a list after `position`.
    ///
    /// # Errors
    /// [`Error::Encode`] when the position is no JSON value or makes the cursor longer than [`MAX_CURSOR_CHARS`].
    pub fn seal<T: Serialize>(
        &self,
        scope: CursorScope<'_>,
        position: &T,
    ) -> Result<String, Error> {
        let mut bytes = serde_json::to_vec(position).map_err(Error::encode)?;
        let Some(key) = self.keys.first() else {
            return Err(Error::BadCursor);
        };
        let tag = sign(key, scope, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        let cursor = URL_SAFE_NO_PAD.encode(bytes);
        if cursor.len() > MAX_CURSOR_CHARS {
            return Err(Error::Encode {
                reason: format!("a cursor of {} characters", cursor.len()),
            });
        }
        Ok(cursor)
    }

    /// The position that [`CursorKey::seal`] was given, for the same scope.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for everything else: altered, cut off, of another list, query or user, of
    /// another secret, or text that never was a cursor.
    pub fn open<T: DeserializeOwned>(
        &self,
        scope: CursorScope<'_>,
        cursor: &str,
    ) -> Result<T, Error> {
        if cursor.len() > MAX_CURSOR_CHARS {
            return Err(Error::BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(cursor)
            .map_err(|_| Error::BadCursor)?;
        let cut = bytes.len().checked_sub(TAG_BYTES).ok_or(Error::BadCursor)?;
        let (payload, tag) = bytes.split_at(cut);
        let signed = signed_bytes(scope, payload);
        // `verify` compares in constant time.
        if !self
            .keys
            .iter()
            .any(|key| hmac::verify(key, &signed, tag).is_ok())
        {
            return Err(Error::BadCursor);
        }
        serde_json::from_slice(payload).map_err(|_| Error::BadCursor)
    }
}

fn sign(key: &hmac::Key, scope: CursorScope<'_>, payload: &[u8]) -> hmac::Tag {
    hmac::sign(key, &signed_bytes(scope, payload))
}

fn signed_bytes(scope: CursorScope<'_>, payload: &[u8]) -> Vec<u8> {
    let parts = [
        LAYOUT,
        scope.list.as_bytes(),
        scope.query.as_bytes(),
        scope.user.as_bytes(),
        payload,
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        // The length goes first, so that ("ab", "c") and ("a", "bc") differ.
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCOPE: CursorScope<'static> = CursorScope {
        list: "courses",
        query: "scope=mine",
        user: "u1",
    };

    fn key(byte: u8) -> CursorKey {
        CursorKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(matches!(
            CursorKey::new(&[1; 31]),
            Err(Error::InvalidInput {
                field: "cursor_secret",
                ..
            })
        ));
    }

    #[test]
    fn a_replaced_secret_still_opens_what_it_signed_and_no_longer_signs() {
        let old = key(1).seal(SCOPE, &7).unwrap();
        let rotated = CursorKey::rotated(&[2; 32], &[&[1; 32]]).unwrap();
        assert_eq!(rotated.open::<i32>(SCOPE, &old).unwrap(), 7);
        let new = rotated.seal(SCOPE, &8).unwrap();
        assert!(matches!(
            key(1).open::<i32>(SCOPE, &new),
            Err(Error::BadCursor)
        ));
    }

    #[test]
    fn a_position_of_another_type_is_a_bad_cursor() {
        let cursor = key(1).seal(SCOPE, &"text").unwrap();
        assert!(matches!(
            key(1).open::<(i64, i64)>(SCOPE, &cursor),
            Err(Error::BadCursor)
        ));
    }

    #[test]
    fn a_position_that_makes_it_too_long_is_refused_when_sealing() {
        assert!(matches!(
            key(1).seal(SCOPE, &"x".repeat(MAX_CURSOR_CHARS)),
            Err(Error::Encode { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_position_comes_back_for_the_same_scope(
            list in ".{0,40}", query in ".{0,40}", user in ".{0,40}", position in any::<(i64, String)>()
        ) {
            prop_assume!(position.1.len() < 200);
            let scope = CursorScope { list: &list, query: &query, user: &user };
            let cursor = key(3).seal(scope, &position).unwrap();
            prop_assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(key(3).open::<(i64, String)>(scope, &cursor).unwrap(), position);
        }

        #[test]
        fn any_other_scope_is_refused(a in ".{0,12}", b in ".{0,12}", c in ".{0,12}", moved in 0_usize..12) {
            let scope = CursorScope { list: &a, query: &b, user: &c };
            let cursor = key(3).seal(scope, &1).unwrap();
            // The same characters cut at other places: only the lengths tell the scopes apart.
            let joined: String = format!("{a}{b}{c}");
            let at = joined.char_indices().map(|(i, _)| i).nth(moved).unwrap_or(joined.len());
            let other = CursorScope { list: &joined[..at], query: &joined[at..], user: "" };
            prop_assume!(other != scope);
            prop_assert!(matches!(key(3).open::<i32>(other, &cursor), Err(Error::BadCursor)));
        }

        #[test]
        fn any_altered_character_is_refused(position in any::<i64>(), at in any::<prop::sample::Index>(), by in 1_u8..64) {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut cursor = key(3).seal(SCOPE, &position).unwrap().into_bytes();
            let at = at.index(cursor.len());
            let old = alphabet.iter().position(|c| *c == cursor[at]).unwrap();
            cursor[at] = alphabet[(old + usize::from(by)) % 64];
            let altered = String::from_utf8(cursor).unwrap();
            prop_assert!(matches!(key(3).open::<i64>(SCOPE, &altered), Err(Error::BadCursor)));
        }

        #[test]
        fn garbage_is_a_bad_cursor_and_never_a_panic(text in "\\PC{0,300}") {
            prop_assert!(matches!(key(3).open::<serde_json::Value>(SCOPE, &text), Err(Error::BadCursor)));
        }
    }
}
