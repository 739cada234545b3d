//! Passwords on their way in.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::DirectoryError;

/// The shortest password, in characters.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// The longest password, in characters.
pub const MAX_PASSWORD_CHARS: usize = 128;
/// What cannot be a password, in bytes: characters of four bytes, each composed of up to four.
const MAX_RAW_BYTES: usize = MAX_PASSWORD_CHARS * 16;

/// A new password that keeps the rules, in the form that is hashed. Wiped when dropped; `Debug`
/// hides it.
#[derive(Clone)]
pub struct Password {
    normal: Zeroizing<String>,
    typed: Zeroizing<String>,
}

impl Password {
    /// Takes a password of [`MIN_PASSWORD_CHARS`] to [`MAX_PASSWORD_CHARS`] characters, counted
    /// after normalisation. Any character is allowed (NIST SP 800-63B, 5.1.1.2); control
    /// characters are not, since no keyboard types them.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for `password`.
    pub fn new(text: &str) -> Result<Self, DirectoryError> {
        let Some(normal) = normalise_password(text) else {
            return Err(DirectoryError::invalid(
                "password",
                "at most 128 characters",
            ));
        };
        let chars = normal.chars().count();
        if chars < MIN_PASSWORD_CHARS {
            return Err(DirectoryError::invalid(
                "password",
                "at least 12 characters",
            ));
        }
        if chars > MAX_PASSWORD_CHARS {
            return Err(DirectoryError::invalid(
                "password",
                "at most 128 characters",
            ));
        }
        if normal.chars().any(char::is_control) {
            return Err(DirectoryError::invalid("password", "no control characters"));
        }
        let typed = Zeroizing::new(text.nfc().collect());
        Ok(Self { normal, typed })
    }

    /// What is hashed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.normal
    }

    /// As typed, accents composed (NFC) as keyboards send them: for an external directory that
    /// compares what is typed at its own page without normalising it.
    #[must_use]
    pub fn expose_typed(&self) -> &str {
        &self.typed
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// The form of a typed password that is compared: NFKC, since keyboards compose accents
/// differently (NIST SP 800-63B, 5.1.1.2). `None` where it is too long to be anybody's.
#[must_use]
pub fn normalise_password(text: &str) -> Option<Zeroizing<String>> {
    (text.len() <= MAX_RAW_BYTES).then(|| Zeroizing::new(text.nfkc().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        assert!(Password::new(&"é".repeat(11)).is_err());
        assert!(Password::new(&"é".repeat(12)).is_ok());
        assert!(Password::new(&"😀".repeat(128)).is_ok());
        assert!(Password::new(&"😀".repeat(129)).is_err());
        assert!(Password::new(&"x".repeat(1 << 20)).is_err());
        // Twelve typed characters that compose to six are six.
        assert!(Password::new(&"e\u{301}".repeat(6)).is_err());
    }

    #[test]
    fn compositions_of_an_accent_are_the_same_password() {
        let composed = Password::new("crème brûlée!").unwrap();
        let decomposed = Password::new("cre\u{300}me bru\u{302}le\u{301}e!").unwrap();
        assert_eq!(composed.expose(), decomposed.expose());
        assert_eq!(composed.expose_typed(), decomposed.expose_typed());
    }

    #[test]
    fn an_external_directory_is_given_what_keyboards_type() {
        let password = Password::new("ﬁve km² of sand").unwrap();
        assert_eq!(password.expose(), "five km2 of sand");
        assert_eq!(password.expose_typed(), "ﬁve km² of sand");
    }

    #[test]
    fn debug_output_hides_the_password() {
        assert_eq!(
            format!("{:?}", Password::new("a long password").unwrap()),
            "Password(hidden)"
        );
    }
}
