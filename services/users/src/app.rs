//! What every handler shares.

use std::sync::Arc;

use riwaq_aggregates::{CLAIM_GRACE, Claims, CursorKey, Idempotency, Journal, Outbox};
use riwaq_api::Channel;
use riwaq_clock::SharedClock;
use riwaq_events::Events;
use riwaq_identity::Identity;
use riwaq_kit::TaskGroup;
use riwaq_records::Store;

use crate::domain::{Role, User};
use crate::flows::{Accounts, Audit, Roles, Rosters, Settler, Stats, Users};
use crate::{Config, NAME};

/// What the service needs from outside.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The time.
    pub clock: SharedClock,
    /// Where records are kept; the tables of [`crate::tables`] and of `riwaq-aggregates` exist.
    pub store: Store,
    /// The event bus; the groups of [`crate::groups`] are declared.
    pub events: Arc<dyn Events>,
    /// Who is calling.
    pub identity: Identity,
    /// The auth service, called with this service's own tokens.
    pub accounts: Channel,
    /// Signs the cursors of lists; the same for every replica.
    pub cursors: CursorKey,
    /// Where changes run to their end.
    pub tasks: TaskGroup,
}

/// Why the service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The outbox or the idempotency keys cannot work with their settings.
    #[error("the users service: {0}")]
    Aggregates(#[from] riwaq_aggregates::Error),
}

/// The state of the handlers.
pub(crate) struct App {
    pub config: Config,
    pub clock: SharedClock,
    pub events: Arc<dyn Events>,
    pub cursors: CursorKey,
    pub tasks: TaskGroup,
    pub idempotency: Idempotency,
    pub user_versions: Journal<User>,
    pub role_versions: Journal<Role>,
    pub audit: Audit,
    pub accounts: Accounts,
    pub settler: Settler,
    pub rosters: Rosters,
    pub users: Users,
    pub roles: Roles,
    pub stats: Stats,
}

impl App {
    pub(crate) fn new(config: Config, deps: Deps) -> Result<(Arc<Self>, Outbox), StartError> {
        let Deps {
            clock,
            store,
            events,
            identity,
            accounts,
            cursors,
            tasks,
        } = deps;
        let trace = Arc::new(riwaq_kit::context::traceparent);
        let outbox = Outbox::new(
            NAME,
            store.clone(),
            Arc::clone(&events),
            Arc::clone(&clock),
            config.outbox.clone(),
            trace,
        )?;
        let (user_versions, role_versions) = (outbox.journal::<User>()?, outbox.journal::<Role>()?);
        let rosters = Rosters::new(outbox.journal()?, Arc::clone(&clock));
        let claims = Claims::new(store.clone(), Arc::clone(&clock), CLAIM_GRACE);
        let idempotency = Idempotency::new(
            NAME,
            store.clone(),
            Arc::clone(&clock),
            config.idempotency.clone(),
        )?;
        let accounts = Accounts::new(accounts, store.clone());
        let audit = Audit::new(store.clone(), Arc::clone(&clock));
        let roles = Roles::new(
            role_versions.clone(),
            store.clone(),
            audit.clone(),
            accounts.clone(),
            Arc::clone(&clock),
        );
        let settler = Settler::new(
            user_versions.clone(),
            store.clone(),
            claims.clone(),
            accounts.clone(),
        );
        let users = Users {
            journal: user_versions.clone(),
            store,
            claims,
            settler: settler.clone(),
            accounts: accounts.clone(),
            rosters: rosters.clone(),
            roles: roles.clone(),
            audit: audit.clone(),
            identity,
            clock: Arc::clone(&clock),
        };
        let stats = Stats::new(
            accounts.clone(),
            roles.clone(),
            Arc::clone(&clock),
            config.stats_keep_seconds,
        );
        let app = Self {
            config,
            clock,
            events,
            cursors,
            tasks,
            idempotency,
            user_versions,
            role_versions,
            audit,
            accounts,
            settler,
            rosters,
            users,
            roles,
            stats,
        };
        Ok((Arc::new(app), outbox))
    }
}
