//! What is sent and received.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::conversations;
use crate::domain::{self, Role};
use crate::records::{ConversationRow, MessageRow};

/// A conversation as it stands in lists.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationSummary {
    id: Uuid,
    /// Null until it is given one, or the first question makes one.
    title: Option<String>,
    created_at: DateTime<Utc>,
    /// When something was last said or changed.
    updated_at: DateTime<Utc>,
}

impl From<ConversationRow> for ConversationSummary {
    fn from(row: ConversationRow) -> Self {
        Self {
            id: row.conversation_id,
            title: row.title,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A conversation with its messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conversation {
    #[serde(flatten)]
    summary: ConversationSummary,
    /// Oldest first.
    messages: Vec<Message>,
}

impl From<conversations::Conversation> for Conversation {
    fn from(conversation: conversations::Conversation) -> Self {
        Self {
            summary: conversation.row.into(),
            messages: conversation
                .messages
                .into_iter()
                .map(Message::from)
                .collect(),
        }
    }
}

/// Something that was said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    id: Uuid,
    role: Role,
    content: String,
    citations: Vec<domain::Citation>,
    /// What made an answer; null for a question.
    model: Option<String>,
    /// Whether an answer answers; null for a question.
    answered: Option<bool>,
    /// The course that was asked about.
    course_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            created_at: row.created_at(),
            id: row.message_id,
            role: row.role,
            content: row.content,
            citations: row.citations,
            model: row.model,
            answered: row.answered,
            course_id: row.course_id,
        }
    }
}

/// A page of conversations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationList {
    pub(crate) items: Vec<ConversationSummary>,
    /// For the next page; null at the end.
    pub(crate) next_cursor: Option<String>,
}

/// A new conversation.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Révisions d'algorithmique"}))]
pub(crate) struct NewConversation {
    /// Without one, the first question makes one.
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) title: Option<String>,
}

/// What is to change about a conversation (JSON Merge Patch, RFC 7396).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationPatch {
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) title: String,
}

/// A question.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"content": "Qu'est-ce qu'un arbre binaire ?"}))]
pub(crate) struct NewMessage {
    /// In French, Arabic or English.
    #[schema(min_length = 1, max_length = 4000)]
    pub(crate) content: String,
    /// Answer only out of this course.
    pub(crate) course_id: Option<Uuid>,
}
