//! Courses, their sections, who teaches them, who is enrolled, and so: who may read what.
//!
//! Owns courses and enrolments with their whole history, and every right over a course: other services
//! ask here ([`riwaq_api::courses`]) and keep no copy. Must not know people beyond their ids (the users
//! service has them), files (they have their own service, which asks here), nor search.
//!
//! A course is one aggregate with its sections, an enrolment another: every change is one more version,
//! and leaving and coming back are further versions of the same enrolment. Lists are tables of their own,
//! brought along by the journal; see [`tables`].

mod app;
mod config;
mod domain;
pub mod events;
mod grpc;
mod http;
mod lists;
mod readable;
mod records;
mod semesters;

use std::sync::Arc;

use riwaq_aggregates::CursorKey;
use riwaq_aggregates::records::Store;
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_events::Events;
use riwaq_identity::Identity;
use riwaq_kit::{Service, TaskGroup};

pub use config::Config;
pub use records::tables;

/// The service's name: of its role, in events and in metrics.
pub const NAME: &str = "courses";

/// What the service needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// Where its rows are.
    pub store: Store,
    /// Where its events go.
    pub events: Arc<dyn Events>,
    /// The users service: whether people exist.
    pub users: Channel,
    /// Who is calling.
    pub identity: Identity,
    /// Seals the cursors of its lists.
    pub cursors: CursorKey,
    /// The group that finishes its changes.
    pub tasks: TaskGroup,
}

/// Why the service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CoursesError {
    /// A figure of the configuration cannot work.
    #[error("courses.{field} {reason}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The journals or the idempotency keys cannot be made.
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
/// [`CoursesError`].
pub fn service(config: Config, deps: Deps) -> Result<Service, CoursesError> {
    let (app, outbox) = app::App::new(config, &deps)?;
    let (router, document) = http::router(Arc::clone(&app), &deps.identity);
    let relay = outbox.relay();
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
        })
        .background("outbox relay", |closing| async move {
            relay.run(closing.cancelled()).await
        }))
}
