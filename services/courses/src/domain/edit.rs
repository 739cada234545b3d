//! What may be changed about a course, and what fits.

use riwaq_kit::{FieldErrors, Problem};
use serde::{Deserialize, Serialize};

use super::{Course, Status, Visibility};
use crate::Config;

/// The longest subject and level, in characters.
const WORDS_MAX_CHARS: usize = 100;
/// The longest language tag that is recommended to support (RFC 5646, section 4.4.1).
const LANGUAGE_MAX_CHARS: usize = 35;

/// What people write about a course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CourseFields {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) language: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) level: Option<String>,
    pub(crate) visibility: Visibility,
}

/// A change of some fields; none leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CourseEdit {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) language: Option<Option<String>>,
    pub(crate) subject: Option<Option<String>>,
    pub(crate) level: Option<Option<String>>,
    pub(crate) visibility: Option<Visibility>,
    pub(crate) status: Option<Status>,
}

/// A change of a section; none leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SectionEdit {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) position: Option<usize>,
}

impl CourseEdit {
    /// Everything as in `fields`.
    pub(crate) fn replacing(fields: CourseFields, status: Option<Status>) -> Self {
        Self {
            title: Some(fields.title),
            description: Some(fields.description),
            language: Some(fields.language),
            subject: Some(fields.subject),
            level: Some(fields.level),
            visibility: Some(fields.visibility),
            status,
        }
    }

    pub(crate) fn apply(&self, fields: &mut CourseFields) {
        let Self {
            title,
            description,
            language,
            subject,
            level,
            visibility,
            status: _,
        } = self.clone();
        fields.title = title.unwrap_or_else(|| std::mem::take(&mut fields.title));
        fields.description = description.unwrap_or_else(|| std::mem::take(&mut fields.description));
        fields.language = language.unwrap_or_else(|| fields.language.take());
        fields.subject = subject.unwrap_or_else(|| fields.subject.take());
        fields.level = level.unwrap_or_else(|| fields.level.take());
        fields.visibility = visibility.unwrap_or(fields.visibility);
    }

    /// Refuses values that do not fit.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Problem> {
        let mut errors = FieldErrors::new();
        if let Some(title) = &self.title {
            errors.line("title", title, 1, config.title_max_chars);
        }
        if let Some(description) = &self.description {
            errors.text("description", description, 0, config.description_max_chars);
        }
        if let Some(Some(language)) = &self.language {
            let fits = is_language_tag(language);
            errors.check(
                fits,
                "language",
                "must be a language tag, such as fr, ar or en-GB",
            );
        }
        for (field, value) in [("subject", &self.subject), ("level", &self.level)] {
            if let Some(Some(value)) = value {
                errors.line(field, value, 1, WORDS_MAX_CHARS);
            }
        }
        errors.finish()
    }

    /// One word for the history.
    pub(crate) fn change(&self) -> &'static str {
        match self.status {
            Some(Status::Published) => "published",
            Some(Status::Archived) => "archived",
            Some(Status::Draft) => "withdrawn",
            None => "edited",
        }
    }
}

impl SectionEdit {
    /// Refuses values that do not fit.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Problem> {
        let mut errors = FieldErrors::new();
        if let Some(title) = &self.title {
            errors.line("title", title, 1, config.section_title_max_chars);
        }
        if let Some(body) = &self.body {
            errors.text("body", body, 0, config.section_body_max_chars);
        }
        errors.finish()
    }
}

/// Refuses a new section that does not fit.
pub(crate) fn check_section(title: &str, body: &str, config: &Config) -> Result<(), Problem> {
    let edit = SectionEdit {
        title: Some(title.to_owned()),
        body: Some(body.to_owned()),
        position: None,
    };
    edit.check(config)
}

/// Refuses a course that has become too large as a whole.
pub(crate) fn check_course(course: &Course, config: &Config) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    let too_many =
        |most: usize, what: &str| format!("the course would have more than {most} {what}");
    if course.sections.len() > config.sections_max {
        errors.add("sections", too_many(config.sections_max, "sections"));
    }
    if course.teachers.len() > config.teachers_max {
        errors.add("teachers", too_many(config.teachers_max, "teachers"));
    }
    let bytes = serde_json::to_vec(course).map_err(Problem::internal)?.len();
    if bytes > config.course_max_bytes {
        errors.add(
            "body",
            too_many(config.course_max_bytes, "bytes in all its sections"),
        );
    }
    errors.finish()
}

/// The shape of RFC 5646: subtags of letters and digits, the first of two to three letters.
fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let first = subtags.next().unwrap_or_default();
    tag.len() <= LANGUAGE_MAX_CHARS
        && (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_recognised() {
        for good in ["fr", "ar", "ar-MA", "zgh", "zh-Hant-TW", "en-GB"] {
            assert!(is_language_tag(good), "{good}");
        }
        for bad in [
            "",
            "f",
            "français",
            "fr_FR",
            "fr-",
            "-fr",
            "12",
            "abcd",
            "fr-abcdefghi",
            "fr FR",
            "عر",
        ] {
            assert!(!is_language_tag(bad), "{bad}");
        }
    }

    #[test]
    fn every_field_that_does_not_fit_is_named() {
        let edit = CourseEdit {
            title: Some(" ".into()),
            description: Some("x".repeat(10_001)),
            language: Some(Some("français".into())),
            subject: Some(Some(String::new())),
            level: Some(Some("a\u{7}".into())),
            ..CourseEdit::default()
        };
        let problem = edit.check(&Config::default()).unwrap_err();
        let fields: Vec<_> = problem
            .errors()
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert_eq!(
            fields,
            ["title", "description", "language", "subject", "level"]
        );
    }

    #[test]
    fn a_course_that_grows_beyond_its_limits_is_refused() {
        let config = Config {
            teachers_max: 1,
            sections_max: 1,
            course_max_bytes: 600,
            ..Config::default()
        };
        let course = super::super::course::tests::course(1);
        check_course(&course, &config).unwrap();
        let refused =
            check_course(&course.with_teacher(uuid::Uuid::from_u128(2)), &config).unwrap_err();
        assert_eq!(refused.errors()[0].field, "teachers");
        let long = CourseEdit {
            description: Some("x".repeat(600)),
            ..CourseEdit::default()
        };
        let refused = check_course(&course.edited(&long), &config).unwrap_err();
        assert_eq!(refused.errors()[0].field, "body");
    }
}
