//! The tables: conversations by person, messages by conversation.

use chrono::{DateTime, Utc};
use riwaq_records::{Table, TableSchema};
use uuid::Uuid;

use crate::domain::{Answer, Citation, Role};

/// A conversation. Its person is the partition: nobody else can ask for it.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "conversations",
    write = "conditional",
    partition(user_id),
    clustering(conversation_id desc)
)]
pub(crate) struct ConversationRow {
    pub(crate) user_id: Uuid,
    pub(crate) conversation_id: Uuid,
    pub(crate) title: Option<String>,
    pub(crate) version: i64,
    /// Its messages are being deleted, then it is; whoever finds it so goes on with that.
    pub(crate) deleted: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A message. Written once, under its own id; writing it again is harmless.
#[derive(Debug, Clone, PartialEq, Table)]
#[table(
    name = "conversation_messages",
    write = "timestamped",
    partition(conversation_id),
    clustering(at, message_id)
)]
pub(crate) struct MessageRow {
    pub(crate) conversation_id: Uuid,
    /// When, in microseconds since 1970; later than the message before it.
    pub(crate) at: i64,
    pub(crate) message_id: Uuid,
    #[column(text)]
    pub(crate) role: Role,
    pub(crate) content: String,
    /// The course that the question was about.
    pub(crate) course_id: Option<Uuid>,
    #[column(json)]
    pub(crate) citations: Vec<Citation>,
    pub(crate) model: Option<String>,
    pub(crate) answered: Option<bool>,
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
}

impl MessageRow {
    pub(crate) fn question(
        conversation_id: Uuid,
        message_id: Uuid,
        at: i64,
        content: String,
        course_id: Option<Uuid>,
    ) -> Self {
        Self {
            conversation_id,
            at,
            message_id,
            role: Role::User,
            content,
            course_id,
            citations: Vec::new(),
            model: None,
            answered: None,
            prompt_tokens: 0,
            completion_tokens: 0,
        }
    }

    pub(crate) fn answer(question: &Self, at: i64, answer: Answer) -> Self {
        Self {
            conversation_id: question.conversation_id,
            at,
            message_id: answer.message_id,
            role: Role::Assistant,
            content: answer.content,
            course_id: question.course_id,
            citations: answer.citations,
            model: Some(answer.model),
            answered: Some(answer.answered),
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens,
        }
    }

    /// The answer that the row holds, if it holds one.
    pub(crate) fn into_answer(self) -> Option<Answer> {
        Some(Answer {
            message_id: self.message_id,
            content: self.content,
            citations: self.citations,
            model: self.model?,
            answered: self.answered?,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
        })
    }

    pub(crate) fn created_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.at).unwrap_or_default()
    }
}

/// The tables of this service; those of `riwaq_aggregates` are needed beside them.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    vec![ConversationRow::schema(), MessageRow::schema()]
}
