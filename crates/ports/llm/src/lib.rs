//! The language model port: a conversation goes in, an answer streams out.
//!
//! Owns the request and its checks ([`ChatRequest`]), the stream ([`ChatStream`]), the promises of
//! a model ([`LanguageModel`]), one that answers by script ([`ScriptedModel`]) and the conformance
//! suite ([`conformance`]). Must not know what is asked, nor where the answer is shown.
//!
//! What a stream promises:
//! - Zero or more [`ChatEvent::Text`], none of them empty, in order; their concatenation is the answer.
//!   A piece is whole Unicode text: a character is never cut.
//! - Then exactly one [`ChatEvent::Done`], or one error; then it ends. A connection that breaks off
//!   is [`LlmError::Interrupted`], never a short answer.
//! - Dropping the stream, or the future of [`LanguageModel::chat`], ends the generation: the model
//!   is free for others soon after.
#![warn(missing_docs)]

pub mod conformance;
mod error;
mod request;
mod scripted;

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use error::{LlmError, Result};
pub use request::{ChatMessage, ChatRequest, Role, limits};
pub use scripted::{Ending, Script, ScriptedModel};

/// An answer on its way.
pub type ChatStream = BoxStream<'static, Result<ChatEvent>>;

/// A piece of an answer, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// The next piece of text.
    Text(String),
    /// The answer is complete.
    Done(Completion),
}

/// How an answer ended, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The model that answered, by the name that the server knows it by.
    pub model: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens that were read: the whole conversation.
    pub prompt_tokens: u32,
    /// Tokens that were written.
    pub completion_tokens: u32,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model had said everything, or said a stop string (which is not part of the answer).
    Stop,
    /// [`ChatRequest::max_tokens`] was reached.
    Length,
}

/// A language model, or a server with several.
#[async_trait]
pub trait LanguageModel: Send + Sync + fmt::Debug + 'static {
    /// Begins to answer.
    ///
    /// # Errors
    /// [`LlmError::InvalidInput`], [`LlmError::UnknownModel`], [`LlmError::TooLong`],
    /// [`LlmError::Unavailable`]. The stream's items are [`LlmError::Interrupted`] or
    /// [`LlmError::Unavailable`].
    async fn chat(&self, request: ChatRequest) -> Result<ChatStream>;

    /// The names of the models that can be asked.
    ///
    /// # Errors
    /// [`LlmError::Unavailable`].
    async fn models(&self) -> Result<Vec<String>>;

    /// Whether the server answers now.
    ///
    /// # Errors
    /// [`LlmError::Unavailable`] with the reason.
    async fn ping(&self) -> Result<()>;
}
