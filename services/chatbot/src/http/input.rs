//! What handlers have in common about requests.

use riwaq_kit::{FieldErrors, Problem};

use crate::Config;

/// Checks a question.
pub(crate) fn check_question(field: &str, text: &str, config: &Config) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    errors.text(field, text, 1, config.question_max_chars);
    errors.finish()
}

/// Checks a title.
pub(crate) fn check_title(title: &str, config: &Config) -> Result<(), Problem> {
    let mut errors = FieldErrors::new();
    errors.line("title", title, 1, config.title_max_chars);
    errors.finish()
}
