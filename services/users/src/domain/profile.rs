//! A person's profile, and which values are accepted for it.

use riwaq_directory::{DirectoryError, LoginName};
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{Locale, Problem};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

const MAX_NAME_CHARS: usize = 100;
const MAX_STUDENT_NUMBER_CHARS: usize = 32;

/// What is known of a person. Values are normalised (NFC, trimmed) and valid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    pub first_name: String,
    pub last_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name_ar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name_ar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student_number: Option<String>,
    #[serde(default)]
    pub locale: Locale,
}

/// A profile as somebody sent it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProfileDraft {
    pub email: String,
    pub username: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub first_name_ar: Option<String>,
    pub last_name_ar: Option<String>,
    pub student_number: Option<String>,
    pub locale: Option<Locale>,
}

impl ProfileDraft {
    /// The profile, if every value is acceptable; all that are not are named at once.
    pub(crate) fn check(self, errors: &mut FieldErrors) -> Profile {
        let profile = Profile {
            email: clean(&self.email),
            username: optional(self.username),
            first_name: clean(&self.first_name),
            last_name: clean(&self.last_name),
            first_name_ar: optional(self.first_name_ar),
            last_name_ar: optional(self.last_name_ar),
            student_number: optional(self.student_number),
            locale: self.locale.unwrap_or_default(),
        };
        login_name(errors, LoginName::email(&profile.email));
        if let Some(username) = &profile.username {
            login_name(errors, LoginName::username(username));
        }
        name(errors, "first_name", &profile.first_name);
        name(errors, "last_name", &profile.last_name);
        for (field, value) in [
            ("first_name_ar", &profile.first_name_ar),
            ("last_name_ar", &profile.last_name_ar),
        ] {
            if let Some(value) = value {
                name(errors, field, value);
            }
        }
        if let Some(number) = &profile.student_number {
            let fits = number.len() <= MAX_STUDENT_NUMBER_CHARS
                && number
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte));
            errors.check(
                fits,
                "student_number",
                "must be at most 32 letters, digits, '-', '.' or '/'",
            );
        }
        profile
    }
}

impl Profile {
    /// What only one person may have: the claim's scope, and the value in its canonical form.
    pub(crate) fn claims(&self) -> Vec<(&'static str, String)> {
        let email = LoginName::email(&self.email)
            .ok()
            .map(|name| ("users.email", name.folded().to_owned()));
        let username = self
            .username
            .as_deref()
            .and_then(|name| LoginName::username(name).ok());
        let username = username.map(|name| ("users.username", name.folded().to_owned()));
        let number = self.student_number.as_ref();
        let number = number.map(|number| ("users.student_number", number.to_ascii_uppercase()));
        [email, username, number].into_iter().flatten().collect()
    }

    /// Where the person stands in a list by name: family name first, case and accents folded.
    pub(crate) fn sort_name(&self) -> String {
        let whole = format!("{} {}", self.last_name, self.first_name);
        let plain = whole
            .nfkd()
            .filter(|c| !unicode_normalization::char::is_combining_mark(*c));
        plain.flat_map(char::to_lowercase).collect()
    }

    /// The names of the fields that differ.
    pub(crate) fn changed_fields(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("email", self.email != other.email),
            ("username", self.username != other.username),
            ("first_name", self.first_name != other.first_name),
            ("last_name", self.last_name != other.last_name),
            ("first_name_ar", self.first_name_ar != other.first_name_ar),
            ("last_name_ar", self.last_name_ar != other.last_name_ar),
            (
                "student_number",
                self.student_number != other.student_number,
            ),
            ("locale", self.locale != other.locale),
        ];
        fields
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name)
            .collect()
    }

    /// The same profile as somebody would send it, to be changed and checked again.
    pub(crate) fn to_draft(&self) -> ProfileDraft {
        ProfileDraft {
            email: self.email.clone(),
            username: self.username.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            first_name_ar: self.first_name_ar.clone(),
            last_name_ar: self.last_name_ar.clone(),
            student_number: self.student_number.clone(),
            locale: Some(self.locale),
        }
    }
}

/// The field of the API that a claim's scope is about.
pub(crate) fn field_of(scope: &str) -> &str {
    scope.rsplit('.').next().unwrap_or(scope)
}

/// The problem of a value that another person has.
pub(crate) fn taken(field: &str) -> Problem {
    let error = riwaq_kit::FieldError {
        field: field.to_owned(),
        message: "is taken".to_owned(),
    };
    Problem::conflict(format!("this {field} is taken")).with_errors(vec![error])
}

fn clean(text: &str) -> String {
    text.trim().nfc().collect()
}

fn optional(text: Option<String>) -> Option<String> {
    text.map(|text| clean(&text))
        .filter(|text| !text.is_empty())
}

fn login_name(errors: &mut FieldErrors, checked: Result<LoginName, DirectoryError>) {
    match checked {
        Err(DirectoryError::Invalid { field, message }) => errors.add(field, message),
        Err(other) => errors.add("email", other.to_string()),
        Ok(_) => {}
    }
}

fn name(errors: &mut FieldErrors, field: &str, text: &str) {
    errors.line(field, text, 1, MAX_NAME_CHARS);
    errors.check(
        !text.chars().any(reorders),
        field,
        "must not contain characters that reorder text",
    );
}

/// Overrides and isolates of the bidirectional algorithm: a name with them would rewrite what is
/// shown beside it. The plain marks that Arabic names may need are allowed.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft() -> ProfileDraft {
        ProfileDraft {
            email: "  Zoé.Alami@Univ.Example ".into(),
            username: Some("".into()),
            first_name: "Zoe\u{301}".into(),
            last_name: " Alami ".into(),
            first_name_ar: Some("زوي".into()),
            student_number: Some("ab-12".into()),
            ..ProfileDraft::default()
        }
    }

    fn fields(draft: ProfileDraft) -> Vec<String> {
        let mut errors = FieldErrors::new();
        draft.check(&mut errors);
        let problem = errors.finish().err();
        problem.map_or_else(Vec::new, |problem| {
            problem.errors().iter().map(|e| e.field.clone()).collect()
        })
    }

    #[test]
    fn values_are_normalised_and_unique_ones_folded() {
        let mut errors = FieldErrors::new();
        let profile = draft().check(&mut errors);
        errors.finish().unwrap();
        assert_eq!(
            (profile.email.as_str(), profile.first_name.as_str()),
            ("Zoé.Alami@Univ.Example", "Zoé")
        );
        assert_eq!(
            (profile.username.as_deref(), profile.locale),
            (None, Locale::Fr)
        );
        assert_eq!(
            profile.claims(),
            [
                ("users.email", "zoé.alami@univ.example".to_owned()),
                ("users.student_number", "AB-12".to_owned())
            ]
        );
        assert_eq!(profile.sort_name(), "alami zoe");
    }

    #[test]
    fn every_value_that_does_not_fit_is_named() {
        let bad = ProfileDraft {
            email: "nobody".into(),
            username: Some("a b".into()),
            first_name: " ".into(),
            last_name: "x".repeat(101),
            first_name_ar: Some("\u{202E}evil".into()),
            last_name_ar: Some("a\0b".into()),
            student_number: Some("é".into()),
            locale: None,
        };
        let named = fields(bad);
        for field in [
            "email",
            "username",
            "first_name",
            "last_name",
            "first_name_ar",
            "last_name_ar",
            "student_number",
        ] {
            assert!(
                named.iter().any(|name| name == field),
                "{field} is not in {named:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn checking_twice_changes_nothing(first in "\\PC{0,40}", last in "\\PC{0,40}", username in "\\PC{0,20}") {
            let draft = ProfileDraft { first_name: first, last_name: last, username: Some(username), ..draft() };
            let mut errors = FieldErrors::new();
            let once = draft.check(&mut errors);
            if errors.finish().is_ok() {
                let mut errors = FieldErrors::new();
                let twice = once.to_draft().check(&mut errors);
                prop_assert!(errors.finish().is_ok());
                prop_assert_eq!(once, twice);
            }
        }
    }
}
