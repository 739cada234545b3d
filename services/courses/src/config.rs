//! What may be configured about courses.

use riwaq_aggregates::{IdempotencyOptions, OutboxOptions};
use serde::{Deserialize, Serialize};

use crate::CoursesError;

/// The most rows that a partition should have are 10,000; some room is left for those who enrol at the
/// same moment.
const ENROLMENTS_MAX: usize = 9_000;
/// The largest state that fits in a row of versions beside its columns, in bytes.
const MAX_STATE_BYTES: usize = 240 * 1024;

/// Limits of courses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest title of a course, in characters.
    pub title_max_chars: usize,
    /// The longest description of a course, in characters.
    pub description_max_chars: usize,
    /// The most sections of a course.
    pub sections_max: usize,
    /// The longest title of a section, in characters.
    pub section_title_max_chars: usize,
    /// The longest text of a section, in characters.
    pub section_body_max_chars: usize,
    /// The largest course with all its sections, in bytes of JSON. It is kept whole with every version.
    pub course_max_bytes: usize,
    /// The most teachers of a course, the owner included.
    pub teachers_max: usize,
    /// The most people enrolled in a course. Checked before each enrolment; several at once may pass it by a few.
    pub enrolments_max: usize,
    /// The most people in one request to enrol.
    pub enrol_at_once_max: usize,
    /// The most ids that `ListReadable` gives before it says that there are more.
    pub readable_max: usize,
    /// How changes are told to other services.
    pub outbox: OutboxOptions,
    /// How repeated requests are recognised.
    pub idempotency: IdempotencyOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            title_max_chars: 200,
            description_max_chars: 10_000,
            sections_max: 200,
            section_title_max_chars: 200,
            section_body_max_chars: 20_000,
            course_max_bytes: 192 * 1024,
            teachers_max: 50,
            enrolments_max: 5_000,
            enrol_at_once_max: 200,
            readable_max: 10_000,
            outbox: OutboxOptions::default(),
            idempotency: IdempotencyOptions::default(),
        }
    }
}

impl Config {
    /// Checks the figures.
    ///
    /// # Errors
    /// [`CoursesError::Config`] names the field.
    pub fn validate(&self) -> Result<(), CoursesError> {
        let figures = [
            ("title_max_chars", self.title_max_chars, 1000),
            ("description_max_chars", self.description_max_chars, 40_000),
            ("sections_max", self.sections_max, 1000),
            (
                "section_title_max_chars",
                self.section_title_max_chars,
                1000,
            ),
            (
                "section_body_max_chars",
                self.section_body_max_chars,
                MAX_STATE_BYTES,
            ),
            ("course_max_bytes", self.course_max_bytes, MAX_STATE_BYTES),
            ("teachers_max", self.teachers_max, 200),
            ("enrolments_max", self.enrolments_max, ENROLMENTS_MAX),
            // As many as one question to the users service takes.
            ("enrol_at_once_max", self.enrol_at_once_max, 200),
            ("readable_max", self.readable_max, 100_000),
        ];
        for (field, figure, most) in figures {
            if figure == 0 || figure > most {
                return Err(CoursesError::Config {
                    field,
                    reason: format!("must be 1 to {most}"),
                });
            }
        }
        self.outbox.validate()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_cannot_work_are_refused_by_name() {
        Config::default().validate().unwrap();
        let refused = |config: Config| match config.validate() {
            Err(CoursesError::Config { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(
            refused(Config {
                sections_max: 0,
                ..Config::default()
            }),
            "sections_max"
        );
        assert_eq!(
            refused(Config {
                enrolments_max: 9_001,
                ..Config::default()
            }),
            "enrolments_max"
        );
        assert_eq!(
            refused(Config {
                course_max_bytes: 300_000,
                ..Config::default()
            }),
            "course_max_bytes"
        );
        assert!(serde_json::from_str::<Config>(r#"{"title_max": 3}"#).is_err());
    }
}
