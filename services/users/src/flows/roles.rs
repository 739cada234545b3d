//! The roles that a school makes.

use std::collections::BTreeSet;

use riwaq_aggregates::{Act, Draft, Error, Journal, Version};
use riwaq_clock::SharedClock;
use riwaq_identity::access::given_role;
use riwaq_identity::{Actor, PermissionSet};
use riwaq_kit::validate::FieldErrors;
use riwaq_kit::{ApiResult, IfMatch, Problem};
use riwaq_records::Store;
use serde_json::json;
use uuid::Uuid;

use super::{Accounts, Audit};
use crate::domain::{AuditNote, Role};
use crate::records::{ROLES, RoleRow};

/// The roles and what is done with them.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    journal: Journal<Role>,
    store: Store,
    audit: Audit,
    accounts: Accounts,
    clock: SharedClock,
}

impl Roles {
    pub(crate) fn new(
        journal: Journal<Role>,
        store: Store,
        audit: Audit,
        accounts: Accounts,
        clock: SharedClock,
    ) -> Self {
        Self {
            journal,
            store,
            audit,
            accounts,
            clock,
        }
    }

    /// The school's own roles by name, deleted ones too.
    pub(crate) async fn own(&self) -> ApiResult<Vec<RoleRow>> {
        Ok(self
            .store
            .scan::<RoleRow>((ROLES.to_owned(),))
            .all()
            .await?)
    }

    /// The newest version of a role of the school that is not deleted.
    pub(crate) async fn present(&self, name: &str) -> ApiResult<Version<Role>> {
        let found = self.journal.load(&name.to_owned()).await?;
        found
            .filter(|role| !role.state.deleted)
            .ok_or_else(|| Problem::not_found("role"))
    }

    /// What these roles allow together.
    ///
    /// # Errors
    /// 422 that names those that do not exist.
    pub(crate) async fn permissions_of(
        &self,
        names: &BTreeSet<String>,
    ) -> ApiResult<PermissionSet> {
        let mut errors = FieldErrors::new();
        let mut all = PermissionSet::NONE;
        for name in names {
            let allows = match given_role(name) {
                Some(allows) => Some(allows),
                None => self
                    .journal
                    .load(name)
                    .await?
                    .filter(|role| !role.state.deleted)
                    .map(|role| role.state.allows()),
            };
            match allows {
                Some(allows) => all = all | allows,
                None => errors.add("roles", format!("`{name}` is not a role")),
            }
        }
        errors.finish()?;
        Ok(all)
    }

    /// Makes a role, or one that was deleted anew. `op_id` is the same for every repetition of a request.
    pub(crate) async fn create(
        &self,
        actor: &Actor,
        op_id: Uuid,
        name: &str,
        allows: PermissionSet,
    ) -> ApiResult<Version<Role>> {
        check_reach(actor, allows)?;
        if given_role(name).is_some() {
            return Err(exists());
        }
        let act = Act::by(actor.id()).with_op_id(op_id);
        let created_at = self.clock.now();
        let permissions: BTreeSet<String> = allows.names().into_iter().collect();
        let written = self
            .journal
            .change(&name.to_owned(), None, act, |current| -> ApiResult<_> {
                match current {
                    Some(current) if current.op_id == op_id => return Ok(None),
                    Some(current) if !current.state.deleted => return Err(exists()),
                    _ => {}
                }
                let note = AuditNote::new("role.created", json!({"permissions": permissions}));
                let state = Role {
                    permissions: permissions.clone(),
                    created_at,
                    deleted: false,
                    audit: Some(note),
                };
                Ok(Some(Draft::new("created", state)))
            })
            .await?
            .ok_or_else(|| Problem::not_found("role"))?;
        self.audit
            .note(&written, written.state.audit.as_ref())
            .await?;
        Ok(written)
    }

    /// Gives a role other permissions; they count for everybody who has it.
    pub(crate) async fn replace(
        &self,
        actor: &Actor,
        name: &str,
        if_match: &IfMatch,
        allows: PermissionSet,
    ) -> ApiResult<Version<Role>> {
        refuse_given(name)?;
        let current = self.present(name).await?;
        if_match.check_version(current.version.unsigned_abs())?;
        check_reach(actor, allows | current.state.allows())?;
        let permissions: BTreeSet<String> = allows.names().into_iter().collect();
        let expected = if_match.is_given().then_some(current.version);
        self.write(actor, name, expected, |role| {
            if role.permissions == permissions {
                return None;
            }
            let note = json!({"from": role.permissions, "to": permissions});
            let audit = Some(AuditNote::new("role.changed", note));
            Some(Draft::new(
                "changed",
                Role {
                    permissions: permissions.clone(),
                    audit,
                    ..role.clone()
                },
            ))
        })
        .await
    }

    /// Deletes a role that nobody has.
    pub(crate) async fn delete(
        &self,
        actor: &Actor,
        name: &str,
        if_match: &IfMatch,
    ) -> ApiResult<()> {
        refuse_given(name)?;
        let current = self.present(name).await?;
        if_match.check_version(current.version.unsigned_abs())?;
        check_reach(actor, current.state.allows())?;
        let holders = self
            .accounts
            .seen()
            .await?
            .iter()
            .filter(|seen| seen.roles.contains(name))
            .count();
        if holders > 0 {
            return Err(Problem::conflict(format!(
                "{holders} accounts have this role; take it from them first"
            )));
        }
        let expected = if_match.is_given().then_some(current.version);
        self.write(actor, name, expected, |role| {
            let audit = Some(AuditNote::new(
                "role.deleted",
                json!({"permissions": role.permissions}),
            ));
            Some(Draft::new(
                "deleted",
                Role {
                    deleted: true,
                    audit,
                    ..role.clone()
                },
            ))
        })
        .await?;
        Ok(())
    }

    async fn write(
        &self,
        actor: &Actor,
        name: &str,
        expected: Option<i64>,
        mut decide: impl FnMut(&Role) -> Option<Draft<Role>>,
    ) -> ApiResult<Version<Role>> {
        let act = Act::by(actor.id());
        let written = self
            .journal
            .update(&name.to_owned(), expected, act, |role| -> ApiResult<_> {
                if role.state.deleted {
                    return Err(Error::NotFound { kind: "role" }.into());
                }
                Ok(decide(&role.state))
            })
            .await?;
        if written.op_id == act.op_id {
            self.audit
                .note(&written, written.state.audit.as_ref())
                .await?;
        }
        Ok(written)
    }
}

fn exists() -> Problem {
    crate::domain::taken("name")
}

fn refuse_given(name: &str) -> ApiResult<()> {
    if given_role(name).is_some() {
        return Err(Problem::conflict(
            "a given role cannot be changed or deleted",
        ));
    }
    Ok(())
}

/// Nobody gives, or takes away, a right that they do not have themselves.
fn check_reach(actor: &Actor, allows: PermissionSet) -> ApiResult<()> {
    if actor.permissions().covers(allows) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "the role has rights that you do not have",
    ))
}
