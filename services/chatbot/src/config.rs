//! What may be configured about the assistant.

use riwaq_aggregates::IdempotencyOptions;
use serde::{Deserialize, Serialize};

use crate::ChatbotError;

/// Limits of conversations, and how careful answers are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest title of a conversation, in characters.
    pub title_max_chars: usize,
    /// The longest question, in characters.
    pub question_max_chars: usize,
    /// The most conversations of a person.
    pub conversations_max: usize,
    /// The most messages of a conversation. Several questions at once may pass it by a few.
    pub messages_max: usize,
    /// How many passages an answer is made from at most.
    pub passages: u32,
    /// The share of the question's content words that a passage must have to be quoted, 0 to 1. With 0.6 a passage
    /// must have both of two words, two of three, three of five. Where none has enough alone, those with half of the words are quoted
    /// if together they have every word.
    pub coverage_min: f32,
    /// The most quotations in an answer.
    pub quotes_max: usize,
    /// The longest quotation, in characters.
    pub quote_max_chars: usize,
    /// An answer that is not complete after so long is given up, in seconds.
    pub answer_timeout_seconds: u64,
    /// How repeated requests are recognised.
    pub idempotency: IdempotencyOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            title_max_chars: 200,
            question_max_chars: 4_000,
            conversations_max: 1_000,
            messages_max: 400,
            passages: 10,
            coverage_min: 0.6,
            quotes_max: 3,
            quote_max_chars: 400,
            answer_timeout_seconds: 60,
            idempotency: IdempotencyOptions::default(),
        }
    }
}

impl Config {
    /// Checks the figures.
    ///
    /// # Errors
    /// [`ChatbotError::Config`] names the field.
    pub fn validate(&self) -> Result<(), ChatbotError> {
        let refused = |field, reason| Err(ChatbotError::Config { field, reason });
        let figures = [
            ("title_max_chars", self.title_max_chars as u64, 1, 1_000),
            (
                "question_max_chars",
                self.question_max_chars as u64,
                1,
                20_000,
            ),
            ("conversations_max", self.conversations_max as u64, 1, 5_000),
            ("messages_max", self.messages_max as u64, 2, 5_000),
            ("passages", u64::from(self.passages), 1, 50),
            ("quotes_max", self.quotes_max as u64, 1, 20),
            ("quote_max_chars", self.quote_max_chars as u64, 80, 4_000),
            (
                "answer_timeout_seconds",
                self.answer_timeout_seconds,
                1,
                600,
            ),
        ];
        for (field, figure, least, most) in figures {
            if !(least..=most).contains(&figure) {
                return refused(field, format!("must be {least} to {most}"));
            }
        }
        if !(0.0..=1.0).contains(&self.coverage_min) {
            return refused("coverage_min", "must be 0 to 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_cannot_work_are_refused_by_name() {
        Config::default().validate().unwrap();
        for (field, config) in [
            (
                "messages_max",
                Config {
                    messages_max: 1,
                    ..Config::default()
                },
            ),
            (
                "passages",
                Config {
                    passages: 51,
                    ..Config::default()
                },
            ),
            (
                "coverage_min",
                Config {
                    coverage_min: f32::NAN,
                    ..Config::default()
                },
            ),
            (
                "answer_timeout_seconds",
                Config {
                    answer_timeout_seconds: 601,
                    ..Config::default()
                },
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("chatbot.{field} ")), "{error}");
        }
        assert!(serde_json::from_str::<Config>(r#"{"passage": 3}"#).is_err());
    }
}
