//! Figures of the whole school, counted from what was heard of accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use riwaq_clock::SharedClock;
use riwaq_kit::ApiResult;
use tokio::sync::Mutex;

use super::{Accounts, Roles};
use crate::domain::Status;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub users: u64,
    pub by_status: BTreeMap<&'static str, u64>,
    pub by_role: BTreeMap<String, u64>,
    pub own_roles: u64,
    pub counted_at: DateTime<Utc>,
}

/// Counts, and shows the result for a while: counting reads every account.
#[derive(Debug, Clone)]
pub(crate) struct Stats {
    accounts: Accounts,
    roles: Roles,
    clock: SharedClock,
    keep: Duration,
    /// Held while counting, so that only one caller does.
    last: Arc<Mutex<Option<(Duration, Counts)>>>,
}

impl Stats {
    pub(crate) fn new(
        accounts: Accounts,
        roles: Roles,
        clock: SharedClock,
        keep_seconds: u64,
    ) -> Self {
        Self {
            accounts,
            roles,
            clock,
            keep: Duration::from_secs(keep_seconds),
            last: Arc::default(),
        }
    }

    pub(crate) async fn counts(&self) -> ApiResult<Counts> {
        let mut last = self.last.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, counts)) = &*last
            && now < at.saturating_add(self.keep)
        {
            return Ok(counts.clone());
        }
        let counts = self.count().await?;
        *last = Some((now, counts.clone()));
        Ok(counts)
    }

    async fn count(&self) -> ApiResult<Counts> {
        let seen = self.accounts.seen().await?;
        let own_roles = self
            .roles
            .own()
            .await?
            .iter()
            .filter(|role| !role.deleted)
            .count();
        let mut counts = Counts {
            users: seen.len() as u64,
            by_status: Status::ALL
                .iter()
                .map(|status| (status.as_str(), 0))
                .collect(),
            by_role: riwaq_identity::access::GIVEN_ROLES
                .iter()
                .map(|(name, _)| ((*name).to_owned(), 0))
                .collect(),
            own_roles: own_roles as u64,
            counted_at: self.clock.now(),
        };
        for account in seen {
            if let Some(count) = counts.by_status.get_mut(account.status.as_str()) {
                *count += 1;
            }
            for role in account.roles {
                *counts.by_role.entry(role).or_default() += 1;
            }
        }
        Ok(counts)
    }
}
