//! Where answers come from.

mod choose;
mod extractive;
#[cfg(test)]
mod golden;
mod language;
mod phrases;
mod question;
mod sentences;

use std::fmt;

use futures::stream::BoxStream;
use riwaq_kit::Problem;
use uuid::Uuid;

use crate::domain::Citation;

pub(crate) use extractive::Extractive;

/// What is asked, by whom.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// Only what this course has.
    pub(crate) course_id: Option<Uuid>,
    /// The person's token: whatever is looked up is looked up with the person's rights.
    pub(crate) actor_token: String,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("text", &self.text)
            .field("course_id", &self.course_id)
            .finish_non_exhaustive()
    }
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More of the text.
    Text(String),
    /// Where the text so far has it from.
    Citation(Citation),
    /// That was all.
    Done(Ended),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) model: String,
    pub(crate) answered: bool,
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
}

/// Answers questions. Dropping the stream stops the answer. [`Piece::Done`] comes last and once; a
/// stream that ends without it, or with a problem, gave no answer.
pub(crate) trait Answerer: Send + Sync + fmt::Debug {
    /// Begins to answer.
    fn answer(&self, question: Question) -> BoxStream<'static, Result<Piece, Problem>>;
}
