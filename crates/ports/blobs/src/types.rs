//! The plain values of the port: names, digests, uploads and ranges.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::BlobsError;

/// How long a blob stays readable after it was marked for deletion: 24 hours.
///
/// Longer than any write may take, so that a blob whose owner is still being written is never swept.
pub const DELETE_GRACE: Duration = Duration::from_secs(24 * 3600);

/// The most blobs that one page of [`crate::Blobs::list`] holds.
pub const MAX_LIST: usize = 1_000;

/// Defines a random 128-bit name that is written as 32 lowercase hexadecimal digits.
macro_rules! random_name {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new name from the system's random source.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4().into_bytes())
            }

            /// The 16 bytes of the name.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BlobsError;

            /// Reads exactly 32 lowercase hexadecimal digits; everything else is
            /// [`BlobsError::InvalidInput`], so that no path can be smuggled in.
            fn from_str(text: &str) -> Result<Self, BlobsError> {
                let refused = || BlobsError::InvalidInput {
                    field: $field,
                    reason: "must be 32 lowercase hexadecimal digits".into(),
                };
                if text.len() != 32 || text.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return Err(refused());
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

random_name!(
    /// The storage key of a finished blob: random, so that it says nothing about its content or its
    /// owner, and cannot be guessed. Never built from what a user sent.
    BlobKey,
    "blob_key"
);

random_name!(
    /// The name of an upload that is not finished. Says nothing about the key that the blob will get.
    UploadId,
    "upload_id"
);

/// Who may write to an upload: a number that [`crate::Blobs::claim`] raises, so that the writer
/// before (perhaps half-open, on another replica) is refused from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

/// A SHA-256 digest (FIPS 180-4), written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Sha256Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl FromStr for Sha256 {
    type Err = BlobsError;

    fn from_str(text: &str) -> Result<Self, BlobsError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BlobsError::InvalidInput {
            field: "sha256",
            reason: "must be 64 hexadecimal digits".into(),
        })?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// SHA-256 over a stream of pieces.
#[derive(Clone)]
pub struct Sha256Hasher(ring::digest::Context);

impl Sha256Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces in order.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        Sha256(digest)
    }
}

impl Default for Sha256Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// What an upload may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// The most bytes that the blob may have; an append beyond is [`BlobsError::TooLarge`].
    pub max_bytes: u64,
    /// How long it may stay unfinished, from now. Appends do not prolong it.
    pub expires_after: Duration,
}

/// An upload as its present writer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The name of the upload.
    pub id: UploadId,
    /// What the writer must show with every append.
    pub fence: Fence,
    /// How many bytes are durable: the offset of the next append.
    pub offset: u64,
    /// The most bytes that the blob may have.
    pub max_bytes: u64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it is forgotten if it is not finished.
    pub expires_at: DateTime<Utc>,
    /// The blob, once the upload was completed; nothing can be appended any more.
    pub completed: Option<BlobInfo>,
}

/// What the sender said about the whole content; what is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The size in bytes.
    pub size: Option<u64>,
    /// The digest of the content.
    pub sha256: Option<Sha256>,
}

/// A finished blob. Its content never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobInfo {
    /// Its storage key.
    pub key: BlobKey,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its content, computed by the store from the bytes that it received.
    pub sha256: Sha256,
    /// When it was completed.
    pub created_at: DateTime<Utc>,
    /// When it was marked for deletion, if it is.
    pub marked_at: Option<DateTime<Utc>>,
}

/// Which bytes of a blob are wanted; the cases of an RFC 9110 §14.1.2 byte range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteRange {
    /// All of it.
    #[default]
    Full,
    /// From an offset to the end.
    From(u64),
    /// From the first offset to the last one, both included; the last may lie beyond the end.
    Span(u64, u64),
    /// The last so many bytes; more than there are means all.
    Suffix(u64),
}

impl ByteRange {
    /// The half-open range of offsets in a blob of `size` bytes.
    ///
    /// # Errors
    /// [`BlobsError::RangeNotSatisfiable`] when it names no byte of the blob. The full range of an
    /// empty blob is empty and allowed.
    pub fn resolve(self, size: u64) -> Result<Range<u64>, BlobsError> {
        let refused = Err(BlobsError::RangeNotSatisfiable { size });
        match self {
            Self::Full => Ok(0..size),
            Self::From(start) if start < size => Ok(start..size),
            Self::Span(start, last) if start < size && start <= last => {
                Ok(start..last.saturating_add(1).min(size))
            }
            Self::Suffix(length) if length > 0 && size > 0 => Ok(size.saturating_sub(length)..size),
            Self::From(_) | Self::Span(..) | Self::Suffix(_) => refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is_read() {
        let key = BlobKey::random();
        assert_eq!(key.to_string().parse::<BlobKey>().unwrap(), key);
        assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{key}\""));
        let good = "0123456789abcdef0123456789abcdef";
        assert!(good.parse::<BlobKey>().is_ok());
        for hostile in [
            "",
            "../../../../etc/passwd",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789abcdef/../456789abcdef",
            "0123456789abcdef0123456789abcde\0",
            "０１２３４５６７８９abcdef",
        ] {
            assert!(hostile.parse::<BlobKey>().is_err(), "{hostile:?}");
            assert!(hostile.parse::<UploadId>().is_err(), "{hostile:?}");
            let json = serde_json::to_string(hostile).unwrap();
            assert!(
                serde_json::from_str::<BlobKey>(&json).is_err(),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-4 example.
        assert_eq!(
            Sha256::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!("abc".parse::<Sha256>().is_err());
    }

    #[test]
    fn ranges_are_cut_to_the_blob_or_refused() {
        assert_eq!(ByteRange::Full.resolve(0).unwrap(), 0..0);
        assert_eq!(ByteRange::From(9).resolve(10).unwrap(), 9..10);
        assert!(ByteRange::From(10).resolve(10).is_err());
        assert_eq!(ByteRange::Span(0, 0).resolve(10).unwrap(), 0..1);
        assert_eq!(ByteRange::Span(3, u64::MAX).resolve(10).unwrap(), 3..10);
        assert!(ByteRange::Span(5, 4).resolve(10).is_err());
        assert!(ByteRange::Span(10, 12).resolve(10).is_err());
        assert_eq!(ByteRange::Suffix(3).resolve(10).unwrap(), 7..10);
        assert_eq!(ByteRange::Suffix(30).resolve(10).unwrap(), 0..10);
        assert!(ByteRange::Suffix(0).resolve(10).is_err());
        assert!(ByteRange::Suffix(1).resolve(0).is_err());
    }
}
