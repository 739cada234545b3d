//! What the service does about events: its own, to finish what a request left, and the auth service's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use riwaq_events::worker::{HandleError, Handler, WorkerOptions, work};
use riwaq_events::{CloudEvent, Group, Subscription};
use riwaq_identity::EVENT_ROLE_CHANGED;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::EVENT_USER_CHANGED;
use crate::app::App;

/// The event of the auth service that an account was made, changed or deleted.
const EVENT_ACCOUNT_CHANGED: &str = "riwaq.auth.account.changed";
const FOLLOW_UP: &str = "users.followup";
const ACCOUNTS: &str = "users.accounts";
/// How often it is looked whether the request has finished by itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The groups of this service.
pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group::new(FOLLOW_UP, [EVENT_USER_CHANGED, EVENT_ROLE_CHANGED]),
        Group::new(ACCOUNTS, [EVENT_ACCOUNT_CHANGED]),
    ]
}

/// Finishes versions of users and roles until `closing`.
pub(crate) async fn follow_up(app: Arc<App>, closing: CancellationToken) {
    let handler = FollowUp(Arc::clone(&app));
    let subscription = Subscription::group(FOLLOW_UP, [EVENT_USER_CHANGED, EVENT_ROLE_CHANGED]);
    run(&app, subscription, &handler, closing).await;
}

/// Listens to changes of accounts until `closing`.
pub(crate) async fn follow_accounts(app: Arc<App>, closing: CancellationToken) {
    let handler = FollowAccounts(Arc::clone(&app));
    run(
        &app,
        Subscription::group(ACCOUNTS, [EVENT_ACCOUNT_CHANGED]),
        &handler,
        closing,
    )
    .await;
}

async fn run(
    app: &App,
    subscription: Subscription,
    handler: &dyn Handler,
    closing: CancellationToken,
) {
    // Waiting for a request to finish by itself holds a place: there must be enough of them.
    let options = WorkerOptions { concurrency: 32 };
    work(
        &*app.events,
        subscription,
        handler,
        &options,
        &*app.clock,
        closing.cancelled_owned(),
    )
    .await;
}

#[derive(Deserialize)]
struct Changed {
    id: String,
    version: i64,
}

struct FollowUp(Arc<App>);

#[async_trait]
impl Handler for FollowUp {
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let changed: Changed = event.data_as().map_err(HandleError::new)?;
        if event.kind == EVENT_ROLE_CHANGED {
            return self.role(&changed).await;
        }
        let id = Uuid::parse_str(&changed.id).map_err(HandleError::new)?;
        self.user(id, changed.version).await
    }
}

impl FollowUp {
    async fn user(&self, id: Uuid, version: i64) -> Result<(), HandleError> {
        let app = &self.0;
        let written = app
            .user_versions
            .at_version(&id, version)
            .await
            .map_err(HandleError::new)?;
        let written = written.ok_or_else(|| HandleError::new("the version is not there"))?;
        app.audit
            .note(&written, written.state.audit.as_ref())
            .await
            .map_err(HandleError::new)?;
        if !written.state.account.is_empty() {
            self.let_the_request_finish(id, version, written.at).await?;
        }
        match app.settler.settle(id, None).await {
            // What was refused is undone by a version of its own, so this one is finished.
            Err(problem) if problem.status().is_server_error() => Err(HandleError::new(problem)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The request that wrote the version knows the password and is about to ask the auth service: two that
    /// do so at once would only be in each other's way.
    async fn let_the_request_finish(
        &self,
        id: Uuid,
        version: i64,
        written_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), HandleError> {
        let app = &self.0;
        let patience = Duration::from_secs(app.config.follow_up_after_seconds);
        loop {
            let age = (app.clock.now() - written_at).to_std().unwrap_or_default();
            if age >= patience
                || app.settler.settled(id).await.map_err(HandleError::new)? >= version
            {
                return Ok(());
            }
            app.clock
                .sleep(LOOK_EVERY.min(patience.saturating_sub(age)))
                .await;
        }
    }

    async fn role(&self, changed: &Changed) -> Result<(), HandleError> {
        let app = &self.0;
        let written = app
            .role_versions
            .at_version(&changed.id, changed.version)
            .await
            .map_err(HandleError::new)?;
        let written = written.ok_or_else(|| HandleError::new("the version is not there"))?;
        app.audit
            .note(&written, written.state.audit.as_ref())
            .await
            .map_err(HandleError::new)
    }
}

struct FollowAccounts(Arc<App>);

#[derive(Deserialize)]
struct AccountChanged {
    id: Uuid,
}

#[async_trait]
impl Handler for FollowAccounts {
    /// The event says only whom it is about; what is true now is asked.
    async fn handle(&self, event: &CloudEvent) -> Result<(), HandleError> {
        let app = &self.0;
        let AccountChanged { id } = event.data_as().map_err(HandleError::new)?;
        let account = app.accounts.get_one(id).await.map_err(HandleError::new)?;
        app.accounts
            .note(id, account.as_ref())
            .await
            .map_err(HandleError::new)?;
        app.rosters
            .heard(id, account.as_ref())
            .await
            .map_err(HandleError::new)
    }
}
