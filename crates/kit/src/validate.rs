//! Collects what does not fit in a request, so that one answer names every field.

use crate::problem::{FieldError, Problem};

/// The fields that do not fit.
#[derive(Debug, Default)]
#[must_use = "call `finish` to answer"]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `field` does not fit.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Notes that `field` does not fit unless `fits`.
    pub fn check(&mut self, fits: bool, field: &str, message: &str) {
        if !fits {
            self.add(field, message);
        }
    }

    /// A line of text: `min` to `max` characters, not only spaces, without control characters.
    pub fn line(&mut self, field: &str, text: &str, min: usize, max: usize) {
        self.check(
            !text.chars().any(char::is_control),
            field,
            "must not contain control characters",
        );
        self.length(field, text, min, max);
    }

    /// Text of several lines: `min` to `max` characters, no control characters but tab and line ends.
    pub fn text(&mut self, field: &str, text: &str, min: usize, max: usize) {
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        self.check(
            !text.chars().any(odd),
            field,
            "must not contain control characters",
        );
        self.length(field, text, min, max);
    }

    fn length(&mut self, field: &str, text: &str, min: usize, max: usize) {
        let visible = text.trim().chars().count();
        let all = text.chars().count();
        if visible < min {
            self.add(
                field,
                if min == 1 {
                    "must not be empty".into()
                } else {
                    format!("must have at least {min} characters")
                },
            );
        } else if all > max {
            self.add(field, format!("must have at most {max} characters"));
        }
    }

    /// The 422 that names them, if there are any.
    ///
    /// # Errors
    /// 422 `validation_failed`.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problem::validation(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_does_not_fit_is_named() {
        let mut errors = FieldErrors::new();
        errors.line("title", "  ", 1, 10);
        errors.line("name", "a\u{0}b", 1, 10);
        errors.text("body", "fine\n\tٱلسلام", 1, 100);
        errors.text("long", &"é".repeat(11), 0, 10);
        errors.check(false, "x", "no");
        let problem = errors.finish().unwrap_err();
        let fields: Vec<_> = problem
            .errors()
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        assert_eq!(fields, ["title", "name", "long", "x"]);
    }

    #[test]
    fn nothing_wrong_is_no_problem() {
        let mut errors = FieldErrors::new();
        errors.line("title", "Réseaux", 1, 10);
        assert!(errors.finish().is_ok());
    }
}
