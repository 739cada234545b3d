//! Finishing what a version of a user began elsewhere: the account at the auth service, and the
//! claims of values that the person no longer has.
//!
//! The request that writes a version settles it at once. If it cannot (a crash, the auth service is away),
//! whoever follows the version's event does, until it is done. What the auth service refuses is undone
//! by a further version.

use riwaq_aggregates::{Act, Claims, Draft, Error, Journal, Version};
use riwaq_api::auth::v1::{AccountStatus, CreateAccountRequest, UpdateAccountRequest};
use riwaq_kit::{ApiResult, Problem};
use riwaq_records::Store;
use uuid::Uuid;

use super::accounts::{AccountError, role_set};
use super::{AccountState, Accounts};
use crate::domain::{AccountChange, AuditNote, Profile, Status, User, field_of, taken};
use crate::records::Settled;

/// How often it is begun again when others change the same user or account.
const ATTEMPTS: usize = 16;
/// Unsettled versions that are looked at.
const MAX_PENDING: usize = 200;

/// Settles versions of users.
#[derive(Debug, Clone)]
pub(crate) struct Settler {
    users: Journal<User>,
    store: Store,
    claims: Claims,
    accounts: Accounts,
}

/// Everything between the last settled version and the newest.
struct Pending {
    change: AccountChange,
    /// The profile before; none when the user is new.
    base: Option<Profile>,
    /// Every profile that is not the newest.
    earlier: Vec<Profile>,
}

impl Settler {
    pub(crate) fn new(
        users: Journal<User>,
        store: Store,
        claims: Claims,
        accounts: Accounts,
    ) -> Self {
        Self {
            users,
            store,
            claims,
            accounts,
        }
    }

    /// The newest version that is settled; 0 for none.
    pub(crate) async fn settled(&self, id: Uuid) -> ApiResult<i64> {
        Ok(self
            .store
            .get::<Settled>((id,))
            .await?
            .map_or(0, |row| row.version))
    }

    /// Settles a user. `password` is what the request brought along. Returns the account where one was
    /// made or changed.
    ///
    /// # Errors
    /// What the auth service refused, after it was undone; 503 when it stays to be done.
    pub(crate) async fn settle(
        &self,
        id: Uuid,
        password: Option<&str>,
    ) -> ApiResult<Option<AccountState>> {
        for _ in 0..ATTEMPTS {
            let Some(newest) = self.users.load(&id).await? else {
                return Ok(None);
            };
            let done = self.settled(id).await?;
            if done >= newest.version {
                return Ok(None);
            }
            let pending = self.pending(&newest, done).await?;
            let refused = match self.apply(&newest, &pending, password).await {
                Ok(account) => {
                    self.give_up_old_claims(id, &newest.state, &pending.earlier)
                        .await?;
                    self.mark(id, newest.version).await?;
                    return Ok(account);
                }
                Err(AccountError::Stale | AccountError::Missing) => continue,
                Err(AccountError::Unavailable(problem)) => return Err(problem),
                Err(AccountError::Taken(field)) => taken(&field),
                Err(AccountError::Refused(problem)) => problem,
            };
            if self.undo(&newest, &pending).await? {
                return Err(refused);
            }
        }
        Err(Problem::unavailable("a user is changed too often at once"))
    }

    async fn pending(&self, newest: &Version<User>, done: i64) -> ApiResult<Pending> {
        let span = usize::try_from(newest.version - done).unwrap_or(MAX_PENDING);
        // One more: the version that was settled last.
        let versions = self
            .users
            .history(&newest.id, None, (span + 1).min(MAX_PENDING))
            .await?;
        let mut pending = Pending {
            change: AccountChange::default(),
            base: None,
            earlier: Vec::new(),
        };
        for version in versions.into_iter().rev() {
            if version.version > done {
                pending.change = pending.change.then(version.state.account);
            } else {
                pending.base = Some(version.state.profile.clone());
            }
            if version.version != newest.version {
                pending.earlier.push(version.state.profile);
            }
        }
        Ok(pending)
    }

    async fn apply(
        &self,
        newest: &Version<User>,
        pending: &Pending,
        password: Option<&str>,
    ) -> Result<Option<AccountState>, AccountError> {
        let (id, change) = (newest.id, &pending.change);
        if change.delete {
            self.accounts.delete(id).await?;
            self.accounts
                .note(id, None)
                .await
                .map_err(AccountError::Unavailable)?;
            return Ok(None);
        }
        let held_before = pending.base.as_ref().map(Profile::claims);
        if !newest.state.deleted && held_before.as_ref() != Some(&newest.state.profile.claims()) {
            self.hold_claims(newest).await?;
        }
        if change.is_empty() {
            return Ok(None);
        }
        let existing = self
            .accounts
            .get_one(id)
            .await
            .map_err(AccountError::Unavailable)?;
        let account = match existing {
            None if change.create => {
                self.accounts
                    .create(creation(newest, change, password))
                    .await?
            }
            // It was removed by somebody else: there is nothing left to change.
            None => return Ok(None),
            Some(present) => {
                self.change_present(newest, change, password, present)
                    .await?
            }
        };
        let account = self
            .complete_creation(newest, change, password, account)
            .await?;
        if change.activate && account.status == Status::Pending {
            match self.accounts.start_activation(id, true).await {
                Ok(_) => {}
                Err(AccountError::Refused(problem)) => {
                    tracing::warn!(%problem, "no activation was sent")
                }
                Err(error) => return Err(error),
            }
        }
        self.accounts
            .note(id, Some(&account))
            .await
            .map_err(AccountError::Unavailable)?;
        Ok(Some(account))
    }

    /// A value may have been given up and taken again within moments: whoever settles makes sure that the
    /// claims are held.
    async fn hold_claims(&self, newest: &Version<User>) -> Result<(), AccountError> {
        for (scope, value) in newest.state.profile.claims() {
            match claim(&self.claims, &self.users, scope, &value, newest.id).await {
                Ok(_) => {}
                Err(Error::Taken { .. }) => {
                    return Err(AccountError::Taken(field_of(scope).to_owned()));
                }
                Err(error) => return Err(AccountError::Unavailable(error.into())),
            }
        }
        Ok(())
    }

    async fn change_present(
        &self,
        newest: &Version<User>,
        change: &AccountChange,
        password: Option<&str>,
        present: AccountState,
    ) -> Result<AccountState, AccountError> {
        let names = change.login_names || change.create;
        let profile = &newest.state.profile;
        let status = wanted_status(change, password).filter(|status| *status != present.status);
        let roles = change
            .roles
            .as_ref()
            .filter(|roles| **roles != present.roles);
        if !names && status.is_none() && roles.is_none() && password.is_none() {
            return Ok(present);
        }
        let request = UpdateAccountRequest {
            id: newest.id.to_string(),
            email: names.then(|| profile.email.clone()),
            username: names.then(|| profile.username.clone().unwrap_or_default()),
            roles: roles.map(role_set),
            password: password.map(str::to_owned),
            status: status.map(|status| status.to_proto().into()),
            expected_version: Some(present.version),
        };
        self.accounts.update(request).await
    }

    /// The background may have made the account before the request that knows the password.
    async fn complete_creation(
        &self,
        newest: &Version<User>,
        change: &AccountChange,
        password: Option<&str>,
        account: AccountState,
    ) -> Result<AccountState, AccountError> {
        let wanted = wanted_status(change, password);
        if !change.create
            || password.is_none()
            || wanted.is_none_or(|wanted| wanted == account.status)
        {
            return Ok(account);
        }
        self.change_present(newest, change, password, account).await
    }

    async fn give_up_old_claims(
        &self,
        id: Uuid,
        newest: &User,
        earlier: &[Profile],
    ) -> ApiResult<()> {
        let kept = if newest.deleted {
            Vec::new()
        } else {
            newest.profile.claims()
        };
        let mut old: Vec<_> = earlier
            .iter()
            .flat_map(Profile::claims)
            .filter(|claim| !kept.contains(claim))
            .collect();
        old.sort();
        old.dedup();
        for (scope, value) in old {
            self.claims.release(scope, &value, &id.to_string()).await?;
        }
        Ok(())
    }

    async fn mark(&self, user_id: Uuid, version: i64) -> ApiResult<()> {
        self.store
            .put_at(&Settled { user_id, version }, version)
            .await?;
        Ok(())
    }

    /// Writes the version that takes back what was refused. False when somebody else was quicker.
    async fn undo(&self, newest: &Version<User>, pending: &Pending) -> ApiResult<bool> {
        let undone = |current: &Version<User>| {
            let note = AuditNote::new(
                "user.change_refused",
                serde_json::json!({"version": current.version}),
            );
            let state = match &pending.base {
                None => current.state.erased(),
                Some(base) => {
                    let mut profile = current.state.profile.clone();
                    profile.email.clone_from(&base.email);
                    profile.username.clone_from(&base.username);
                    profile.student_number.clone_from(&base.student_number);
                    current.state.with_profile(profile)
                }
            };
            Draft::new(
                "refused",
                User {
                    audit: Some(note),
                    ..state
                },
            )
        };
        let written = self
            .users
            .update(
                &newest.id,
                Some(newest.version),
                Act::system(),
                |current| -> Result<_, Error> { Ok(Some(undone(current))) },
            )
            .await;
        let written = match written {
            Ok(written) => written,
            Err(Error::Stale { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut earlier = pending.earlier.clone();
        earlier.push(newest.state.profile.clone());
        self.give_up_old_claims(newest.id, &written.state, &earlier)
            .await?;
        self.mark(newest.id, written.version).await?;
        Ok(true)
    }
}

/// Claims a value for a user; one whose holder has gone, or never appeared, is taken over.
pub(crate) async fn claim(
    claims: &Claims,
    users: &Journal<User>,
    scope: &str,
    value: &str,
    id: Uuid,
) -> Result<riwaq_aggregates::Claim, Error> {
    let holds = async |holder: String| {
        let Ok(holder) = Uuid::parse_str(&holder) else {
            return Ok(false);
        };
        let user = users.load(&holder).await?;
        Ok(user.is_some_and(|user| {
            !user.state.deleted
                && user
                    .state
                    .profile
                    .claims()
                    .iter()
                    .any(|(s, v)| *s == scope && v == value)
        }))
    };
    claims.claim(scope, value, &id.to_string(), holds).await
}

fn wanted_status(change: &AccountChange, password: Option<&str>) -> Option<Status> {
    match change.status {
        // Nobody could sign in: the person has to choose a password first.
        Some(Status::Active) if change.needs_password && password.is_none() => {
            change.create.then_some(Status::Pending)
        }
        status => status,
    }
}

fn creation(
    newest: &Version<User>,
    change: &AccountChange,
    password: Option<&str>,
) -> CreateAccountRequest {
    let profile = &newest.state.profile;
    let status = wanted_status(change, password).map_or(AccountStatus::Pending, Status::to_proto);
    CreateAccountRequest {
        id: newest.id.to_string(),
        email: profile.email.clone(),
        username: profile.username.clone().unwrap_or_default(),
        roles: change.roles.iter().flatten().cloned().collect(),
        password: password.unwrap_or_default().to_owned(),
        status: status.into(),
    }
}
