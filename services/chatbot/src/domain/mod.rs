//! Conversations, messages and answers, without I/O.

mod title;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use title::title_of;

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The person.
    User,
    /// The assistant.
    Assistant,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "user" => Ok(Self::User),
            "assistant" => Ok(Self::Assistant),
            other => Err(format!("`{other}` is not a role")),
        }
    }
}

/// Where a part of an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Citation {
    /// Its number in the answer, where it stands as `[n]`; from 1.
    #[schema(minimum = 1)]
    pub(crate) n: u32,
    pub(crate) file_id: Uuid,
    pub(crate) course_id: Uuid,
    /// The file's title.
    pub(crate) title: String,
    /// From 1; null where the document has no pages.
    pub(crate) page: Option<u32>,
    /// Word for word as it stands in the document's text.
    pub(crate) quote: String,
}

/// A complete answer, as it is sent and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answer {
    /// The id of the message that holds it.
    pub(crate) message_id: Uuid,
    pub(crate) content: String,
    pub(crate) citations: Vec<Citation>,
    /// What made it: `extractive`, or the name of a language model.
    pub(crate) model: String,
    /// False when nothing that the person may read answers the question.
    pub(crate) answered: bool,
    /// Tokens that a language model read; 0 without one.
    pub(crate) prompt_tokens: u32,
    /// Tokens that a language model wrote; 0 without one.
    pub(crate) completion_tokens: u32,
}

/// The id of the answer to a question: the same however often it is asked for.
pub(crate) fn answer_id(question_id: Uuid) -> Uuid {
    Uuid::new_v5(&question_id, b"answer")
}
