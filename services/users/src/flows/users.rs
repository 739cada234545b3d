//! Creating and changing users.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use riwaq_aggregates::{Act, Claim, Claims, Draft, Error, Journal, Version};
use riwaq_clock::SharedClock;
use riwaq_identity::{Actor, Identity};
use riwaq_kit::{ApiResult, ETag, IfMatch, Problem};
use riwaq_records::Store;
use serde_json::json;
use uuid::Uuid;

use super::settle::claim;
use super::{AccountState, Accounts, Audit, Roles, Rosters, Settler};
use crate::domain::{AccountChange, AuditNote, Profile, Status, User, field_of, taken};

/// What an administrator wants an account to be.
#[derive(Debug, Clone)]
pub(crate) struct AccountWish {
    pub roles: BTreeSet<String>,
    pub status: Status,
    pub password: Option<String>,
    /// Whether a message is to be sent where the account has to be activated.
    pub send_activation: bool,
}

/// A user with the account.
#[derive(Debug, Clone)]
pub(crate) struct ManagedUser {
    pub id: Uuid,
    pub profile: Profile,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: i64,
    pub account: Option<AccountState>,
}

impl ManagedUser {
    pub(crate) fn new(version: Version<User>, account: Option<AccountState>) -> Self {
        Self {
            id: version.id,
            profile: version.state.profile,
            created_at: version.state.created_at,
            updated_at: version.at,
            version: version.version,
            account,
        }
    }

    /// Changes with the profile and with the account.
    pub(crate) fn etag(&self) -> ETag {
        ETag::opaque(&format!(
            "v{}.{}",
            self.version,
            self.account.as_ref().map_or(0, |account| account.version)
        ))
    }
}

/// The users and what is done with them.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    pub journal: Journal<User>,
    pub store: Store,
    pub claims: Claims,
    pub settler: Settler,
    pub accounts: Accounts,
    pub rosters: Rosters,
    pub roles: Roles,
    pub audit: Audit,
    pub identity: Identity,
    pub clock: SharedClock,
}

impl Users {
    /// The newest version of a user who is not gone.
    pub(crate) async fn present(&self, id: Uuid) -> ApiResult<Version<User>> {
        let found = self.journal.load(&id).await?;
        found
            .filter(|user| !user.state.deleted)
            .ok_or_else(|| Problem::not_found("user"))
    }

    /// A user with the account.
    pub(crate) async fn managed(&self, id: Uuid) -> ApiResult<ManagedUser> {
        let user = self.present(id).await?;
        let account = self.accounts.get_one(id).await?;
        Ok(ManagedUser::new(user, account))
    }

    /// Makes a user and asks for the account. Repeating it with the same `id` goes on where it stopped.
    pub(crate) async fn create(
        &self,
        actor: &Actor,
        id: Uuid,
        profile: Profile,
        wish: AccountWish,
    ) -> ApiResult<ManagedUser> {
        self.check_roles(actor, &wish.roles).await?;
        // A repetition finds what the first attempt made.
        let before = self.journal.load(&id).await?;
        let held = before.map_or_else(Vec::new, |before| before.state.profile.claims());
        let claims = self.claim_all(id, &profile, &held).await?;
        let pending = wish.status == Status::Pending;
        let note = json!({"roles": wish.roles, "status": wish.status.as_str()});
        let state = User {
            created_at: self.clock.now(),
            deleted: false,
            account: AccountChange {
                create: true,
                roles: Some(wish.roles.clone()),
                status: Some(wish.status),
                needs_password: wish.password.is_some(),
                activate: pending && wish.send_activation,
                ..AccountChange::default()
            },
            audit: Some(AuditNote::new("user.created", note)),
            profile,
        };
        ensure_fresh(&claims)?;
        let act = Act::by(actor.id()).with_op_id(id);
        let created = self
            .journal
            .create(&id, act, Draft::new("created", state))
            .await?;
        self.audit
            .note(&created, created.state.audit.as_ref())
            .await?;
        self.settler.settle(id, wish.password.as_deref()).await?;
        let user = self.managed(id).await?;
        self.join_if_admin(&user).await?;
        Ok(user)
    }

    /// Makes a profile for somebody who registers, or whom the operator names; the auth service makes
    /// the account itself. Where there is a profile with this `id` it stays as it is: the person may
    /// have changed it since.
    pub(crate) async fn register(&self, id: Uuid, profile: Profile) -> ApiResult<Version<User>> {
        if let Some(present) = self.journal.load(&id).await? {
            if present.state.deleted {
                return Err(Problem::conflict("this user existed once, and is gone"));
            }
            return Ok(present);
        }
        let claims = self.claim_all(id, &profile, &[]).await?;
        let state = User {
            profile,
            created_at: self.clock.now(),
            deleted: false,
            account: AccountChange::default(),
            audit: None,
        };
        ensure_fresh(&claims)?;
        // The id is the operation's too: two at the same moment write the same.
        let act = Act {
            actor: Some(id),
            op_id: id,
        };
        Ok(self
            .journal
            .create(&id, act, Draft::new("registered", state))
            .await?)
    }

    /// Replaces everything that an administrator may set.
    pub(crate) async fn replace(
        &self,
        actor: &Actor,
        id: Uuid,
        if_match: &IfMatch,
        profile: Profile,
        wish: AccountWish,
    ) -> ApiResult<ManagedUser> {
        let current = self.managed(id).await?;
        if_match.check(&current.etag())?;
        self.check_reach(actor, &current)?;
        self.check_roles(actor, &wish.roles).await?;
        let change = account_change(&current, &profile, &wish);
        let leaves =
            is_admin(&current) && !(wish.status == Status::Active && wish.roles.contains(ADMIN));
        let claims = self
            .claim_all(id, &profile, &current.profile.claims())
            .await?;
        if leaves {
            self.rosters.leave(id, &self.accounts).await?;
        }
        let expected = if_match.is_given().then_some(current.version);
        let note = AuditNote::new("user.changed", replaced_note(&current, &profile, &change));
        let written = self.write(actor, id, expected, &claims, |user| {
            let unchanged = user.state.profile == profile && change.is_empty();
            let next = User {
                account: change.clone(),
                audit: Some(note.clone()),
                ..user.state.with_profile(profile.clone())
            };
            (!unchanged).then(|| Draft::new("changed", next))
        });
        let outcome = match written.await {
            Ok(()) => self.settler.settle(id, wish.password.as_deref()).await,
            Err(problem) => Err(problem),
        };
        self.rejoin_unless_done(id, leaves, &outcome).await;
        outcome?;
        let user = self.managed(id).await?;
        self.join_if_admin(&user).await?;
        Ok(user)
    }

    /// Changes one's own profile. Login names stay as they are.
    pub(crate) async fn change_own(
        &self,
        id: Uuid,
        if_match: &IfMatch,
        mut change: impl FnMut(&Profile) -> ApiResult<Profile>,
    ) -> ApiResult<Version<User>> {
        let present = self.present(id).await?;
        if_match.check_version(present.version.unsigned_abs())?;
        let expected = if_match.is_given().then_some(present.version);
        self.journal
            .update(&id, expected, Act::by(id), |user| -> ApiResult<_> {
                if user.state.deleted {
                    return Err(Problem::not_found("user"));
                }
                let profile = change(&user.state.profile)?;
                let changed = profile != user.state.profile;
                Ok(changed.then(|| Draft::new("changed_own", user.state.with_profile(profile))))
            })
            .await
    }

    /// Writes the next version and its audit line.
    pub(super) async fn write(
        &self,
        actor: &Actor,
        id: Uuid,
        expected: Option<i64>,
        claims: &[Claim],
        mut decide: impl FnMut(&Version<User>) -> Option<Draft<User>>,
    ) -> ApiResult<()> {
        ensure_fresh(claims)?;
        let act = Act::by(actor.id());
        let written = self
            .journal
            .update(&id, expected, act, |user| -> ApiResult<_> {
                if user.state.deleted {
                    return Err(Problem::not_found("user"));
                }
                Ok(decide(user))
            })
            .await?;
        if written.op_id == act.op_id {
            self.audit
                .note(&written, written.state.audit.as_ref())
                .await?;
        }
        Ok(())
    }

    /// Nobody may act on a person who has rights that they do not have themselves.
    pub(super) fn check_reach(&self, actor: &Actor, user: &ManagedUser) -> ApiResult<()> {
        let roles = user.account.iter().flat_map(|account| &account.roles);
        if actor.permissions().covers(self.identity.permissions(roles)) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "this person has rights that you do not have",
        ))
    }

    /// The roles exist, and give no right that the actor does not have.
    async fn check_roles(&self, actor: &Actor, roles: &BTreeSet<String>) -> ApiResult<()> {
        let given = self.roles.permissions_of(roles).await?;
        if actor.permissions().covers(given) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "these roles give rights that you do not have",
        ))
    }

    /// Claims what only one person may have; `held` are this person's already.
    async fn claim_all(
        &self,
        id: Uuid,
        profile: &Profile,
        held: &[(&'static str, String)],
    ) -> ApiResult<Vec<Claim>> {
        let mut granted = Vec::new();
        let mut new = Vec::new();
        for wanted in profile
            .claims()
            .into_iter()
            .filter(|wanted| !held.contains(wanted))
        {
            match claim(&self.claims, &self.journal, wanted.0, &wanted.1, id).await {
                Ok(claim) => {
                    granted.push(claim);
                    new.push(wanted);
                }
                Err(Error::Taken { .. }) => {
                    for (scope, value) in &new {
                        self.claims.release(scope, value, &id.to_string()).await?;
                    }
                    return Err(taken(field_of(wanted.0)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(granted)
    }

    async fn join_if_admin(&self, user: &ManagedUser) -> ApiResult<()> {
        if is_admin(user) {
            self.rosters.join(user.id).await
        } else {
            Ok(())
        }
    }

    /// Puts an administrator back on the list whose leaving was refused. When it is not known whether it
    /// happened, they stay off it: the list must never be longer than the truth.
    pub(super) async fn rejoin_unless_done<T>(
        &self,
        id: Uuid,
        leaving: bool,
        outcome: &ApiResult<T>,
    ) {
        let Err(problem) = outcome else { return };
        if !leaving || problem.status().is_server_error() {
            return;
        }
        let still = self.accounts.get_one(id).await;
        if still.is_ok_and(|account| account.is_some_and(|account| account.is_active_admin()))
            && let Err(problem) = self.rosters.join(id).await
        {
            tracing::warn!(%problem, "an administrator is missing on the list until heard of again");
        }
    }
}

pub(super) use riwaq_identity::access::ADMIN;

pub(super) fn is_admin(user: &ManagedUser) -> bool {
    user.account
        .as_ref()
        .is_some_and(AccountState::is_active_admin)
}

fn ensure_fresh(claims: &[Claim]) -> ApiResult<()> {
    if claims.iter().all(Claim::is_fresh) {
        return Ok(());
    }
    Err(Problem::unavailable("the claims took too long"))
}

/// What differs between the account and what is wanted.
fn account_change(current: &ManagedUser, profile: &Profile, wish: &AccountWish) -> AccountChange {
    let account = current.account.as_ref();
    let login_names =
        current.profile.email != profile.email || current.profile.username != profile.username;
    let roles = account
        .is_none_or(|account| account.roles != wish.roles)
        .then(|| wish.roles.clone());
    let status = account
        .is_none_or(|account| account.status != wish.status)
        .then_some(wish.status);
    AccountChange {
        create: account.is_none(),
        login_names,
        activate: status == Some(Status::Pending) && wish.send_activation,
        needs_password: wish.password.is_some(),
        roles,
        status,
        delete: false,
    }
}

fn replaced_note(
    current: &ManagedUser,
    profile: &Profile,
    change: &AccountChange,
) -> serde_json::Value {
    let mut note = json!({"fields": current.profile.changed_fields(profile)});
    if let Some(roles) = &change.roles {
        let before = current.account.as_ref().map(|account| &account.roles);
        note["roles"] = json!({"from": before, "to": roles});
    }
    if let Some(status) = change.status {
        let before = current
            .account
            .as_ref()
            .map(|account| account.status.as_str());
        note["status"] = json!({"from": before, "to": status.as_str()});
    }
    if change.needs_password {
        note["password"] = json!(true);
    }
    note
}
