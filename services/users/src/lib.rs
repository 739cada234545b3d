//! Profiles, roles, administration and the audit journal.
//!
//! Owns: people's names in both scripts, e-mail addresses, user names, student numbers and languages
//! (no other service keeps personal data), the roles a school makes, and who did what as an
//! administrator. Must not know: passwords and sessions, and which roles an account has (the auth service
//! keeps those; this one asks for changes and repeats them until they are done), courses.

mod app;
mod config;
mod domain;
mod events;
mod flows;
mod grpc;
mod http;
mod records;

use riwaq_api::users::v1::users_server::UsersServer;
use riwaq_kit::Service;
use riwaq_records::TableSchema;
use tonic::service::Routes;

pub use app::{Deps, StartError};
pub use config::Config;

/// The name of the service and of its role.
pub const NAME: &str = "users";

/// The event that a profile was made, changed or deleted.
pub const EVENT_USER_CHANGED: &str = "riwaq.users.user.changed";

/// The tables of this service, beside those of `riwaq-aggregates`.
#[must_use]
pub fn tables() -> Vec<&'static TableSchema> {
    records::tables()
}

/// The OpenAPI document of its routes, which needs no running service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    http::openapi()
}

/// The service, ready to be hosted.
///
/// # Errors
/// When the configuration cannot work.
pub fn service(config: Config, deps: Deps) -> Result<Service, StartError> {
    let identity = deps.identity.clone();
    let tasks = deps.tasks.clone();
    let (app, outbox) = app::App::new(config, deps)?;
    let (rest, openapi) = http::routes(&app);
    let grpc = Routes::new(UsersServer::new(grpc::UsersGrpc::new(app.clone())));
    let grpc = grpc::policy().protect(grpc, &identity);
    let ready = identity.clone();
    let (followup, accounts) = (app.clone(), app);
    Ok(Service::new(NAME, tasks)
        .rest(rest.layer(identity.layer()), openapi)
        .grpc(grpc)
        .descriptor(riwaq_api::FILE_DESCRIPTOR_SET)
        .check("identity", move || {
            let ready = ready.ready();
            async move { ready.map_err(Into::into) }
        })
        .background("relay", move |closing| {
            outbox.relay().run(closing.cancelled_owned())
        })
        .background("followup", move |closing| {
            events::follow_up(followup, closing)
        })
        .background("accounts", move |closing| {
            events::follow_accounts(accounts, closing)
        }))
}

/// What must be declared on the event bus before anything is published, so that nothing is missed.
#[must_use]
pub fn groups() -> Vec<riwaq_events::Group> {
    events::groups()
}
