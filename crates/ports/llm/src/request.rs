//! What a model is asked.

use serde::{Deserialize, Serialize};

use crate::error::{LlmError, Result};

/// Limits, the same on every adapter.
pub mod limits {
    /// The most messages of a conversation.
    pub const MAX_MESSAGES: usize = 200;
    /// All texts of a request together, in bytes (256 KiB).
    pub const MAX_REQUEST_BYTES: usize = 256 * 1024;
    /// The longest answer, in tokens.
    pub const MAX_TOKENS: u32 = 32_768;
    /// The most stop strings.
    pub const MAX_STOPS: usize = 8;
    /// The longest name of a model, in bytes.
    pub const MAX_MODEL_BYTES: usize = 200;
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A message of the conversation so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// Who said it.
    pub role: Role,
    /// What was said; not empty.
    pub content: String,
}

impl ChatMessage {
    /// Said by the person.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// Said by the model.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }
}

/// A question with everything that the model should know.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Which model; none: the adapter's configured one.
    pub model: Option<String>,
    /// How the model should behave; comes before the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first; the last message is the person's.
    pub messages: Vec<ChatMessage>,
    /// The answer ends after so many tokens.
    pub max_tokens: u32,
    /// 0 (always the likeliest word) to 2.
    pub temperature: f32,
    /// The answer ends before any of these.
    pub stop: Vec<String>,
    /// The same seed and request give the same answer, where the server can.
    pub seed: Option<u64>,
}

impl ChatRequest {
    /// A request with these messages, 1,024 tokens for the answer, and temperature 0.
    #[must_use]
    pub fn new(messages: Vec<ChatMessage>) -> Self {
        Self {
            model: None,
            system: None,
            messages,
            max_tokens: 1024,
            temperature: 0.0,
            stop: Vec::new(),
            seed: None,
        }
    }

    /// Checks every field. Adapters call it before they ask.
    ///
    /// # Errors
    /// [`LlmError::InvalidInput`] names the field.
    pub fn validate(&self) -> Result<()> {
        let model = self.model.as_deref().unwrap_or("default");
        if model.trim().is_empty()
            || model.len() > limits::MAX_MODEL_BYTES
            || model.chars().any(char::is_control)
        {
            return Err(LlmError::invalid("model", "is not a name"));
        }
        if self.messages.is_empty() || self.messages.len() > limits::MAX_MESSAGES {
            return Err(LlmError::invalid(
                "messages",
                format!("must have 1 to {} entries", limits::MAX_MESSAGES),
            ));
        }
        if self
            .messages
            .iter()
            .any(|message| message.content.is_empty())
        {
            return Err(LlmError::invalid("messages", "must not be empty"));
        }
        if self
            .messages
            .last()
            .is_none_or(|last| last.role != Role::User)
        {
            return Err(LlmError::invalid(
                "messages",
                "the last one must be the person's",
            ));
        }
        let bytes = self
            .messages
            .iter()
            .map(|message| message.content.len())
            .sum::<usize>()
            + self.system.as_deref().map_or(0, str::len);
        if bytes > limits::MAX_REQUEST_BYTES {
            return Err(LlmError::invalid(
                "messages",
                format!("more than {} bytes in all", limits::MAX_REQUEST_BYTES),
            ));
        }
        if !(1..=limits::MAX_TOKENS).contains(&self.max_tokens) {
            return Err(LlmError::invalid(
                "max_tokens",
                format!("must be 1 to {}", limits::MAX_TOKENS),
            ));
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            return Err(LlmError::invalid("temperature", "must be 0 to 2"));
        }
        if self.stop.len() > limits::MAX_STOPS || self.stop.iter().any(String::is_empty) {
            return Err(LlmError::invalid(
                "stop",
                format!("at most {} strings, none empty", limits::MAX_STOPS),
            ));
        }
        Ok(())
    }
}
