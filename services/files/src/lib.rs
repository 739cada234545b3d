//! Files of courses.
//!
//! Owns: uploads and their versions, the judgement of whether content is what it says, signed links and their use,
//! the access journal, and the life of the blobs. Must not know: who may do what in a course (the courses service is
//! asked, each time), who people are (only their ids), what is in a document (search reports how reading it went), which
//! adapters run.
//!
//! How nothing is lost: the bytes are in the blob store, synced, before the file's version row is written; the row is the
//! acknowledgement. A blob whose row was never written is found by the sweep and deleted a day later.

mod access_journal;
mod app;
mod config;
mod domain;
mod extractions;
mod grpc;
mod http;
mod inspect;
mod receive;
mod records;
mod rights;
mod sweep;

use std::sync::Arc;

use riwaq_aggregates::CursorKey;
use riwaq_api::Channel;
use riwaq_blobs::{Blobs, LinkSigner};
use riwaq_clock::SharedClock;
use riwaq_events::Events;
use riwaq_identity::Identity;
use riwaq_kit::{Service, TaskGroup};
use riwaq_records::Store;
use url::Url;

pub use config::{Config, LinkMode};
pub use domain::file::EVENT_FILE_CHANGED;
pub use records::tables;

/// What the service needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Decides what has expired.
    pub clock: SharedClock,
    /// The tables of this service and of `riwaq-aggregates`.
    pub store: Store,
    /// Where changes are told.
    pub events: Arc<dyn Events>,
    /// The bytes.
    pub blobs: Arc<dyn Blobs>,
    /// The courses service, called as this service.
    pub courses: Channel,
    /// Who calls.
    pub identity: Identity,
    /// Signs links. Every replica has the same keys.
    pub links: LinkSigner,
    /// Signs cursors of lists. Every replica has the same keys.
    pub cursors: CursorKey,
    /// Where people reach the whole program: links begin with it.
    pub public_url: Url,
}

/// Why the service cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot work.
    #[error("{0}")]
    Config(String),
    /// The outbox or the idempotency keys cannot be made.
    #[error(transparent)]
    Aggregates(#[from] riwaq_aggregates::Error),
}

/// The OpenAPI document of its routes, which needs no running service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::openapi()
}

/// Builds the service: REST under `/api/courses/{id}/files` and `/api/files`, gRPC `riwaq.files.v1.Files`.
///
/// # Errors
/// [`BuildError`].
pub fn service(config: Config, deps: Deps) -> Result<Service, BuildError> {
    config.validate().map_err(BuildError::Config)?;
    let tasks = TaskGroup::new();
    let identity = deps.identity.clone();
    let store = deps.store.clone();
    let (app, relay) = app::App::new(config, deps, tasks.clone())?;
    let (router, openapi) = http::routes(app.clone(), &identity);
    let sweeper = sweep::Sweeper::new(app.clone());
    let ready = app.clone();
    Ok(Service::new("files", tasks)
        .rest(router, openapi)
        .grpc(grpc::routes(app, &identity))
        .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
        .check("records", move || {
            let store = store.clone();
            async move { Ok(store.records().ping().await?) }
        })
        .check("identity", move || {
            let ready = identity.ready();
            async move { Ok(ready?) }
        })
        .check("blobs", move || {
            let app = ready.clone();
            async move { app.check_blobs().await }
        })
        .background("files relay", move |closing| {
            relay.run(closing.cancelled_owned())
        })
        .background("blob sweep", move |closing| sweeper.run(closing)))
}

#[cfg(test)]
mod tests;
