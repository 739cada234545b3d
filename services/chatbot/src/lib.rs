//! The assistant: conversations, and answers out of what the person may read, with citations.
//!
//! Owns conversations and their messages; each belongs to one person, who alone sees them. Must not
//! know what anybody may read: it asks the search service on the person's behalf, with the person's
//! token, and says nothing that is not in what came back.
//!
//! Answers come from an `Answerer`. The one that is there quotes: it picks the best sentences of
//! the best passages, word for word ([`answering`]). A language model will be another one, behind
//! the same seam.
//!
//! What lasts is written before it is told: the question before the answer begins, the answer
//! before `done`. A caller who closes the connection stops the answer; the question stays.

mod answering;
mod app;
mod config;
mod conversations;
mod domain;
mod exchange;
mod grpc;
mod http;
mod records;

use std::sync::Arc;

use riwaq_aggregates::CursorKey;
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_identity::Identity;
use riwaq_kit::{Service, TaskGroup};
use riwaq_records::Store;

pub use config::Config;
pub use records::tables;

/// The service's name: of its role and in metrics.
pub const NAME: &str = "chatbot";

/// What the service needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// Where conversations are.
    pub store: Store,
    /// The search service, called as this service.
    pub search: Channel,
    /// Who is asking.
    pub identity: Identity,
    /// Seals the cursors of its lists.
    pub cursors: CursorKey,
    /// The group that finishes its changes.
    pub tasks: TaskGroup,
}

/// Why the service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChatbotError {
    /// A figure of the configuration cannot work.
    #[error("chatbot.{field} {reason}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The idempotency keys cannot be made.
    #[error(transparent)]
    Aggregates(#[from] riwaq_aggregates::Error),
}

/// The OpenAPI document of its routes, which needs no running service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::openapi()
}

/// The service, not yet running.
///
/// # Errors
/// [`ChatbotError`].
pub fn service(config: Config, deps: Deps) -> Result<Service, ChatbotError> {
    let app = app::App::new(config, &deps)?;
    let (router, document) = http::router(Arc::clone(&app), &deps.identity);
    let (store, identity) = (deps.store.clone(), deps.identity.clone());
    Ok(Service::new(NAME, deps.tasks)
        .rest(router, document)
        .grpc(grpc::routes(app, &deps.identity))
        .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
        .check("records", move || {
            let store = store.clone();
            async move { Ok(store.records().ping().await?) }
        })
        .check("identity", move || {
            let ready = identity.ready();
            async move { Ok(ready?) }
        }))
}
