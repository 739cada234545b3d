//! Login names: how they are normalised and which are refused.

use unicode_normalization::UnicodeNormalization;

use crate::DirectoryError;

/// The longest e-mail address, in bytes after normalisation (RFC 5321, 4.5.3.1.3).
pub const MAX_EMAIL_BYTES: usize = 254;
/// The longest user name, in characters after normalisation.
pub const MAX_USERNAME_CHARS: usize = 64;

/// Which of the two login names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LoginField {
    /// An address: it has exactly one `@`.
    Email,
    /// A user name: it has none, so the two can never be mistaken for one another.
    Username,
}

impl LoginField {
    /// The name of the field in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
        }
    }
}

/// A valid login name in its normal form: two spellings that people take for the same name
/// (case, width, composition of accents) are equal here.
///
/// The normal form is NFKC over a case mapping, repeated until it stands still (after Unicode
/// Standard Annex 31, identifiers). It is what an adapter hashes, or hands to an external directory;
/// the clear text is personal data and must not be printed: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginName {
    field: LoginField,
    folded: String,
}

impl LoginName {
    /// An e-mail address: local part, one `@`, a domain of non-empty labels; no white space,
    /// control or invisible characters; at most [`MAX_EMAIL_BYTES`].
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for `email`.
    pub fn email(text: &str) -> Result<Self, DirectoryError> {
        let folded = bounded_fold(text, LoginField::Email)?;
        let invalid = |message: &str| Err(DirectoryError::invalid("email", message));
        if folded.len() > MAX_EMAIL_BYTES {
            return invalid("at most 254 bytes");
        }
        let Some((local, domain)) = folded.split_once('@') else {
            return invalid("an e-mail address has an @");
        };
        if local.is_empty()
            || domain.contains('@')
            || domain.split('.').any(|label| !is_label(label))
        {
            return invalid("not an e-mail address");
        }
        if folded
            .chars()
            .any(|c| is_hidden(c) || c.is_whitespace() || "\"(),:;<>[]\\".contains(c))
        {
            return invalid(
                "an e-mail address has no spaces, quotes, brackets or invisible characters",
            );
        }
        Ok(Self {
            field: LoginField::Email,
            folded,
        })
    }

    /// A user name: letters and digits of any script, `.`, `_` and `-`, beginning with a letter
    /// or digit; at most [`MAX_USERNAME_CHARS`].
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for `username`.
    pub fn username(text: &str) -> Result<Self, DirectoryError> {
        let folded = bounded_fold(text, LoginField::Username)?;
        let invalid = |message: &str| Err(DirectoryError::invalid("username", message));
        if folded.chars().count() > MAX_USERNAME_CHARS {
            return invalid("at most 64 characters");
        }
        if !folded.chars().next().is_some_and(char::is_alphanumeric) {
            return invalid("a user name begins with a letter or digit");
        }
        if folded
            .chars()
            .any(|c| is_hidden(c) || !(c.is_alphanumeric() || "._-".contains(c)))
        {
            return invalid("a user name has letters, digits, dots, hyphens and underscores only");
        }
        Ok(Self {
            field: LoginField::Username,
            folded,
        })
    }

    /// Either, as typed at sign-in: an address where there is an `@`, else a user name.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] for `email` or `username`.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        // Full-width and small forms of @ fold to it as well.
        if text
            .chars()
            .any(|c| matches!(c, '@' | '\u{FE6B}' | '\u{FF20}'))
        {
            Self::email(text)
        } else {
            Self::username(text)
        }
    }

    /// Which kind of name.
    #[must_use]
    pub fn field(&self) -> LoginField {
        self.field
    }

    /// The normal form. Personal data: hash it, or hand it to the directory that has to know it; never print it.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    pub(crate) fn expect_field(&self, field: LoginField) -> Result<(), DirectoryError> {
        if self.field == field {
            return Ok(());
        }
        Err(DirectoryError::invalid(
            field.name(),
            "the wrong kind of login name",
        ))
    }
}

impl std::fmt::Debug for LoginName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoginName({}, hidden)", self.field.name())
    }
}

fn bounded_fold(text: &str, field: LoginField) -> Result<String, DirectoryError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(DirectoryError::invalid(field.name(), "must not be empty"));
    }
    // Folding can shrink a text, but never to a quarter: longer ones cannot become valid, and
    // a hostile megabyte is not worth the work.
    if trimmed.len() > 4 * MAX_EMAIL_BYTES {
        return Err(DirectoryError::invalid(field.name(), "too long"));
    }
    Ok(fold(trimmed))
}

/// Character-wise on purpose: the string mapping treats a final sigma differently by context,
/// and a name must not depend on what follows it.
fn fold(text: &str) -> String {
    let mut folded: String = text.nfkc().collect();
    // Each round maps case, then composes; some characters need a second round to stand still.
    for _ in 0..4 {
        let next: String = folded
            .chars()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .nfkc()
            .collect();
        if next == folded {
            break;
        }
        folded = next;
    }
    folded
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

/// Characters that people do not see, and that make two names look the same.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_the_same_address_are_one_name() {
        let name = LoginName::email("Zoé.Straße@Univ.EXAMPLE").unwrap();
        for same in [
            "zoe\u{301}.strasse@univ.example",
            "  ZOÉ.STRASSE@univ.example ",
            "ｚｏé.straße＠univ.example",
        ] {
            assert_eq!(LoginName::parse(same).unwrap(), name, "{same}");
        }
        assert_ne!(LoginName::email("zoe.strasse@univ.example").unwrap(), name);
    }

    #[test]
    fn a_final_sigma_does_not_make_another_name() {
        assert_eq!(
            LoginName::username("ΟΔΟΣ").unwrap(),
            LoginName::username("οδος").unwrap()
        );
        assert_eq!(
            LoginName::username("οδοσ").unwrap(),
            LoginName::username("οδος").unwrap()
        );
    }

    #[test]
    fn arabic_names_are_names() {
        assert!(LoginName::username("أحمد.العلوي").is_ok());
        assert!(LoginName::email("أحمد@جامعة.المغرب").is_ok());
    }

    #[test]
    fn hostile_names_are_refused_with_their_field() {
        let long = "x".repeat(300) + "@example.org";
        let huge = "x".repeat(1 << 20);
        let emails = [
            "",
            " ",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c.d",
            "a@b..c",
            "a@-b.c",
            "a\0@b.c",
            "a\u{202E}@b.c",
            "a\u{200B}@b.c",
            "\"a\"@b.c",
            "a@b.c>",
            "a\r\nBcc: x@b.c",
            long.as_str(),
        ];
        for text in emails {
            let error = LoginName::email(text).unwrap_err();
            assert!(
                matches!(error, DirectoryError::Invalid { field: "email", .. }),
                "{text:?}"
            );
        }
        for text in [
            "",
            "a b",
            ".a",
            "a\0",
            "a\u{FEFF}",
            "a/b",
            "a\\b",
            "a'--",
            huge.as_str(),
        ] {
            let error = LoginName::username(text).unwrap_err();
            assert!(
                matches!(
                    error,
                    DirectoryError::Invalid {
                        field: "username",
                        ..
                    }
                ),
                "{:?}",
                &text[..text.len().min(20)]
            );
        }
    }

    #[test]
    fn debug_output_hides_the_name() {
        assert!(!format!("{:?}", LoginName::email("zoe@example.org").unwrap()).contains("zoe"));
    }

    proptest! {
        #[test]
        fn folding_stands_still(text in "\\PC{1,20}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn case_never_matters(text in "[a-zA-Zà-ÿÀ-ßα-ωΑ-Ωа-яА-Я]{1,20}") {
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text.to_lowercase()));
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = LoginName::parse(&text);
        }
    }
}
