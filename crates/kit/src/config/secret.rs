//! A secret: given in the file, by environment or in a file of its own; never printed.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What is shown instead.
const REDACTED: &str = "<redacted>";
/// How long a secret may be, in bytes; the largest are PEM keys.
const LONGEST: u64 = 64 << 10;

/// A secret text. Written in the configuration as the text itself, or as `{ file = "/path" }`, of which the
/// line end is dropped. Wiped from memory when the last clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// A secret with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text. Whoever calls this must not print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `text` is the secret, in a time that does not tell how much of it is right.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    pub(super) fn read(path: &str) -> Result<Self, String> {
        let too_long = || format!("the file {path} is longer than {LONGEST} bytes");
        let size = std::fs::metadata(path)
            .map_err(|error| format!("cannot read {path}: {error}"))?
            .len();
        if size > LONGEST {
            return Err(too_long());
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        Ok(Self::new(text.trim_end_matches(['\r', '\n'])))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or { file = \"/path\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                match text {
                    "" => Err(E::custom("must not be empty")),
                    REDACTED => Err(E::custom("is the placeholder of a printed configuration")),
                    _ => Ok(Secret::new(text)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let Some((key, path)) = map.next_entry::<String, String>()? else {
                    return Err(A::Error::missing_field("file"));
                };
                if key != "file" {
                    return Err(A::Error::unknown_field(&key, &["file"]));
                }
                Secret::read(&path).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(
            serde_json::to_string(&secret).unwrap(),
            format!("\"{REDACTED}\"")
        );
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter"));
    }

    #[test]
    fn a_secret_is_read_from_a_file_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        let json = serde_json::json!({ "file": path });
        assert_eq!(
            serde_json::from_value::<Secret>(json).unwrap().expose(),
            "s3cret"
        );
        let missing = serde_json::json!({ "file": folder.path().join("none") });
        assert!(
            serde_json::from_value::<Secret>(missing)
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
    }

    #[test]
    fn a_printed_configuration_does_not_become_a_secret() {
        assert!(serde_json::from_value::<Secret>(REDACTED.into()).is_err());
        assert!(serde_json::from_value::<Secret>("".into()).is_err());
    }
}
