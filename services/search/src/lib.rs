//! Search: the text of files and courses in an index, and the answers out of it that a reader may
//! read.
//!
//! Owns the index, and nothing else that lasts: whatever is in it is made from what the files and
//! courses services have, and can be made again ([`Rebuild`]). Has no tables. Must not know who is
//! enrolled where: for every question it asks the courses service what the reader may read, and
//! puts that set into the query.
//!
//! The way in: an event says that a file or a course changed → its present state is fetched → the
//! text is read by a confined child → passages are written under the owner's version → the result
//! is reported to the files service → the event is acknowledged. Every step may be repeated. A
//! document that cannot be read is a result (`failed` with a reason), not an error; what is tried
//! again, and at last a dead letter, is what another try may mend.
#![warn(missing_docs)]

mod access;
mod config;
mod domain;
mod events;
mod grpc;
mod http;
mod indexing;
mod rebuild;

use std::sync::Arc;

use riwaq_aggregates::CursorKey;
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_events::{Events, Group};
use riwaq_extraction::{ExtractError, Extractor};
use riwaq_identity::Identity;
use riwaq_index::Index;
use riwaq_kit::{Service, TaskGroup};

pub use config::Config;
pub use rebuild::{Rebuild, RebuildError, Rebuilt};

use access::Access;
use indexing::Indexer;

/// The name of the service, of its role and of its group of consumers.
pub const NAME: &str = "search";

/// What the service needs.
#[derive(Debug, Clone)]
pub struct Deps {
    /// For deadlines of documents and pauses between tries.
    pub clock: SharedClock,
    /// Where passages are kept.
    pub index: Arc<dyn Index>,
    /// Where changes are told.
    pub events: Arc<dyn Events>,
    /// The files service, called as this service.
    pub files: Channel,
    /// The courses service, called as this service.
    pub courses: Channel,
    /// Who is asking.
    pub identity: Identity,
    /// Signs cursors; the same on every replica.
    pub cursor_key: CursorKey,
    /// The tasks of this service.
    pub tasks: TaskGroup,
}

/// The service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A value of the configuration that cannot work.
    #[error("{field}: {message}")]
    Config {
        /// The field, from the section of this service.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The extraction is not configured.
    #[error("extraction: {0}")]
    Extraction(#[from] ExtractError),
}

/// The groups of consumers that must exist before anything is published.
#[must_use]
pub fn groups() -> Vec<Group> {
    vec![events::group()]
}

/// What everything in this service works with.
struct Parts {
    access: Access,
    indexer: Arc<Indexer>,
}

impl Parts {
    fn new(config: &Config, deps: &Deps) -> Result<Self, BuildError> {
        config.validate()?;
        let extractor = Extractor::new(config.extraction.clone(), Arc::clone(&deps.clock))?;
        let access = Access::new(deps.courses.clone());
        let indexer = Arc::new(Indexer::new(deps, extractor));
        Ok(Self { access, indexer })
    }
}

/// The OpenAPI document of its routes, which needs no running service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::openapi()
}

/// Builds the service.
///
/// # Errors
/// [`BuildError`] naming what cannot work.
pub fn service(config: &Config, deps: Deps) -> Result<Service, BuildError> {
    let Parts { access, indexer } = Parts::new(config, &deps)?;
    let (router, openapi) = http::router(http::State {
        index: Arc::clone(&deps.index),
        access: access.clone(),
        cursor_key: deps.cursor_key.clone(),
    });
    let grpc = grpc::routes(Arc::clone(&deps.index), access, &deps.identity);
    let (index, identity) = (Arc::clone(&deps.index), deps.identity.clone());
    let consumer = events::Consumer::new(config, &deps, Arc::clone(&indexer));
    let mut service = Service::new(NAME, deps.tasks.clone())
        .rest(router.layer(deps.identity.layer()), openapi)
        .grpc(grpc)
        .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
        .check("index", move || {
            let index = Arc::clone(&index);
            async move { Ok(index.ping().await?) }
        })
        .check("identity", move || {
            let ready = identity.ready();
            async move { Ok(ready?) }
        })
        .background("consumer", move |closing| consumer.run(closing));
    if config.rebuild_when_empty {
        let filling = Rebuild::with(&deps, indexer, config.workers);
        service = service.background("fill", move |closing| filling.fill_when_empty(closing));
    }
    Ok(service)
}
